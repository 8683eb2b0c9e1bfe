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
		resp.Topics = refusedCommit(req, err)
		return nil
	}
	commit := coord.Commit{Member: req.MemberID, Instance: req.InstanceID, Generation: req.Generation}
	im := a.Meta.Image()
	maxMetadata := int(a.Config.Int("offset.metadata.max.bytes"))
	for _, t := range req.Topics {
		topic := topicOf(im, t.Topic, t.TopicID)
		refused := a.allowTopic(c, auth.Read, t.Topic, topic)
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition = p.Partition
			var known bool
			if topic != nil {
				_, known = topic.Partition(p.Partition)
			}
			switch {
			case refused != nil:
				rp.ErrorCode = code(refused)
			case topic == nil && c.Version >= 10:
				rp.ErrorCode = kerr.UnknownTopicID.Code
			case !known:
				rp.ErrorCode = kerr.UnknownTopicOrPartition.Code
			case p.Metadata != nil && len(*p.Metadata) > maxMetadata:
				rp.ErrorCode = kerr.OffsetMetadataTooLarge.Code
			default:
				o := coord.Offset{At: p.Offset, LeaderEpoch: -1, Metadata: orEmpty(p.Metadata)}
				if c.Version >= 6 {
					o.LeaderEpoch = p.LeaderEpoch
				}
				commit.Offsets = append(commit.Offsets, coord.Committed{Topic: topic.Name, Partition: p.Partition, Offset: o})
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	done := c.Park()
	a.Groups.Commit(c.Context, req.Group, commit, func(err error) {
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				if p := &resp.Topics[i].Partitions[j]; p.ErrorCode == 0 {
					p.ErrorCode = code(err)
				}
			}
		}
		done(nil)
	})
	return nil
}

// refusedCommit answers every partition with one error.
func refusedCommit(req *kmsg.OffsetCommitRequest, err error) (out []kmsg.OffsetCommitResponseTopic) {
	for _, t := range req.Topics {
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

// topicOf finds a topic by whichever of name and id the version has; nil: there is none.
func topicOf(im *meta.Image, name string, id meta.TopicID) *meta.Topic {
	if name != "" {
		return im.Topic(name)
	}
	return im.TopicByID(id)
}
