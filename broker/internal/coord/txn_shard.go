package coord

import (
	"fmt"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/obs"
	"github.com/twmb/franz-go/pkg/kerr"
)

// retryWait is how long the coordinator waits before it tries again what failed.
const retryWait = time.Second

// txnShard is the transactional ids of one partition of the transactions topic.
type txnShard struct {
	txnsOf *Txns
	log    journal

	mu     sync.Mutex
	loaded bool
	closed bool
	txns   map[string]*tracked
	timer  *time.Timer
	armed  time.Time
}

// tracked is a transactional id with what the coordinator keeps beside it.
type tracked struct {
	*txn.Txn

	persisting int           // records of it that are not durable yet
	late       []func(error) // answers that build on them
	appending  int           // batches that were let in and may have no place in their log yet
	marking    bool          // markers are being written
	retry      time.Time     // when what failed is tried again; zero: nothing did
	rewrite    bool          // its state has a place in the log, but is not durable
	ending     []func(error) // who waits for the markers
}

func newTxnShard(t *Txns, p *replica.Partition) *txnShard {
	return &txnShard{txnsOf: t, log: newJournal(&t.cfg, TransactionsTopic, p), txns: map[string]*tracked{}}
}

func (s *txnShard) partition() *replica.Partition { return s.log.Partition }

func (s *txnShard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

// load reads the partition, once, and goes on where the broker was interrupted.
func (s *txnShard) load() error {
	interrupted, err := s.read()
	for _, x := range interrupted {
		s.mu.Lock()
		s.advance(x)
	}
	return err
}

// read reads the partition, and returns the transactions that are decided and have not ended.
func (s *txnShard) read() (interrupted []*tracked, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded {
		return nil, nil
	}
	if err := s.log.replay(func(h *batch.Header, r *batch.Record) {
		if err := s.restore(r); err != nil { // one record is not worth all transactions of the partition
			s.txnsOf.cfg.Log.Error("a record of the transactions topic cannot be read and is passed over", "offset", h.BaseOffset+int64(r.OffsetDelta), "error", err)
		}
	}, nil); err != nil {
		return nil, err
	}
	s.loaded = true
	for _, x := range s.txns {
		s.arm(x)
		if x.Preparing() {
			interrupted = append(interrupted, x)
		}
	}
	return interrupted, nil
}

func (s *txnShard) restore(r *batch.Record) error {
	id, known, err := readTxnKey(r.Key)
	switch {
	case err != nil || !known:
		return err
	case r.Value == nil:
		delete(s.txns, id)
		return nil
	}
	x, err := readTxn(id, r.Value)
	if err != nil {
		return err
	}
	s.txns[id] = &tracked{Txn: x}
	return nil
}

// move takes a transactional id to its next state, and gives the lock back. done is called when that is durable, or with
// the reason why it is not. Then what the state asks for is done.
func (s *txnShard) move(x *tracked, next *txn.Txn, done func(error)) {
	var settle func()
	holding(&s.mu, func() { settle = s.write(x, next, done) })
	s.mu.Unlock()
	settle()
}

// write is move up to where the lock is given back.
func (s *txnShard) write(x *tracked, next *txn.Txn, done func(error)) (settle func()) {
	r := txnRecord(next)
	if next.State == txn.Dead {
		r.value = nil
	}
	x.persisting++
	settle, err := s.log.append([]record{r}, nil, func(_ int64, err error) {
		if err != nil {
			s.txnsOf.cfg.Log.Error("a transaction's state cannot be written", "transactional id", next.ID, "state", next.State, "error", err)
			err = kerr.CoordinatorNotAvailable
		}
		done(err)
		s.written(x, next, err)
	})
	if err == nil {
		x.Txn, s.txns[x.ID] = next, x
		s.arm(x)
	}
	if x.State == txn.Dead {
		delete(s.txns, x.ID)
	}
	return settle
}

// finish takes a transaction to its outcome, and gives the lock back. done is called when all markers were tried, or with
// the reason why nothing is decided.
func (s *txnShard) finish(x *tracked, next *txn.Txn, done func(error)) {
	x.ending = append(x.ending, done)
	s.move(x, next, func(err error) {
		if err == nil {
			return
		}
		s.mu.Lock()
		ending := x.ending
		x.ending = nil
		s.mu.Unlock()
		for _, done := range ending {
			done(err)
		}
	})
}

// written goes on when a state is durable, or could not be made so.
func (s *txnShard) written(x *tracked, next *txn.Txn, err error) {
	s.mu.Lock()
	var late []func(error)
	if x.persisting--; x.persisting == 0 {
		late, x.late = x.late, nil
	}
	if err != nil {
		x.rewrite = x.rewrite || x.Txn == next
		s.again(x)
		s.mu.Unlock()
	} else {
		s.advance(x)
	}
	for _, answer := range late {
		answer(err)
	}
}

// settle answers an event that led to next, or changed nothing if that is nil, and gives the lock back: nobody hears of
// what is not durable.
func (s *txnShard) settle(x *tracked, next *txn.Txn, err error, done func(error)) {
	switch {
	case next != nil:
		s.move(x, next, done)
	case err == nil && x.rewrite:
		s.mu.Unlock()
		done(kerr.CoordinatorNotAvailable)
	case err == nil && x.persisting > 0:
		x.late = append(x.late, done)
		s.mu.Unlock()
	default:
		s.mu.Unlock()
		done(err)
	}
}

// advance brings a decided transaction to its end, and gives the lock back: the state is durable, then the markers are
// written, then it is complete.
func (s *txnShard) advance(x *tracked) {
	if !x.Preparing() || x.persisting > 0 || x.marking || x.appending > 0 || s.closed || !x.retry.IsZero() {
		s.mu.Unlock()
		return
	}
	if len(x.Partitions) > 0 {
		x.marking = true
		s.mark(x)
		return
	}
	ending := x.ending
	x.ending = nil
	var next *txn.Txn
	holding(&s.mu, func() { next = x.Complete(s.txnsOf.cfg.Clock()) })
	s.move(x, next, func(error) {})
	for _, done := range ending {
		done(nil)
	}
}

// mark writes a transaction's markers, and gives the lock back.
func (s *txnShard) mark(x *tracked) {
	m := replica.Marker{
		ProducerID: x.Producer.ID, ProducerEpoch: x.Producer.Epoch, Commit: x.State == txn.PrepareCommit, CoordinatorEpoch: s.log.LeaderEpoch(),
	}
	if x.V2 {
		m.Version = 2
	}
	id, partitions := x.ID, x.Partitions
	s.mu.Unlock()
	var mu sync.Mutex
	left, failed := len(partitions), false
	for _, p := range partitions {
		s.txnsOf.Mark(p, m, func(err error) {
			if err = s.lasting(id, p, err); err == nil {
				s.mu.Lock()
				x.Txn = x.Marked(p)
				s.mu.Unlock()
			}
			mu.Lock()
			left--
			failed = failed || err != nil
			last := left == 0
			mu.Unlock()
			if last {
				s.marked(x, failed)
			}
		})
	}
}

// lasting is nil for errors of markers that no second try helps: the partition has gone, or has moved on to a later
// epoch, so that nothing of the transaction can be open there.
func (s *txnShard) lasting(id string, p txn.Partition, err error) error {
	switch {
	case err == nil || isGone(err):
		return nil
	case isFenced(err):
		s.txnsOf.cfg.Log.Warn("a partition is beyond the transaction that ends", "transactional id", id, "partition", fmt.Sprintf("%s-%d", p.Topic, p.Index), "error", err)
		return nil
	}
	s.txnsOf.cfg.Log.Error("a marker cannot be written yet", "transactional id", id, "partition", fmt.Sprintf("%s-%d", p.Topic, p.Index), "error", err)
	return err
}

// marked goes on when every marker was tried.
func (s *txnShard) marked(x *tracked, failed bool) {
	s.mu.Lock()
	x.marking = false
	if !failed {
		s.advance(x)
		return
	}
	ending := x.ending
	x.ending = nil
	s.again(x)
	s.mu.Unlock()
	for _, done := range ending { // the outcome stays, and consumers will see it
		done(nil)
	}
}

// again has what failed tried once more. The caller holds the lock.
func (s *txnShard) again(x *tracked) {
	x.retry = s.txnsOf.cfg.Clock().Add(retryWait)
	s.arm(x)
}

// deadline is when a transactional id has something to do; zero: never.
func (s *txnShard) deadline(x *tracked) time.Time {
	if !x.retry.IsZero() {
		return x.retry
	}
	return x.Deadline(s.expiration())
}

func (s *txnShard) expiration() time.Duration {
	return s.txnsOf.cfg.Broker.Millis("transactional.id.expiration.ms")
}

// arm sets the timer for a deadline. It fires too early when deadlines moved: then it is set again. The caller holds the lock.
func (s *txnShard) arm(x *tracked) {
	next := s.deadline(x)
	if next.IsZero() || s.closed || !s.armed.IsZero() && !next.Before(s.armed) {
		return
	}
	s.armed = next
	wait := max(next.Sub(s.txnsOf.cfg.Clock()), 0)
	if s.timer == nil {
		s.timer = time.AfterFunc(wait, s.tick)
		return
	}
	s.timer.Reset(wait)
}

// tick lets time pass for every transactional id.
func (s *txnShard) tick() {
	now, expiration := s.txnsOf.cfg.Clock(), s.expiration()
	for _, x := range s.due(now) {
		s.pass(x, now, expiration)
	}
}

// due lists who has something to do, and arms the timer for the others.
func (s *txnShard) due(now time.Time) (due []*tracked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = time.Time{}
	for _, x := range s.txns {
		if at := s.deadline(x); !at.IsZero() && !now.Before(at) {
			due = append(due, x)
			continue
		}
		s.arm(x)
	}
	return due
}

// pass lets time pass for one. If that panics it must not end the timer of the others.
func (s *txnShard) pass(x *tracked, now time.Time, expiration time.Duration) {
	defer func() {
		if p := recover(); p != nil {
			obs.Panicked(s.txnsOf.cfg.Log, "the timer of a transaction", p)
		}
	}()
	s.mu.Lock()
	var next *txn.Txn
	holding(&s.mu, func() {
		x.retry = time.Time{}
		next = x.Tick(now, expiration)
	})
	switch {
	case s.closed:
		s.mu.Unlock()
	case next != nil:
		s.move(x, next, func(error) {})
	case x.rewrite:
		x.rewrite = false
		s.move(x, x.Txn, func(error) {})
	default:
		s.arm(x)
		s.advance(x)
	}
}
