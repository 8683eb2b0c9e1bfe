package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 1, (*API).incrementalAlterConfigs)

func (a *API) incrementalAlterConfigs(c *Call, req *kmsg.IncrementalAlterConfigsRequest, resp *kmsg.IncrementalAlterConfigsResponse) error {
	steps, once := make([]step, 0, len(req.Resources)), onceEach{}
	for _, res := range req.Resources {
		once.note(res.ResourceType, res.ResourceName)
	}
	resp.Resources = make([]kmsg.IncrementalAlterConfigsResponseResource, len(req.Resources))
	for i, res := range req.Resources {
		r := &resp.Resources[i]
		*r = kmsg.NewIncrementalAlterConfigsResponseResource()
		r.ResourceType, r.ResourceName = res.ResourceType, res.ResourceName
		var changes []meta.Alter
		for _, ch := range res.Configs {
			changes = append(changes, meta.Alter{Name: ch.Name, Op: meta.Op(ch.Op), Value: ch.Value})
		}
		answer := func(err error) { r.ErrorCode, r.ErrorMessage = refusal(err) }
		if res.ResourceType == kmsg.ConfigResourceTypeBrokerLogger { // which is this process's own, and not remembered
			answer(a.alterLoggers(c, res.ResourceName, changes, req.ValidateOnly))
			continue
		}
		steps = append(steps, step{
			refused: a.allowConfigs(c, auth.AlterConfigs, res.ResourceType, res.ResourceName),
			decide: func(m *meta.Image) ([]meta.Record, error) {
				if err := once.check(res.ResourceType, res.ResourceName); err != nil {
					return nil, err
				}
				return a.alterResource(m, res.ResourceType, res.ResourceName, changes)
			},
			answer: answer,
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

// onceEach counts how often a request names a resource: which of two changes would hold, nobody can say.
type onceEach map[resourceName]int

type resourceName struct {
	kind kmsg.ConfigResourceType
	name string
}

func (o onceEach) note(t kmsg.ConfigResourceType, name string) { o[resourceName{t, name}]++ }

func (o onceEach) check(t kmsg.ConfigResourceType, name string) error {
	if o[resourceName{t, name}] > 1 {
		return &meta.Error{Kind: meta.ErrInvalidRequest, Message: "Each resource must appear at most once."}
	}
	return nil
}
