package api

import (
	"bytes"
	"sync"

	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kerr"
)

// produceImplicit is the version of Produce from which on a partition becomes part of the transaction by being written to
// (KIP-890). Clients of older versions have added it before.
const produceImplicit = 12

// produceAbortable is the version of Produce from which on clients know TRANSACTION_ABORTABLE.
const produceAbortable = 11

// enlisting is the batches that wait until the coordinator has said whether their partition is part of the transaction:
// those of one producer for one partition keep their order.
type enlisting struct {
	mu      sync.Mutex
	waiting map[enlistKey][]func(since int64, err error)
}

type enlistKey struct {
	partition *replica.Partition
	producer  int64
	epoch     int16
}

// notTransactional refuses a batch of a transaction in a request that names none: nobody has asked whether the client may
// write in that transaction (CVE-2018-17196).
func notTransactional(records []byte) error {
	if h, err := batch.ReadHeader(records); err == nil && h.Transactional() {
		return kerr.TransactionalIDAuthorizationFailed
	}
	return nil
}

// appendTransactional appends a batch whose producer is in a transaction. The first of them for a partition asks the
// coordinator, which may take time: it is copied out of the frame. untold is that of Append.
func (a *API) appendTransactional(c *Call, id string, t *producedTopic, index int32, part *replica.Partition, raw []byte, acks int16, done func(replica.Result, error)) (untold bool) {
	h, err := batch.ReadHeader(raw)
	if err != nil || !h.Transactional() || h.ProducerID < 0 { // the checks of Append find the words for it
		return part.Append(raw, acks, replica.NotAsked, a.clock(), done)
	}
	key := enlistKey{part, h.ProducerID, h.ProducerEpoch}
	e := &a.enlisting
	e.mu.Lock()
	queue, asked := e.waiting[key]
	if !asked && part.InTransaction(h.ProducerID, h.ProducerEpoch) {
		e.mu.Unlock()
		return part.Append(raw, acks, replica.NotAsked, a.clock(), done)
	}
	own := bytes.Clone(raw)
	implicit := c.Version >= produceImplicit
	if e.waiting == nil {
		e.waiting = map[enlistKey][]func(int64, error){}
	}
	e.waiting[key] = append(queue, func(since int64, err error) {
		if err == nil && implicit { // each of its transactions has an epoch, whose sequences begin at 0
			err = part.MayBegin(h.ProducerID, h.BaseSequence)
		}
		if err != nil {
			done(replica.Result{}, err)
			return
		}
		if part.Append(own, acks, since, a.clock(), done) {
			part.Tell()
		}
	})
	e.mu.Unlock()
	if asked {
		return false
	}
	since, err := part.EndOffset()
	if err != nil {
		e.answer(key, replica.NotAsked, err)
		return false
	}
	name := t.name
	if topic := topicOf(a.Meta.Image(), t.name, t.id); topic != nil {
		name = topic.Name
	}
	a.Txns.Enlist(c.Context, id, h.ProducerID, h.ProducerEpoch, name, index, implicit, func(err error) {
		e.answer(key, since, abortable(err, c.Version, produceAbortable))
	})
	return false
}

// answer lets those who wait go on, in their order. Who comes meanwhile waits behind them.
func (e *enlisting) answer(key enlistKey, since int64, err error) {
	for {
		e.mu.Lock()
		queue := e.waiting[key]
		if len(queue) == 0 {
			delete(e.waiting, key)
			e.mu.Unlock()
			return
		}
		next := queue[0]
		e.waiting[key] = queue[1:]
		e.mu.Unlock()
		next(since, err)
	}
}
