package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 3, (*API).createPartitions)

func (a *API) createPartitions(c *Call, req *kmsg.CreatePartitionsRequest, resp *kmsg.CreatePartitionsResponse) error {
	topics, twice := once(req.Topics, func(t kmsg.CreatePartitionsRequestTopic) string { return t.Topic })
	steps := make([]step, 0, len(topics))
	resp.Topics = make([]kmsg.CreatePartitionsResponseTopic, len(topics))
	for i, t := range topics {
		r := &resp.Topics[i]
		*r = kmsg.NewCreatePartitionsResponseTopic()
		r.Topic = t.Topic
		var assignment [][]int32
		if t.Assignment != nil {
			assignment = [][]int32{} // an empty one is wrong, unlike a null one
		}
		for _, p := range t.Assignment {
			assignment = append(assignment, p.Replicas)
		}
		steps = append(steps, step{
			refused: a.allow(c, auth.Alter, auth.Topic, t.Topic),
			decide: func(m *meta.Image) ([]meta.Record, error) {
				if twice[t.Topic] {
					return nil, worded(kerr.InvalidRequest, "Duplicate topic name.")
				}
				recs, err := meta.CreatePartitions(m, t.Topic, t.Count, assignment)
				if err == nil && !req.ValidateOnly {
					err = a.mutate(c, len(recs), c.Version >= 3)
				}
				return recs, err
			},
			answer: func(err error) { r.ErrorCode, r.ErrorMessage = refusal(err) },
		})
	}
	a.proposeEach(c, req.ValidateOnly, steps)
	return nil
}
