package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 2, (*API).alterConfigs)

// alterConfigs is what tools used before KIP-339: the request names everything that is set afterwards.
func (a *API) alterConfigs(c *Call, req *kmsg.AlterConfigsRequest, resp *kmsg.AlterConfigsResponse) error {
	steps, once := make([]step, 0, len(req.Resources)), onceEach{}
	for _, res := range req.Resources {
		once.note(res.ResourceType, res.ResourceName)
	}
	resp.Resources = make([]kmsg.AlterConfigsResponseResource, len(req.Resources))
	for i, res := range req.Resources {
		r := &resp.Resources[i]
		*r = kmsg.NewAlterConfigsResponseResource()
		r.ResourceType, r.ResourceName = res.ResourceType, res.ResourceName
		steps = append(steps, step{
			refused: a.allowConfigs(c, auth.AlterConfigs, res.ResourceType, res.ResourceName),
			decide: func(m *meta.Image) ([]meta.Record, error) {
				if err := once.check(res.ResourceType, res.ResourceName); err != nil {
					return nil, err
				}
				return a.alterResource(m, res.ResourceType, res.ResourceName, replaceAll(m, res))
			},
			answer: func(err error) { r.ErrorCode, r.ErrorMessage = refusal(err) },
		})
	}
	a.proposeEach(c, req.ValidateOnly, steps)
	return nil
}

// replaceAll is the changes that leave only what res names.
func replaceAll(m *meta.Image, res kmsg.AlterConfigsRequestResource) []meta.Alter {
	var changes []meta.Alter
	named := map[string]bool{}
	for _, ch := range res.Configs {
		named[ch.Name] = true
		changes = append(changes, meta.Alter{Name: ch.Name, Op: meta.OpSet, Value: ch.Value})
	}
	var have map[string]string
	switch res.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if t := m.Topic(res.ResourceName); t != nil {
			have = t.Config
		}
	case kmsg.ConfigResourceTypeGroupConfig:
		have = m.GroupConfigured(res.ResourceName)
	default:
		have = m.BrokerAltered(res.ResourceName)
	}
	for name := range have {
		if !named[name] {
			changes = append(changes, meta.Alter{Name: name, Op: meta.OpDelete})
		}
	}
	return changes
}
