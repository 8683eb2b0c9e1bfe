package api

import (
	"slices"
	"strconv"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(1, 4, (*API).describeConfigs)

func (a *API) describeConfigs(c *Call, req *kmsg.DescribeConfigsRequest, resp *kmsg.DescribeConfigsResponse) error {
	for _, res := range req.Resources {
		r := kmsg.NewDescribeConfigsResponseResource()
		r.ResourceType, r.ResourceName = res.ResourceType, res.ResourceName
		configs, err := a.describeAllowed(c, res)
		r.ErrorCode, r.ErrorMessage = refusal(err)
		for _, d := range configs {
			if len(res.ConfigNames) == 0 || slices.Contains(res.ConfigNames, d.Def.Name) {
				r.Configs = append(r.Configs, describedConfig(d, req))
			}
		}
		resp.Resources = append(resp.Resources, r)
	}
	return nil
}

func (a *API) describeAllowed(c *Call, res kmsg.DescribeConfigsRequestResource) ([]meta.Described, error) {
	if err := a.allowConfigs(c, auth.DescribeConfigs, res.ResourceType, res.ResourceName); err != nil {
		return nil, err
	}
	return a.describeResource(res)
}

// allowConfigs asks whether the client may see or change the configurations of a resource: those of brokers, and whatever
// else there is one of, belong to the cluster.
func (a *API) allowConfigs(c *Call, op auth.Operation, t kmsg.ConfigResourceType, name string) error {
	switch t {
	case kmsg.ConfigResourceTypeTopic:
		return a.allow(c, op, auth.Topic, name)
	case kmsg.ConfigResourceTypeGroupConfig:
		return a.allow(c, op, auth.Group, name)
	default:
		return a.allowCluster(c, op)
	}
}

func (a *API) describeResource(res kmsg.DescribeConfigsRequestResource) ([]meta.Described, error) {
	switch res.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if err := meta.CheckTopicName(res.ResourceName); err != nil {
			return nil, err
		}
		t := a.Meta.Image().Topic(res.ResourceName)
		if t == nil {
			return nil, kerr.UnknownTopicOrPartition
		}
		return a.Config.DescribeTopic(t), nil
	case kmsg.ConfigResourceTypeBroker:
		switch res.ResourceName {
		case "":
			return a.Config.DescribeAltered(), nil
		case strconv.Itoa(int(a.NodeID)):
			return a.Config.DescribeBroker(), nil
		}
		return nil, &meta.Error{Kind: meta.ErrInvalidRequest,
			Message: "Unexpected broker id, expected " + strconv.Itoa(int(a.NodeID)) + " or empty string, but received " + res.ResourceName}
	case kmsg.ConfigResourceTypeBrokerLogger:
		return a.describeLoggers(res.ResourceName)
	case kmsg.ConfigResourceTypeGroupConfig:
		if res.ResourceName == "" {
			return nil, &meta.Error{Kind: meta.ErrInvalidRequest, Message: "Group name must not be empty"}
		}
		return a.Config.DescribeGroup(a.Meta.Image(), res.ResourceName), nil
	default:
		return nil, unsupportedResource(res.ResourceType)
	}
}

func unsupportedResource(t kmsg.ConfigResourceType) error {
	return &meta.Error{Kind: meta.ErrInvalidRequest, Message: "Unsupported resource type: " + t.String()}
}

func describedConfig(d meta.Described, req *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	rc := kmsg.NewDescribeConfigsResponseResourceConfig()
	rc.Name, rc.Value, rc.ReadOnly = d.Def.Name, value(d.Setting), d.ReadOnly
	rc.Source, rc.IsDefault = kmsg.ConfigSource(d.Source), d.Source == meta.FromDefault
	rc.IsSensitive, rc.ConfigType = d.Def.Sensitive(), kmsg.ConfigType(d.Def.Type)
	if req.IncludeDocumentation {
		rc.Documentation = kmsg.StringPtr(d.Def.Doc)
	}
	if req.IncludeSynonyms {
		for _, s := range d.Synonyms {
			rs := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			rs.Name, rs.Value, rs.Source = s.Name, value(s), kmsg.ConfigSource(s.Source)
			rc.ConfigSynonyms = append(rc.ConfigSynonyms, rs)
		}
	}
	return rc
}

func value(s meta.Setting) *string {
	if s.IsNull {
		return nil
	}
	return kmsg.StringPtr(s.Value)
}
