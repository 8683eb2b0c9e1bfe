package txn

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// State of a transactional id, by Kafka's names.
type State string

// The states. A transaction that is fenced goes to PrepareAbort in one step: nobody sees PrepareEpochFence.
const (
	Empty             State = "Empty"
	Ongoing           State = "Ongoing"
	PrepareCommit     State = "PrepareCommit"
	PrepareAbort      State = "PrepareAbort"
	CompleteCommit    State = "CompleteCommit"
	CompleteAbort     State = "CompleteAbort"
	Dead              State = "Dead"
	PrepareEpochFence State = "PrepareEpochFence"
)

// States are all of them, each at Kafka's number.
var States = []State{Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort, Dead, PrepareEpochFence}

// maxEpoch is the last epoch that a producer gets. The one after it is left to fence with.
const maxEpoch = 32766

// ErrNeedsProducerID says that the event is to be tried again with a producer id that was never used.
var ErrNeedsProducerID = errors.New("a new producer id is needed")

// Producer is a producer id with an epoch. Negative: none.
type Producer struct {
	ID    int64
	Epoch int16
}

// NoProducer is what a client sends that has no id yet.
var NoProducer = Producer{-1, -1}

// Partition is one that takes part in a transaction.
type Partition struct {
	Topic string
	Index int32
}

func compare(a, b Partition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Index, b.Index))
}

// Txn is a transactional id. It is never changed.
type Txn struct {
	ID         string
	Producer   Producer
	PreviousID int64 // producer id before the last Init or completion
	NextID     int64 // producer id from the completion on; -1: the same
	Timeout    time.Duration
	State      State
	Partitions []Partition // ordered; while preparing, those without a marker
	Started    time.Time   // of the transaction; zero: none yet
	Updated    time.Time
	V2         bool // the client of the last event bumps its epoch with every transaction (KIP-890)

	last int16 // epoch before Producer.Epoch that may try again; -1: none. Not kept
}

// New is a transactional id that nobody used yet.
func New(id string) *Txn {
	return &Txn{ID: id, Producer: NoProducer, PreviousID: -1, NextID: -1, State: Empty, last: -1}
}

// Restore is a Txn that was read back. A producer whose last transaction gave it the next epoch may not have heard of it: it
// may try again, as before.
func Restore(t Txn) *Txn {
	t.last = -1
	if t.V2 && (t.Preparing() || t.Completed()) {
		if t.last = t.Producer.Epoch - 1; t.last < 0 {
			t.last = maxEpoch
		}
	}
	slices.SortFunc(t.Partitions, compare)
	return &t
}

// Preparing tells that the outcome is decided and markers are under way.
func (t *Txn) Preparing() bool { return t.State == PrepareCommit || t.State == PrepareAbort }

// Completed tells that the last transaction's markers are written.
func (t *Txn) Completed() bool { return t.State == CompleteCommit || t.State == CompleteAbort }

// Has tells whether a partition takes part in the transaction.
func (t *Txn) Has(p Partition) bool {
	_, found := slices.BinarySearchFunc(t.Partitions, p, compare)
	return found
}

// to is a copy in another state.
func (t *Txn) to(s State, now time.Time) *Txn {
	next := *t
	next.State, next.Updated = s, now
	return &next
}

// owned proves that a request comes from the producer of the transactional id.
func (t *Txn) owned(p Producer) error {
	switch {
	case t.Preparing() && p == t.Next(): // it was told who it is, and comes before the end of the last transaction (KAFKA-18660)
		return kerr.ConcurrentTransactions
	case p.ID < 0 || p.ID != t.Producer.ID:
		return kerr.InvalidProducerIDMapping
	case p.Epoch != t.Producer.Epoch:
		return kerr.ProducerFenced
	}
	return nil
}

// Init decides on InitProducerId. expected is what the producer says it has. fresh is a producer id in case one is
// needed, or negative. A transaction that is open is aborted, and the client has to come again.
func (t *Txn) Init(now time.Time, timeout time.Duration, expected Producer, fresh int64) (*Txn, error) {
	switch {
	case t.Producer == NoProducer:
		return t.init(now, timeout, Producer{fresh, 0}, -1)
	case t.Preparing() && expected == t.Next():
		return nil, kerr.ConcurrentTransactions
	case expected.ID >= 0 && expected.ID != t.Producer.ID && !(expected.ID == t.PreviousID && expected.Epoch >= maxEpoch):
		return nil, kerr.ProducerFenced
	case t.Preparing():
		return nil, kerr.ConcurrentTransactions
	case t.State == Ongoing && expected.ID >= 0 && expected != t.Producer: // a zombie may not abort its successor's
		return nil, kerr.ProducerFenced
	case t.State == Ongoing:
		next := t.fence(now)
		next.last = expected.Epoch // who comes again is who asked
		return next, kerr.ConcurrentTransactions
	case expected.ID < 0:
		return t.bump(now, timeout, -1, fresh)
	case expected == t.Producer:
		return t.bump(now, timeout, expected.Epoch, fresh)
	case t.last < 0 || expected.Epoch != t.last:
		return nil, kerr.ProducerFenced
	case t.Producer.Epoch > maxEpoch: // it was fenced at its own wish, with the epoch that nobody gets
		return t.bump(now, timeout, expected.Epoch, fresh)
	default: // its first attempt succeeded
		next := t.to(Empty, now)
		next.Timeout, next.Started = timeout, time.Time{}
		return next, nil
	}
}

// bump gives the producer its next epoch, of a new producer id where epochs ran out.
func (t *Txn) bump(now time.Time, timeout time.Duration, last int16, fresh int64) (*Txn, error) {
	if t.Producer.Epoch >= maxEpoch {
		return t.init(now, timeout, Producer{fresh, 0}, last)
	}
	return t.init(now, timeout, Producer{t.Producer.ID, t.Producer.Epoch + 1}, last)
}

func (t *Txn) init(now time.Time, timeout time.Duration, p Producer, last int16) (*Txn, error) {
	if p.ID < 0 {
		return nil, ErrNeedsProducerID
	}
	next := t.to(Empty, now)
	next.Producer, next.PreviousID, next.Timeout, next.Started, next.last = p, t.Producer.ID, timeout, time.Time{}, last
	next.V2 = false
	return next, nil
}

// fence aborts the open transaction under an epoch that no producer has.
func (t *Txn) fence(now time.Time) *Txn {
	next := t.to(PrepareAbort, now)
	next.Producer.Epoch++
	next.last, next.V2 = -1, false // the fenced producer's request is no retry of what is done here
	return next
}

// expire aborts a transaction that took too long. Its producer did not lose its id to anybody: with KIP-890 it may still
// abort, is told the epoch that this gave it, and goes on.
func (t *Txn) expire(now time.Time) *Txn {
	next := t.fence(now)
	if t.V2 && t.Producer.Epoch < maxEpoch {
		next.last, next.V2 = t.Producer.Epoch, true
	}
	return next
}

// Add makes partitions part of the transaction, which begins with the first. nil, nil: they are.
func (t *Txn) Add(now time.Time, p Producer, v2 bool, partitions ...Partition) (*Txn, error) {
	if err := t.owned(p); err != nil {
		return nil, err
	}
	if t.Preparing() {
		return nil, kerr.ConcurrentTransactions
	}
	missing := slices.DeleteFunc(slices.Clone(partitions), t.Has)
	if t.State == Ongoing && len(missing) == 0 {
		return nil, nil
	}
	next := t.to(Ongoing, now)
	if t.State != Ongoing {
		next.Started = now
	}
	next.V2 = v2
	next.Partitions = append(slices.Clone(t.Partitions), missing...)
	slices.SortFunc(next.Partitions, compare)
	next.Partitions = slices.Compact(next.Partitions)
	return next, nil
}

// Verify checks that a partition takes part in the transaction.
func (t *Txn) Verify(p Producer, partition Partition) error {
	switch err := t.owned(p); {
	case err != nil:
		return err
	case t.Preparing():
		return kerr.ConcurrentTransactions
	case t.State != Ongoing || !t.Has(partition):
		return kerr.TransactionAbortable
	}
	return nil
}

// End decides on EndTxn. nil, nil: it was done before. fresh is as for Init.
func (t *Txn) End(now time.Time, p Producer, commit, v2 bool, fresh int64) (*Txn, error) {
	retry := false
	if v2 {
		bumped := t.V2 && p.ID == t.Producer.ID && p.Epoch == t.Producer.Epoch-1
		changed := t.V2 && p.ID == t.PreviousID && p.ID != t.Producer.ID && p.Epoch == maxEpoch && t.Producer.Epoch == 0
		retry = bumped && t.Preparing() || (bumped || changed) && t.Completed()
	}
	if !retry {
		if err := t.owned(p); err != nil {
			return nil, err
		}
		retry = !v2 && (t.Preparing() || t.Completed())
	}
	same := commit == (t.State == PrepareCommit || t.State == CompleteCommit)
	switch {
	case t.State == Ongoing:
		return t.prepare(now, commit, v2, fresh)
	case retry && !same:
		return nil, kerr.InvalidTxnState
	case retry && t.Preparing():
		return nil, kerr.ConcurrentTransactions
	case retry:
		return nil, nil
	case t.Preparing(): // of the same epoch: not from a client that follows KIP-890
		return nil, kerr.ProducerFenced
	case commit || !v2:
		return nil, kerr.InvalidTxnState
	}
	return t.prepare(now, false, v2, fresh) // a transaction without partitions still ends its epoch
}

func (t *Txn) prepare(now time.Time, commit, v2 bool, fresh int64) (*Txn, error) {
	state := PrepareAbort
	if commit {
		state = PrepareCommit
	}
	next := t.to(state, now)
	next.V2 = v2
	if t.State != Ongoing {
		next.Started = now
	}
	if !v2 {
		return next, nil
	}
	if t.Producer.Epoch >= maxEpoch {
		if fresh < 0 {
			return nil, ErrNeedsProducerID
		}
		next.NextID = fresh
	}
	next.last = t.Producer.Epoch
	next.Producer.Epoch++ // the markers' epoch: nothing of this transaction can come after them
	return next, nil
}

// Marked notes that the marker of a partition is durable.
func (t *Txn) Marked(p Partition) *Txn {
	next := *t
	next.Partitions = slices.DeleteFunc(slices.Clone(t.Partitions), func(x Partition) bool { return x == p })
	return &next
}

// Complete ends a transaction whose markers are all durable.
func (t *Txn) Complete(now time.Time) *Txn {
	state := CompleteAbort
	if t.State == PrepareCommit {
		state = CompleteCommit
	}
	next := t.to(state, now)
	next.Partitions, next.PreviousID, next.NextID = nil, t.Producer.ID, -1
	next.Producer = t.Next()
	return next
}

// Next is the producer of the transaction after the one that is prepared.
func (t *Txn) Next() Producer {
	if t.NextID >= 0 {
		return Producer{t.NextID, 0}
	}
	return t.Producer
}

// Deadline is when Tick has something to do; zero: never.
func (t *Txn) Deadline(expiration time.Duration) time.Time {
	switch {
	case t.State == Ongoing:
		return t.Started.Add(t.Timeout)
	case t.State == Empty || t.Completed():
		return t.Updated.Add(expiration)
	}
	return time.Time{}
}

// Tick aborts a transaction that took too long, and ends a transactional id that nobody used for expiration. nil: neither.
func (t *Txn) Tick(now time.Time, expiration time.Duration) *Txn {
	at := t.Deadline(expiration)
	switch {
	case at.IsZero() || now.Before(at):
		return nil
	case t.State == Ongoing:
		return t.expire(now)
	}
	return t.to(Dead, now)
}
