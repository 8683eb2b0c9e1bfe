package coord

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TransactionsTopic holds transactional ids.
const TransactionsTopic = "__transaction_state"

// Txns are the transactional ids that this broker coordinates.
type Txns struct {
	cfg     Config
	topic   topic[*txnShard]
	groups  *Groups // whose partitions take part in transactions that commit offsets
	loading sync.WaitGroup

	ids producerIDs
}

// NewTxns coordinates transactions, some of which commit offsets of groups.
func NewTxns(cfg Config, groups *Groups) *Txns {
	t := &Txns{cfg: cfg, groups: groups}
	t.topic = topic[*txnShard]{cfg: &t.cfg, name: TransactionsTopic, shards: map[int32]*txnShard{}}
	t.topic.make = func(p *replica.Partition) *txnShard { return newTxnShard(t, p) }
	return t
}

// Start reads every transaction, so that those that were open when the broker stopped end in time without anybody asking.
func (t *Txns) Start() {
	t.loading.Go(func() {
		if _, err := t.topic.all(); err != nil && !errors.Is(err, kerr.CoordinatorNotAvailable) {
			t.cfg.Log.Error("transactions cannot be read: those that are open stay open", "error", err)
		}
	})
}

// Close stops the timers.
func (t *Txns) Close() {
	t.topic.close()
	t.loading.Wait()
}

// Ready makes the topic of transactions if needed.
func (t *Txns) Ready(ctx context.Context) error {
	_, err := t.topic.ready(ctx)
	return err
}

// find returns the shard of a transactional id, locked, and what is known of it.
func (t *Txns) find(ctx context.Context, id string) (*txnShard, *tracked, error) {
	if id == "" {
		return nil, nil, kerr.InvalidRequest
	}
	s, err := t.topic.of(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	x := s.txns[id]
	if x == nil {
		return s, &tracked{Txn: txn.New(id)}, nil
	}
	return s, x, nil
}

// Init gives a transactional id's producer its id and epoch, and fences whoever had them. done is called once.
func (t *Txns) Init(ctx context.Context, id string, timeout time.Duration, expected txn.Producer, done func(txn.Producer, error)) {
	if timeout <= 0 || timeout > t.cfg.Broker.Millis("transaction.max.timeout.ms") {
		done(txn.NoProducer, kerr.InvalidTransactionTimeout)
		return
	}
	s, x, next, err := t.decide(ctx, id, func(x *tracked, fresh int64) (*txn.Txn, error) {
		return x.Init(t.cfg.Clock(), timeout, expected, fresh)
	})
	if next == nil {
		if s != nil {
			s.mu.Unlock()
		}
		done(txn.NoProducer, err)
		return
	}
	answer := func(failed error) {
		if failed = errors.Join(failed, err); failed != nil {
			done(txn.NoProducer, failed)
			return
		}
		done(next.Producer, nil)
	}
	if next.Preparing() { // who fences a transaction comes again when it has ended
		s.finish(x, next, answer)
		return
	}
	s.move(x, next, answer)
}

// decide asks what an event leads to, with a new producer id if it needs one. The shard is locked afterwards, if there is
// one; a nil next changes nothing.
func (t *Txns) decide(ctx context.Context, id string, event func(x *tracked, fresh int64) (*txn.Txn, error)) (*txnShard, *tracked, *txn.Txn, error) {
	fresh := int64(-1)
	for {
		s, x, err := t.find(ctx, id)
		if err != nil {
			return nil, nil, nil, err
		}
		var next *txn.Txn
		holding(&s.mu, func() { next, err = event(x, fresh) })
		if !errors.Is(err, txn.ErrNeedsProducerID) {
			return s, x, next, err
		}
		s.mu.Unlock()
		if fresh, err = t.ProducerID(ctx); err != nil {
			return nil, nil, nil, err
		}
	}
}

// Add makes partitions part of a transaction. done is called once.
func (t *Txns) Add(ctx context.Context, id string, p txn.Producer, v2 bool, partitions []txn.Partition, done func(error)) {
	s, x, err := t.find(ctx, id)
	if err != nil {
		done(err)
		return
	}
	var next *txn.Txn
	holding(&s.mu, func() { next, err = x.Add(t.cfg.Clock(), p, v2, partitions...) })
	s.settle(x, next, err, done)
}

// AddOffsets makes the partition that keeps a group's offsets part of a transaction. done is called once.
func (t *Txns) AddOffsets(ctx context.Context, id string, p txn.Producer, group string, done func(error)) {
	at, err := t.offsetsOf(ctx, group)
	if err != nil {
		done(err)
		return
	}
	t.Add(ctx, id, p, false, []txn.Partition{at}, done)
}

func (t *Txns) offsetsOf(ctx context.Context, group string) (txn.Partition, error) {
	if group == "" {
		return txn.Partition{}, kerr.InvalidGroupID
	}
	i, err := t.groups.topic.index(ctx, group)
	return txn.Partition{Topic: OffsetsTopic, Index: i}, err
}

// Verify checks that a partition was added to a transaction.
func (t *Txns) Verify(ctx context.Context, id string, p txn.Producer, partition txn.Partition) error {
	s, x, err := t.find(ctx, id)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	return x.Verify(p, partition)
}

// Enlist lets a batch into a transaction: it adds the partition if implicit, else the partition must have been added. done
// is called once. What it appends before it returns comes before the transaction's marker.
func (t *Txns) Enlist(ctx context.Context, id string, producerID int64, epoch int16, topic string, partition int32, implicit bool, done func(error)) {
	p, at := txn.Producer{ID: producerID, Epoch: epoch}, txn.Partition{Topic: topic, Index: partition}
	s, x, err := t.find(ctx, id)
	if err != nil {
		done(err)
		return
	}
	var next *txn.Txn
	holding(&s.mu, func() {
		if implicit {
			next, err = x.Add(t.cfg.Clock(), p, true, at)
		} else {
			err = x.Verify(p, at)
		}
	})
	x.appending++
	s.settle(x, next, err, func(err error) {
		switch {
		case errors.Is(err, kerr.ProducerFenced): // it is not for those who write
			err = kerr.InvalidProducerEpoch
		case errors.Is(err, kerr.ConcurrentTransactions) && !implicit, // clients that old know nothing of it
			errors.Is(err, kerr.CoordinatorNotAvailable), errors.Is(err, kerr.NotCoordinator): // words that producers do not know
			err = kerr.NotEnoughReplicas
		}
		done(err)
		s.mu.Lock()
		x.appending--
		s.advance(x)
	})
}

// End commits or aborts a transaction. done is called once, with the producer of the next transaction: when consumers
// see the outcome, or at the latest when it is decided for good and a partition is out of reach.
func (t *Txns) End(ctx context.Context, id string, p txn.Producer, commit, v2 bool, done func(txn.Producer, error)) {
	s, x, next, err := t.decide(ctx, id, func(x *tracked, fresh int64) (*txn.Txn, error) {
		return x.End(t.cfg.Clock(), p, commit, v2, fresh)
	})
	if s == nil {
		done(txn.NoProducer, err)
		return
	}
	after := x.Next()
	answer := func(err error) {
		if err != nil {
			after = txn.NoProducer
		}
		done(after, err)
	}
	if next == nil {
		s.settle(x, nil, err, answer)
		return
	}
	after = next.Next()
	s.finish(x, next, answer)
}

// Describe tells what is known of a transactional id.
func (t *Txns) Describe(ctx context.Context, id string) (*txn.Txn, error) {
	s, x, err := t.find(ctx, id)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if x.Producer == txn.NoProducer {
		return nil, kerr.TransactionalIDNotFound
	}
	return x.Txn, nil
}

// List tells of every transactional id, in their order.
func (t *Txns) List() ([]*txn.Txn, error) {
	shards, err := t.topic.all()
	if err != nil {
		return nil, err
	}
	var out []*txn.Txn
	for _, s := range shards {
		s.mu.Lock()
		for _, x := range s.txns {
			out = append(out, x.Txn)
		}
		s.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b *txn.Txn) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// producerIDs hands out ids of a block that this node reserved.
type producerIDs struct {
	mu         sync.Mutex
	next, left int64
}

// ProducerID is one that nobody has.
func (t *Txns) ProducerID(ctx context.Context) (int64, error) {
	p := &t.ids
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == 0 {
		var first int64
		if _, err := t.cfg.Meta.Propose(ctx, func(im *meta.Image) (records []meta.Record, err error) {
			first, records = meta.AllocateProducerIDs(im)
			return records, nil
		}); err != nil {
			return -1, err
		}
		p.next, p.left = first, meta.ProducerIDBlock
	}
	p.next++
	p.left--
	return p.next - 1, nil
}
