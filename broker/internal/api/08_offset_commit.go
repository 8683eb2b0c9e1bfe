package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(2, 10, (*API).offsetCommit)

func (a *API) offsetCommit(c *Call, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse) error {
	if err := a.allow(c, auth.Read, auth.Group, req.Group); err != nil {
		resp.Topics = refusedCommit(req.Topics, err)
		return nil
	}
	commit := coord.Commit{Member: req.MemberID, Instance: req.InstanceID, Generation: req.Generation, Epochs: c.Version >= 9}
	if c.Version <= 4 && req.RetentionTimeMillis >= 0 {
		commit.Retention = max(req.RetentionTimeMillis, 1)
	}
	commit.Offsets, resp.Topics = a.committed(c, req.Topics, c.Version >= 10, c.Version >= 6)
	done := c.Park()
	a.Groups.Commit(c.Context, req.Group, commit, func(err error) {
		failCommit(resp.Topics, err)
		done(nil)
	})
	return nil
}

// committed is what a client wants to commit, and an answer with the errors of what it cannot. byID: topics came by id;
// epochs: leader epochs came with the offsets.
func (a *API) committed(c *Call, topics []kmsg.OffsetCommitRequestTopic, byID, epochs bool) (offsets []coord.Committed, answer []kmsg.OffsetCommitResponseTopic) {
	im := a.Meta.Image()
	maxMetadata := int(a.Config.Int("offset.metadata.max.bytes"))
	for _, t := range topics {
		topic := topicOf(im, t.Topic, t.TopicID)
		refused := a.allowTopic(c, auth.Read, t.Topic, topic)
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition = p.Partition
			switch {
			case refused != nil:
				rp.ErrorCode = code(refused)
			case topic == nil && byID:
				rp.ErrorCode = kerr.UnknownTopicID.Code
			case !has(topic, p.Partition):
				rp.ErrorCode = kerr.UnknownTopicOrPartition.Code
			case p.Metadata != nil && len(*p.Metadata) > maxMetadata:
				rp.ErrorCode = kerr.OffsetMetadataTooLarge.Code
			default:
				o := coord.Offset{At: p.Offset, LeaderEpoch: -1, Metadata: orEmpty(p.Metadata)}
				if epochs {
					o.LeaderEpoch = p.LeaderEpoch
				}
				offsets = append(offsets, coord.Committed{Topic: topic.Name, Partition: p.Partition, Offset: o})
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		answer = append(answer, rt)
	}
	return offsets, answer
}

// failCommit puts err into every partition of an answer that has none yet.
func failCommit(answer []kmsg.OffsetCommitResponseTopic, err error) {
	for i := range answer {
		for j := range answer[i].Partitions {
			if p := &answer[i].Partitions[j]; p.ErrorCode == 0 {
				p.ErrorCode = code(err)
			}
		}
	}
}

// refusedCommit answers every partition with one error.
func refusedCommit(topics []kmsg.OffsetCommitRequestTopic, err error) (out []kmsg.OffsetCommitResponseTopic) {
	for _, t := range topics {
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, code(err)
			rt.Partitions = append(rt.Partitions, rp)
		}
		out = append(out, rt)
	}
	return out
}

// has tells whether there is such a partition; a topic that is nil has none.
func has(t *meta.Topic, partition int32) bool {
	if t == nil {
		return false
	}
	_, known := t.Partition(partition)
	return known
}

// topicOf finds a topic by whichever of name and id the version has; nil: there is none.
func topicOf(im *meta.Image, name string, id meta.TopicID) *meta.Topic {
	if name != "" {
		return im.Topic(name)
	}
	return im.TopicByID(id)
}
