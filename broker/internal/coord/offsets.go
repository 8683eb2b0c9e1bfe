package coord

import (
	"context"
	"errors"
	"slices"

	"github.com/leatstream/leat/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Offset is how far a group has come in a partition.
type Offset struct {
	At          int64
	LeaderEpoch int32 // -1: not said
	Metadata    string
}

// Committed is an offset of one partition.
type Committed struct {
	Topic     string
	Partition int32
	Offset
}

// Commit is a member's claim to have come so far.
type Commit struct {
	Member     string
	Instance   *string
	Generation int32 // -1 with no member: from outside the group
	Offsets    []Committed
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
		if c.Generation >= 0 || c.Member != "" {
			s.mu.Unlock()
			done(kerr.IllegalGeneration)
			return
		}
		if len(c.Offsets) == 0 { // nothing to make a group for
			s.mu.Unlock()
			done(nil)
			return
		}
		m = s.create(id)
	}
	if err := m.Commit(g.cfg.Clock(), c.Member, c.Instance, c.Generation); err != nil {
		s.mu.Unlock()
		done(err)
		return
	}
	m.arm()
	now := g.cfg.Clock()
	records := make([]record, 0, len(c.Offsets))
	for _, o := range c.Offsets {
		records = append(records, offsetRecord(id, partition{o.Topic, o.Partition}, o.Offset, now))
	}
	if len(records) == 0 {
		s.mu.Unlock()
		done(nil)
		return
	}
	s.writeLocked(records, func(err error) {
		if err != nil {
			done(kerr.CoordinatorNotAvailable)
			return
		}
		s.mu.Lock()
		for _, o := range c.Offsets {
			m.offsets[partition{o.Topic, o.Partition}] = o.Offset
		}
		s.mu.Unlock()
		done(nil)
	})
}

// Offsets are a group's committed offsets, by topic and partition. No group: none.
func (g *Groups) Offsets(ctx context.Context, id string) ([]Committed, error) {
	s, m, err := g.find(ctx, id)
	if errors.Is(err, kerr.UnknownMemberID) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	out := make([]Committed, 0, len(m.offsets))
	for at, o := range m.offsets {
		out = append(out, Committed{at.topic, at.index, o})
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

// CheckMember proves that an OffsetFetch (version 9 on) comes from a member, or from outside.
func (g *Groups) CheckMember(ctx context.Context, id, member string, epoch int32) error {
	if member == "" && epoch < 0 {
		return nil
	}
	s, m, err := g.find(ctx, id)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if m.State == group.Dead || m.Members[member] == nil {
		return kerr.UnknownMemberID
	}
	return nil
}
