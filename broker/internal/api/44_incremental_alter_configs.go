package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 1, (*API).incrementalAlterConfigs)

func (a *API) incrementalAlterConfigs(c *Call, req *kmsg.IncrementalAlterConfigsRequest, resp *kmsg.IncrementalAlterConfigsResponse) error {
	steps := make([]step, 0, len(req.Resources))
	resp.Resources = make([]kmsg.IncrementalAlterConfigsResponseResource, len(req.Resources))
	for i, res := range req.Resources {
		r := &resp.Resources[i]
		*r = kmsg.NewIncrementalAlterConfigsResponseResource()
		r.ResourceType, r.ResourceName = res.ResourceType, res.ResourceName
		var changes []meta.Alter
		for _, ch := range res.Configs {
			changes = append(changes, meta.Alter{Name: ch.Name, Op: meta.Op(ch.Op), Value: ch.Value})
		}
		steps = append(steps, step{
			refused: a.allowConfigs(c, auth.AlterConfigs, res.ResourceType, res.ResourceName),
			decide: func(m *meta.Image) ([]meta.Record, error) {
				return a.alterResource(m, res.ResourceType, res.ResourceName, changes)
			},
			answer: func(err error) { r.ErrorCode, r.ErrorMessage = refusal(err) },
		})
	}
	a.proposeEach(c, req.ValidateOnly, steps)
	return nil
}

func (a *API) alterResource(m *meta.Image, t kmsg.ConfigResourceType, name string, changes []meta.Alter) ([]meta.Record, error) {
	switch t {
	case kmsg.ConfigResourceTypeTopic:
		return meta.AlterTopic(m, a.Config, name, changes)
	case kmsg.ConfigResourceTypeBroker:
		return meta.AlterBroker(m, a.Config, name, changes)
	case kmsg.ConfigResourceTypeGroupConfig:
		return meta.AlterGroup(m, a.Config, name, changes)
	default:
		return nil, unsupportedResource(t)
	}
}
