package coord

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/leatstream/leat/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Offset is how far a group has come in a partition.
type Offset struct {
	At          int64
	LeaderEpoch int32 // -1: not said
	Metadata    string
	When        int64 // it was committed, in ms
	Expires     int64 // when its client said that it expires, in ms; 0: it did not

	stored int64 // where in the offsets topic
}

// Committed is an offset of one partition.
type Committed struct {
	Topic     string
	Partition int32
	Offset
	Unstable bool // a transaction that is not decided has committed another one
}

// Commit is a member's claim to have come so far.
type Commit struct {
	Member     string
	Instance   *string
	Generation int32 // or epoch; -1 with no member: from outside the group
	Epochs     bool  // version 9 on: the client knows of epochs and of groups that do not exist
	Retention  int64 // for how many ms the client wants them kept (versions 2 to 4); 0: it does not say
	Offsets    []Committed
}

// stamp notes when offsets are committed, and returns their records.
func (c *Commit) stamp(id string, now time.Time) []record {
	records := make([]record, 0, len(c.Offsets))
	for i := range c.Offsets {
		o := &c.Offsets[i]
		o.When = now.UnixMilli()
		if c.Retention > 0 {
			o.Expires = o.When + min(c.Retention, math.MaxInt64-o.When)
		}
		records = append(records, offsetRecord(id, partition{o.Topic, o.Partition}, o.Offset))
	}
	return records
}

func (c *Commit) claim(t topics) group.Claim {
	claim := group.Claim{Member: c.Member, Instance: c.Instance, Epoch: c.Generation, KnowsEpochs: c.Epochs}
	for _, o := range c.Offsets {
		id, _ := t.Find(o.Topic)
		claim.Partitions = append(claim.Partitions, group.TopicPartition{Topic: id, Index: o.Partition})
	}
	return claim
}

// Commit stores offsets. done is called once, when they are durable, and then Fetch returns them.
func (g *Groups) Commit(ctx context.Context, id string, c Commit, done func(error)) {
	s, err := g.shardOf(ctx, id)
	if err != nil {
		done(err)
		return
	}
	s.mu.Lock()
	m := s.groups[id]
	if m == nil {
		if c.Generation >= 0 {
			s.mu.Unlock()
			if c.Epochs {
				done(kerr.GroupIDNotFound)
			} else {
				done(kerr.IllegalGeneration)
			}
			return
		}
		if len(c.Offsets) == 0 { // nothing to make a group for
			s.mu.Unlock()
			done(nil)
			return
		}
		m = s.create(id)
	}
	holding(&s.mu, func() { err = m.commit(g.cfg.Clock(), c.claim(g.topics())) })
	if err != nil {
		s.mu.Unlock()
		done(err)
		return
	}
	m.arm()
	if len(c.Offsets) == 0 {
		s.mu.Unlock()
		done(nil)
		return
	}
	records := c.stamp(id, g.cfg.Clock())
	for _, o := range c.Offsets {
		m.flying[partition{o.Topic, o.Partition}]++
	}
	s.writeLocked(records, func(base int64, err error) {
		s.mu.Lock()
		m.landed(c.Offsets, base, err == nil)
		s.mu.Unlock()
		if err != nil {
			err = kerr.CoordinatorNotAvailable
		}
		done(err)
	})
}

// landed ends the flight of a commit. If it is durable, its offsets count, but for those that others have overtaken or
// that were deleted meanwhile.
func (m *managed) landed(offsets []Committed, base int64, durable bool) {
	for _, o := range offsets {
		at := partition{o.Topic, o.Partition}
		left, flies := m.flying[at]
		if left--; left > 0 {
			m.flying[at] = left
		} else {
			delete(m.flying, at)
		}
		if flies && durable && m.offsets[at].stored <= base { // two commits may be answered in another order than they are in the log
			o.stored = base
			m.offsets[at] = o.Offset
		}
	}
}

// Offsets are a group's committed offsets, by topic and partition; At is -1 where the only one is not decided yet. No
// group: none.
func (g *Groups) Offsets(ctx context.Context, id string) ([]Committed, error) {
	s, m, err := g.find(ctx, id)
	if errors.Is(err, kerr.UnknownMemberID) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	unstable := s.unstable(id)
	out := make([]Committed, 0, len(m.offsets)+len(unstable))
	for at, o := range m.offsets {
		out = append(out, Committed{at.topic, at.index, o, unstable[at]})
		delete(unstable, at)
	}
	for at := range unstable {
		out = append(out, Committed{at.topic, at.index, Offset{At: -1, LeaderEpoch: -1}, true})
	}
	slices.SortFunc(out, func(a, b Committed) int {
		if a.Topic != b.Topic {
			if a.Topic < b.Topic {
				return -1
			}
			return 1
		}
		return int(a.Partition) - int(b.Partition)
	})
	return out, nil
}

// CheckMember proves that an OffsetFetch (version 9 on) comes from a member, or from outside. In classic groups anybody
// may ask.
func (g *Groups) CheckMember(ctx context.Context, id, member string, epoch int32) error {
	s, m, err := g.find(ctx, id)
	if errors.Is(err, kerr.UnknownMemberID) { // no group: nothing is committed
		return nil
	}
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if m.consumer == nil {
		return nil
	}
	return m.consumer.Fetch(member, epoch)
}

// TopicsGone removes the offsets of topics that were deleted: a topic made anew under an old name begins without them.
// It reads every group that is not loaded yet, so it runs beside whoever deletes.
func (g *Groups) TopicsGone(names map[string]bool) {
	shards, err := g.topic.all()
	if err != nil {
		g.cfg.Log.Warn("the offsets of deleted topics stay for now", "error", err)
		return
	}
	for _, s := range shards {
		s.forget(names)
	}
}

// uncommit drops what a group has committed for a partition, decided or not, and returns the record that says so. The
// caller holds the lock.
func (s *shard) uncommit(m *managed, at partition) record {
	delete(m.offsets, at)
	delete(m.flying, at)
	s.withdraw(m.id, at)
	return offsetTombstone(m.id, at)
}

// forget drops the offsets of topics from every group of the shard.
func (s *shard) forget(names map[string]bool) {
	s.mu.Lock()
	var records []record
	for _, m := range s.groups {
		for at := range s.partitions(m) {
			if names[at.topic] {
				records = append(records, s.uncommit(m, at))
			}
		}
	}
	if len(records) == 0 {
		s.mu.Unlock()
		return
	}
	s.writeLocked(records, func(_ int64, err error) {
		if err != nil {
			s.groupsOf.cfg.Log.Warn("the offsets of deleted topics may come back after a restart", "error", err)
		}
	})
}
