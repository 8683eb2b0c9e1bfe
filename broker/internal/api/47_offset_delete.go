package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 0, (*API).offsetDelete)

func (a *API) offsetDelete(c *Call, req *kmsg.OffsetDeleteRequest, resp *kmsg.OffsetDeleteResponse) error {
	if err := a.allow(c, auth.Delete, auth.Group, req.Group); err != nil {
		return err
	}
	im := a.Meta.Image()
	var all []coord.At
	var topics []kmsg.OffsetDeleteResponseTopic
	for _, t := range req.Topics {
		rt := kmsg.NewOffsetDeleteResponseTopic()
		rt.Topic = t.Topic
		refused := a.allow(c, auth.Read, auth.Topic, t.Topic)
		topic := im.Topic(t.Topic)
		for _, p := range t.Partitions {
			err := refused
			if err == nil && !has(topic, p.Partition) {
				err = kerr.UnknownTopicOrPartition
			}
			rp := kmsg.NewOffsetDeleteResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, code(err)
			rt.Partitions = append(rt.Partitions, rp)
			if err == nil {
				all = append(all, coord.At{Topic: t.Topic, Partition: p.Partition})
			}
		}
		topics = append(topics, rt)
	}
	done := c.Park()
	a.Groups.DeleteOffsets(c.Context, req.Group, all, func(subscribed map[string]bool, err error) {
		if err != nil {
			done(err)
			return
		}
		for _, t := range topics {
			for i := range t.Partitions {
				if p := &t.Partitions[i]; p.ErrorCode == 0 && subscribed[t.Topic] {
					p.ErrorCode = kerr.GroupSubscribedToTopic.Code
				}
			}
		}
		resp.Topics = topics
		done(nil)
	})
	return nil
}
