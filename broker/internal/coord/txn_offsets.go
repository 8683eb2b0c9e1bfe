package coord

import (
	"context"
	"errors"
	"slices"

	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kerr"
)

// CommitOffsets stores offsets of a group that count when a transaction is committed. The group's partition becomes part
// of the transaction if implicit, else it must have been added. done is called once, when they are durable.
func (t *Txns) CommitOffsets(ctx context.Context, id string, p txn.Producer, group string, c Commit, implicit bool, done func(error)) {
	at, err := t.offsetsOf(ctx, group)
	if err != nil {
		done(err)
		return
	}
	t.Enlist(ctx, id, p.ID, p.Epoch, at.Topic, at.Index, implicit, func(err error) {
		switch {
		case errors.Is(err, kerr.NotEnoughReplicas): // a word for those who produce
			done(kerr.CoordinatorNotAvailable)
		case err != nil:
			done(err)
		default:
			t.groups.commitPending(ctx, group, p, c, done)
		}
	})
}

// pending is what a producer has committed for a group, and not yet decided.
type pending struct {
	group   string
	offsets map[partition]Offset
	stored  int64 // where in the offsets topic; -1: that is not known yet
	outcome *bool // the transaction's, if it was decided before stored is known
}

// commitPending stores offsets that a transaction will decide on.
func (g *Groups) commitPending(ctx context.Context, id string, p txn.Producer, c Commit, done func(error)) {
	if id == "" {
		done(kerr.InvalidGroupID)
		return
	}
	s, err := g.shardOf(ctx, id)
	if err != nil {
		done(err)
		return
	}
	s.mu.Lock()
	holding(&s.mu, func() { err = s.mayCommitPending(id, &c) })
	if err != nil || len(c.Offsets) == 0 {
		s.mu.Unlock()
		done(err)
		return
	}
	records := c.stamp(id, g.cfg.Clock())
	x := &pending{group: id, offsets: map[partition]Offset{}, stored: -1}
	for _, o := range c.Offsets {
		x.offsets[partition{o.Topic, o.Partition}] = o.Offset
	}
	s.writing.Lock()
	settle, err := s.log.append(records, func(b []byte) {
		batch.SetProducer(b, p.ID, p.Epoch, -1)
		batch.SetTransactional(b)
		batch.Seal(b)
	}, func(base int64, err error) {
		s.stored(p.ID, x, base, err)
		if err != nil && !errors.Is(err, replica.ErrProducerEpoch) {
			err = kerr.CoordinatorNotAvailable
		}
		done(err)
	})
	s.writing.Unlock()
	if err == nil { // known before the marker, which comes after it in the log
		s.pending[p.ID] = append(s.pending[p.ID], x)
	}
	s.mu.Unlock()
	settle()
}

// mayCommitPending proves that a transaction may commit offsets of a group. Who gives no member need not be one. The caller
// holds the lock.
func (s *shard) mayCommitPending(id string, c *Commit) error {
	m := s.groups[id]
	switch {
	case m == nil && c.Generation >= 0:
		return kerr.IllegalGeneration
	case m == nil && len(c.Offsets) > 0:
		s.create(id)
		return nil
	case m == nil:
		return nil
	}
	claim := c.claim(s.groupsOf.topics())
	claim.Transactional = true
	err := m.commit(s.groupsOf.cfg.Clock(), claim)
	m.arm()
	if errors.Is(err, kerr.StaleMemberEpoch) { // a word that producers do not know
		err = kerr.IllegalGeneration
	}
	return err
}

// stored notes where a pending commit is, or that it is nowhere.
func (s *shard) stored(producer int64, x *pending, base int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.stored = base
	switch {
	case err != nil:
		s.pending[producer] = slices.DeleteFunc(s.pending[producer], func(y *pending) bool { return x == y })
	case x.outcome != nil:
		s.count(x, *x.outcome)
	}
}

// decided tells the groups of a partition of the offsets topic how a producer's transaction ended there.
func (g *Groups) decided(index int32, producer int64, commit bool) {
	if s, ok := g.topic.peek(index); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.decide(producer, commit)
	}
}

// decide lets a producer's pending commits count, or forgets them. The caller holds the lock.
func (s *shard) decide(producer int64, commit bool) {
	for _, x := range s.pending[producer] {
		if x.stored < 0 {
			x.outcome = &commit
			continue
		}
		s.count(x, commit)
	}
	delete(s.pending, producer)
}

// count makes pending offsets the group's if its transaction was committed, but for those that were committed after them.
func (s *shard) count(x *pending, commit bool) {
	if !commit || len(x.offsets) == 0 {
		return
	}
	m := s.groups[x.group]
	if m == nil {
		m = s.create(x.group)
	}
	for at, o := range x.offsets {
		if m.offsets[at].stored <= x.stored {
			o.stored = x.stored
			m.offsets[at] = o
		}
	}
}

// unstable are the partitions of a group with an offset that is not decided. The caller holds the lock.
func (s *shard) unstable(group string) map[partition]bool {
	var out map[partition]bool
	for _, of := range s.pending {
		for _, x := range of {
			if x.group != group {
				continue
			}
			if out == nil {
				out = map[partition]bool{}
			}
			for at := range x.offsets {
				out[at] = true
			}
		}
	}
	return out
}

// partitions are those that a group has committed offsets of, decided or not. The caller holds the lock.
func (s *shard) partitions(m *managed) map[partition]bool {
	all := s.unstable(m.id)
	if all == nil {
		all = map[partition]bool{}
	}
	for at := range m.offsets {
		all[at] = true
	}
	for at := range m.flying {
		all[at] = true
	}
	return all
}

// withdraw forgets what is pending for a partition of a group: it was deleted. The caller holds the lock.
func (s *shard) withdraw(group string, at partition) {
	for _, of := range s.pending {
		for _, x := range of {
			if x.group == group {
				delete(x.offsets, at)
			}
		}
	}
}
