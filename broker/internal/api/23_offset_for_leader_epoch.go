package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(2, 4, (*API).offsetForLeaderEpoch)

func (a *API) offsetForLeaderEpoch(c *Call, req *kmsg.OffsetForLeaderEpochRequest, resp *kmsg.OffsetForLeaderEpochResponse) error {
	follower := a.mayCluster(c, auth.ClusterAction)
	for _, t := range req.Topics {
		var refused error
		if !follower {
			refused = a.allow(c, auth.Describe, auth.Topic, t.Topic)
		}
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			rp.Partition = p.Partition
			rp.LeaderEpoch, rp.EndOffset = -1, -1
			if rp.ErrorCode = code(refused); refused == nil {
				rp.ErrorCode = code(a.epochEnd(t.Topic, p, &rp))
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return nil
}

func (a *API) epochEnd(topic string, req kmsg.OffsetForLeaderEpochRequestTopicPartition, resp *kmsg.OffsetForLeaderEpochResponseTopicPartition) error {
	p, err := a.partition(topic, meta.TopicID{}, req.Partition)
	if err != nil {
		return err
	}
	if err := p.CheckEpoch(req.CurrentLeaderEpoch); err != nil {
		return err
	}
	if req.LeaderEpoch < 0 { // none: it has no end
		return nil
	}
	resp.LeaderEpoch, resp.EndOffset, err = p.EpochEnd(req.LeaderEpoch)
	return err
}
