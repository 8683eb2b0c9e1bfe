package api

import (
	"slices"
	"strings"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 0, (*API).describeTopicPartitions)

// maxDescribed bounds the partitions of one answer, as Kafka's max.request.partition.size.limit does.
const maxDescribed = 2000

// describeTopicPartitions pages through topics by name (KIP-966).
func (a *API) describeTopicPartitions(c *Call, req *kmsg.DescribeTopicPartitionsRequest, resp *kmsg.DescribeTopicPartitionsResponse) error {
	if !cursorFits(req) {
		for _, t := range req.Topics { // the answer has no other place for an error
			rt := describedTopic(nil, t.Topic)
			rt.ErrorCode = kerr.InvalidRequest.Code
			resp.Topics = append(resp.Topics, rt)
		}
		return nil
	}
	m := a.Meta.Image()
	room := min(max(int(req.ResponsePartitionLimit), 1), maxDescribed)
	for _, name := range describeNames(m, req) {
		if len(req.Topics) == 0 && !a.may(c, auth.Describe, auth.Topic, name) {
			continue // it was not asked for
		}
		if err := a.allow(c, auth.Describe, auth.Topic, name); err != nil {
			rt := describedTopic(nil, name)
			rt.ErrorCode = code(err)
			resp.Topics = append(resp.Topics, rt)
			continue
		}
		from := 0
		if req.Cursor != nil && name == req.Cursor.Topic {
			from = int(req.Cursor.Partition)
		}
		t := m.Topic(name)
		if t != nil && room == 0 {
			resp.NextCursor = cursor(name, from)
			return nil
		}
		rt := describedTopic(t, name)
		rt.AuthorizedOperations = a.authorizedOperations(c, auth.Topic, name)
		if t != nil {
			from = min(from, len(t.Partitions))
			to := min(len(t.Partitions), from+room)
			rt.Partitions = describedPartitions(t, from, to)
			room -= to - from
			if to < len(t.Partitions) {
				resp.Topics, resp.NextCursor = append(resp.Topics, rt), cursor(name, to)
				return nil
			}
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return nil
}

// cursorFits tells whether the cursor is at a partition that can be, of a topic that is asked for.
func cursorFits(req *kmsg.DescribeTopicPartitionsRequest) bool {
	if req.Cursor == nil {
		return true
	}
	return req.Cursor.Partition >= 0 && (len(req.Topics) == 0 ||
		slices.ContainsFunc(req.Topics, func(t kmsg.DescribeTopicPartitionsRequestTopic) bool { return t.Topic == req.Cursor.Topic }))
}

// describeNames are the names to go through, in order, from the cursor on.
func describeNames(m *meta.Image, req *kmsg.DescribeTopicPartitionsRequest) []string {
	var names []string
	for _, t := range req.Topics {
		names = append(names, t.Topic)
	}
	if len(req.Topics) == 0 {
		for _, t := range m.Topics() {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if req.Cursor == nil {
		return names
	}
	return slices.DeleteFunc(names, func(n string) bool { return strings.Compare(n, req.Cursor.Topic) < 0 })
}

func cursor(topic string, partition int) *kmsg.DescribeTopicPartitionsResponseNextCursor {
	c := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	c.Topic, c.Partition = topic, int32(partition)
	return &c
}

func describedTopic(t *meta.Topic, name string) kmsg.DescribeTopicPartitionsResponseTopic {
	rt := kmsg.NewDescribeTopicPartitionsResponseTopic()
	rt.Topic = kmsg.StringPtr(name)
	if t == nil {
		err := meta.CheckTopicName(name)
		if err == nil {
			err = meta.ErrUnknownTopic
		}
		rt.ErrorCode, _ = refusal(err)
		return rt
	}
	rt.TopicID, rt.IsInternal = t.ID, t.Internal
	return rt
}

func describedPartitions(t *meta.Topic, from, to int) []kmsg.DescribeTopicPartitionsResponseTopicPartition {
	out := make([]kmsg.DescribeTopicPartitionsResponseTopicPartition, 0, to-from)
	for i := from; i < to; i++ {
		p := t.Partitions[i]
		rp := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		rp.Partition, rp.LeaderID, rp.LeaderEpoch = int32(i), p.Leader, p.LeaderEpoch
		rp.Replicas, rp.ISR = p.Replicas, p.ISR
		rp.EligibleLeaderReplicas, rp.LastKnownELR = []int32{}, []int32{} // none, and not null: Java's client trips over that
		out = append(out, rp)
	}
	return out
}
