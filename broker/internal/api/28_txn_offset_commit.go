package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 6, (*API).txnOffsetCommit)

// offsetsImplicit is the version from which on the group becomes part of the transaction by the commit (KIP-890). Clients of
// older versions have added it before.
const offsetsImplicit = 5

func (a *API) txnOffsetCommit(c *Call, req *kmsg.TxnOffsetCommitRequest, resp *kmsg.TxnOffsetCommitResponse) error {
	topics := make([]kmsg.OffsetCommitRequestTopic, 0, len(req.Topics)) // the same words as in OffsetCommit
	for _, t := range req.Topics {
		ct := kmsg.OffsetCommitRequestTopic{Topic: t.Topic, TopicID: t.TopicID}
		for _, p := range t.Partitions {
			ct.Partitions = append(ct.Partitions, kmsg.OffsetCommitRequestTopicPartition{
				Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata,
			})
		}
		topics = append(topics, ct)
	}
	answer := func(topics []kmsg.OffsetCommitResponseTopic) {
		for _, t := range topics {
			rt := kmsg.TxnOffsetCommitResponseTopic{Topic: t.Topic, TopicID: t.TopicID}
			for _, p := range t.Partitions {
				rt.Partitions = append(rt.Partitions, kmsg.TxnOffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: p.ErrorCode})
			}
			resp.Topics = append(resp.Topics, rt)
		}
	}
	err := a.allow(c, auth.Write, auth.TransactionalID, req.TransactionalID)
	if err == nil {
		err = a.allow(c, auth.Read, auth.Group, req.Group)
	}
	if err != nil {
		answer(refusedCommit(topics, err))
		return nil
	}
	commit := coord.Commit{Member: req.MemberID, Instance: req.InstanceID, Generation: req.Generation}
	var parts []kmsg.OffsetCommitResponseTopic
	commit.Offsets, parts = a.committed(c, topics, c.Version >= 6, c.Version >= 2)
	if len(commit.Offsets) == 0 {
		answer(parts)
		return nil
	}
	done := c.Park()
	p := txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
	a.Txns.CommitOffsets(c.Context, req.TransactionalID, p, req.Group, commit, c.Version >= offsetsImplicit, func(err error) {
		failCommit(parts, abortable(err, c.Version, 4))
		answer(parts)
		done(nil)
	})
	return nil
}
