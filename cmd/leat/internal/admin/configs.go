package admin

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Resource is something that has configurations: a topic, a broker by its number, all brokers (no name), a group.
type Resource struct {
	Type kmsg.ConfigResourceType
	Name string
}

// Config is one configuration of a resource.
type Config struct {
	Name      string    `json:"name"`
	Value     *string   `json:"value"` // null if there is none, or if it is sensitive
	Source    string    `json:"source"`
	Type      string    `json:"type"`
	ReadOnly  bool      `json:"read_only"`
	Sensitive bool      `json:"sensitive"`
	Doc       string    `json:"doc,omitempty"`
	Synonyms  []Synonym `json:"synonyms,omitempty"`
}

// Synonym is where the value of a configuration comes from, or would come from if the ones before were not there.
type Synonym struct {
	Name   string  `json:"name"`
	Value  *string `json:"value"`
	Source string  `json:"source"`
}

// Configs gives the configurations of a resource by name; all of them, or those of names.
func Configs(ctx context.Context, cl *kgo.Client, r Resource, names ...string) ([]Config, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = true, true
	rr := kmsg.NewDescribeConfigsRequestResource()
	rr.ResourceType, rr.ResourceName, rr.ConfigNames = r.Type, r.Name, names
	req.Resources = append(req.Resources, rr)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	out := []Config{}
	for _, res := range resp.Resources {
		if err := Refuse(kerr.ErrorForCode(res.ErrorCode), deref(res.ErrorMessage)); err != nil {
			return nil, err
		}
		for _, c := range res.Configs {
			out = append(out, fromConfig(c))
		}
	}
	slices.SortFunc(out, func(a, b Config) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

func fromConfig(c kmsg.DescribeConfigsResponseResourceConfig) Config {
	out := Config{
		Name: c.Name, Value: c.Value, Source: c.Source.String(), Type: c.ConfigType.String(),
		ReadOnly: c.ReadOnly, Sensitive: c.IsSensitive, Doc: deref(c.Documentation),
	}
	for _, s := range c.ConfigSynonyms {
		out.Synonyms = append(out.Synonyms, Synonym{s.Name, s.Value, s.Source.String()})
	}
	return out
}

// Text is a value as text, null where there is none.
func Text(value *string) string {
	if value == nil {
		return "null"
	}
	return *value
}

// IsSet tells whether the value was set on the resource itself.
func (c Config) IsSet() bool {
	return strings.HasPrefix(c.Source, "DYNAMIC_") || c.Source == "GROUP_CONFIG"
}

// defaultMaxBatch is what brokers accept by default, rounded down as the client does it.
const defaultMaxBatch = 1_000_012

// MaxBatch is how many bytes a batch of a topic may have. Where the cluster does not say it, to somebody who may not ask or of a
// topic that is not there yet, it is the default.
func MaxBatch(ctx context.Context, cl *kgo.Client, topic string) int32 {
	const name, least, most = "max.message.bytes", 512, 100 << 20 // most: what the client puts into a request
	configs, err := Configs(ctx, cl, Resource{kmsg.ConfigResourceTypeTopic, topic}, name)
	if err != nil || len(configs) != 1 {
		return defaultMaxBatch
	}
	n, err := strconv.ParseInt(Text(configs[0].Value), 10, 32)
	if err != nil {
		return defaultMaxBatch
	}
	return int32(min(max(n, least), most))
}

// Change is a step of AlterConfigs.
type Change struct {
	Name  string
	Op    kmsg.IncrementalAlterConfigOp
	Value string // not for a delete
}

// AlterConfigs changes configurations of a resource, all or none. With dry, the cluster only says what it thinks of it.
func AlterConfigs(ctx context.Context, cl *kgo.Client, r Resource, dry bool, changes ...Change) error {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = dry
	rr := kmsg.NewIncrementalAlterConfigsRequestResource()
	rr.ResourceType, rr.ResourceName = r.Type, r.Name
	for _, c := range changes {
		rc := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		rc.Name, rc.Op = c.Name, c.Op
		if c.Op != kmsg.IncrementalAlterConfigOpDelete {
			rc.Value = kmsg.StringPtr(c.Value)
		}
		rr.Configs = append(rr.Configs, rc)
	}
	req.Resources = append(req.Resources, rr)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	for _, res := range resp.Resources {
		if err := Refuse(kerr.ErrorForCode(res.ErrorCode), deref(res.ErrorMessage)); err != nil {
			return err
		}
	}
	return nil
}
