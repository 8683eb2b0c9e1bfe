package api

import (
	"sync"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 5, (*API).addPartitionsToTxn)

// addPartitionsToTxn takes one transaction of a client, or, from version 4 on, many of a broker, which may only ask
// whether partitions were added.
func (a *API) addPartitionsToTxn(c *Call, req *kmsg.AddPartitionsToTxnRequest, resp *kmsg.AddPartitionsToTxnResponse) error {
	if c.Version < 4 {
		one := kmsg.NewAddPartitionsToTxnRequestTransaction()
		one.TransactionalID, one.ProducerID, one.ProducerEpoch = req.TransactionalID, req.ProducerID, req.ProducerEpoch
		for _, t := range req.Topics {
			one.Topics = append(one.Topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: t.Topic, Partitions: t.Partitions})
		}
		refuse := a.allow(c, auth.Write, auth.TransactionalID, req.TransactionalID)
		done := c.Park()
		a.addPartitions(c, &one, refuse, func(topics []kmsg.AddPartitionsToTxnResponseTransactionTopic) {
			for _, t := range topics {
				rt := kmsg.NewAddPartitionsToTxnResponseTopic()
				rt.Topic = t.Topic
				for _, p := range t.Partitions {
					rt.Partitions = append(rt.Partitions, kmsg.AddPartitionsToTxnResponseTopicPartition{Partition: p.Partition, ErrorCode: p.ErrorCode})
				}
				resp.Topics = append(resp.Topics, rt)
			}
			done(nil)
		})
		return nil
	}
	if err := a.allowCluster(c, auth.ClusterAction); err != nil {
		return err
	}
	resp.Transactions = make([]kmsg.AddPartitionsToTxnResponseTransaction, len(req.Transactions))
	all := gather(len(req.Transactions), c.Park())
	for i := range req.Transactions {
		rt := &resp.Transactions[i]
		*rt = kmsg.NewAddPartitionsToTxnResponseTransaction()
		rt.TransactionalID = req.Transactions[i].TransactionalID
		a.addPartitions(c, &req.Transactions[i], nil, func(topics []kmsg.AddPartitionsToTxnResponseTransactionTopic) {
			all(func() { rt.Topics = topics })
		})
	}
	all(nil)
	return nil
}

// gather calls done(nil) when its result was called n times with what fills in an answer, and once with nil.
func gather(n int, done func(error)) func(fill func()) {
	var mu sync.Mutex
	left := n + 1
	return func(fill func()) {
		mu.Lock()
		if fill != nil {
			fill()
		}
		left--
		last := left == 0
		mu.Unlock()
		if last {
			done(nil)
		}
	}
}

// addPartitions adds all partitions of a request to a transaction, or none.
func (a *API) addPartitions(c *Call, req *kmsg.AddPartitionsToTxnRequestTransaction, refuse error, done func([]kmsg.AddPartitionsToTxnResponseTransactionTopic)) {
	im := a.Meta.Image()
	var topics []kmsg.AddPartitionsToTxnResponseTransactionTopic
	var partitions []txn.Partition
	refused := refuse != nil
	for _, t := range req.Topics {
		rt := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
		rt.Topic = t.Topic
		err := refuse
		if err == nil && c.Version < 4 {
			err = a.allow(c, auth.Write, auth.Topic, t.Topic)
		}
		for _, p := range t.Partitions {
			of := err
			if of == nil && !hasPartition(im, t.Topic, p) {
				of = kerr.UnknownTopicOrPartition
			}
			refused = refused || of != nil
			rt.Partitions = append(rt.Partitions, kmsg.AddPartitionsToTxnResponseTransactionTopicPartition{Partition: p, ErrorCode: code(of)})
			partitions = append(partitions, txn.Partition{Topic: t.Topic, Index: p})
		}
		topics = append(topics, rt)
	}
	fill := func(err error) {
		for i := range topics {
			for j := range topics[i].Partitions {
				if p := &topics[i].Partitions[j]; p.ErrorCode == 0 {
					p.ErrorCode = code(err)
				}
			}
		}
		done(topics)
	}
	producer := txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
	switch {
	case refused:
		fill(kerr.OperationNotAttempted)
	case req.VerifyOnly:
		at := 0
		for i := range topics {
			for j := range topics[i].Partitions {
				err := a.Txns.Verify(c.Context, req.TransactionalID, producer, partitions[at])
				topics[i].Partitions[j].ErrorCode = code(abortable(err, c.Version, 5))
				at++
			}
		}
		done(topics)
	default:
		a.Txns.Add(c.Context, req.TransactionalID, producer, c.Version >= 4, partitions, func(err error) { fill(fenced(err, c.Version, 2)) })
	}
}

func hasPartition(im *meta.Image, topic string, index int32) bool {
	t := im.Topic(topic)
	if t == nil {
		return false
	}
	_, ok := t.Partition(index)
	return ok
}
