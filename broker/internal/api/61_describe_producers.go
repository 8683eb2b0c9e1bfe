package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/storage"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 0, (*API).describeProducers)

func (a *API) describeProducers(c *Call, req *kmsg.DescribeProducersRequest, resp *kmsg.DescribeProducersResponse) error {
	for _, t := range req.Topics {
		rt := kmsg.NewDescribeProducersResponseTopic()
		rt.Topic = t.Topic
		refuse := a.allow(c, auth.Read, auth.Topic, t.Topic)
		for _, index := range t.Partitions {
			rp := kmsg.NewDescribeProducersResponseTopicPartition()
			rp.Partition = index
			producers, err := a.producersOf(t.Topic, index, refuse)
			rp.ErrorCode, rp.ErrorMessage = refusal(err)
			for _, p := range producers {
				active := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
				active.ProducerID, active.ProducerEpoch, active.CoordinatorEpoch = p.ID, int32(p.Epoch), p.CoordinatorEpoch
				active.LastSequence, active.LastTimestamp, active.CurrentTxnStartOffset = p.LastSequence(), p.LastSeen, p.TxnStart
				rp.ActiveProducers = append(rp.ActiveProducers, active)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return nil
}

func (a *API) producersOf(topic string, index int32, refuse error) ([]storage.Producer, error) {
	if refuse != nil {
		return nil, refuse
	}
	if err := meta.CheckTopicName(topic); err != nil {
		return nil, err
	}
	p, err := a.partition(topic, meta.TopicID{}, index)
	if err != nil {
		return nil, err
	}
	return p.Producers(a.clock())
}
