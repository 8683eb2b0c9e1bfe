package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 2, (*API).deleteRecords)

func (a *API) deleteRecords(c *Call, req *kmsg.DeleteRecordsRequest, resp *kmsg.DeleteRecordsResponse) error {
	for _, t := range req.Topics {
		rt := kmsg.NewDeleteRecordsResponseTopic()
		rt.Topic = t.Topic
		denied := a.allow(c, auth.Delete, auth.Topic, t.Topic)
		for _, p := range t.Partitions {
			rp := kmsg.NewDeleteRecordsResponseTopicPartition()
			rp.Partition, rp.LowWatermark = p.Partition, -1
			err := denied
			if err == nil {
				rp.LowWatermark, err = a.deleteBefore(t.Topic, p.Partition, p.Offset)
			}
			rp.ErrorCode = code(err)
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return nil
}

// deleteBefore answers with the first offset that is left.
func (a *API) deleteBefore(topic string, partition int32, offset int64) (int64, error) {
	p, err := a.partition(topic, meta.TopicID{}, partition)
	if err != nil {
		return -1, err
	}
	if internalTopic(topic) {
		return -1, kerr.InvalidTopicException
	}
	return p.DeleteBefore(offset)
}
