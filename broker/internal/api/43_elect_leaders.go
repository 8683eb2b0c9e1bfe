package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 2, (*API).electLeaders)

func (a *API) electLeaders(c *Call, req *kmsg.ElectLeadersRequest, resp *kmsg.ElectLeadersResponse) error {
	if err := a.allowCluster(c, auth.Alter); err != nil {
		return err
	}
	topics, all := req.Topics, req.Topics == nil
	if all {
		topics = everyPartition(a.Meta.Image())
	}
	var steps []step
	resp.Topics = make([]kmsg.ElectLeadersResponseTopic, len(topics))
	for i, t := range topics {
		rt := &resp.Topics[i]
		rt.Topic, rt.Partitions = t.Topic, make([]kmsg.ElectLeadersResponseTopicPartition, len(t.Partitions))
		for j, index := range t.Partitions {
			rp := &rt.Partitions[j]
			rp.Partition = index
			steps = append(steps, step{
				decide: func(m *meta.Image) ([]meta.Record, error) {
					return meta.ElectLeader(m, t.Topic, index, meta.Election(req.ElectionType))
				},
				answer: func(err error) { rp.ErrorCode, rp.ErrorMessage = refusal(err) },
			})
		}
	}
	a.proposeEach(c, false, steps)
	if all {
		leaveOutNeedless(resp)
	}
	if how := meta.Election(req.ElectionType); how != meta.Preferred && how != meta.Unclean {
		return kerr.InvalidRequest
	}
	return nil
}

func everyPartition(m *meta.Image) (out []kmsg.ElectLeadersRequestTopic) {
	for _, t := range m.Topics() {
		rt := kmsg.ElectLeadersRequestTopic{Topic: t.Name}
		for i := range t.Partitions {
			rt.Partitions = append(rt.Partitions, int32(i))
		}
		out = append(out, rt)
	}
	return out
}

// leaveOutNeedless drops partitions whose leader is the right one already: who asks for all wants to know the others.
func leaveOutNeedless(resp *kmsg.ElectLeadersResponse) {
	kept := resp.Topics[:0]
	for _, t := range resp.Topics {
		partitions := t.Partitions[:0]
		for _, p := range t.Partitions {
			if p.ErrorCode != kerr.ElectionNotNeeded.Code {
				partitions = append(partitions, p)
			}
		}
		if t.Partitions = partitions; len(partitions) > 0 {
			kept = append(kept, t)
		}
	}
	resp.Topics = kept
}
