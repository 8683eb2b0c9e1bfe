package coord

import (
	"context"
	"errors"
	"time"

	"github.com/leatstream/leat/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Expire drops offsets whose time has come, offsets of topics that there are no more, and groups that have nothing left.
func (g *Groups) Expire() {
	shards, err := g.topic.all()
	if err != nil {
		g.cfg.Log.Warn("old offsets stay for now", "error", err)
		return
	}
	retention := time.Duration(g.cfg.Broker.Int("offsets.retention.minutes")) * time.Minute
	for _, s := range shards {
		s.expire(g.cfg.Clock(), retention)
	}
}

func (s *shard) expire(now time.Time, retention time.Duration) {
	s.mu.Lock()
	var records []record
	holding(&s.mu, func() {
		t := s.groupsOf.topics()
		for _, m := range s.groups {
			records = append(records, s.outdated(m, t, now, retention)...)
		}
	})
	if len(records) == 0 {
		s.mu.Unlock()
		return
	}
	s.writeLocked(records, func(_ int64, err error) {
		if err != nil {
			s.groupsOf.cfg.Log.Warn("old offsets may come back after a restart", "error", err)
		}
	})
}

// outdated drops a group's offsets whose time has come, and the group if nothing is left, and returns the records that say so.
func (s *shard) outdated(m *managed, t topics, now time.Time, retention time.Duration) (records []record) {
	undecided := s.unstable(m.id)
	subscribed := map[string]bool{} // by topic
	for at, o := range m.offsets {
		if undecided[at] || m.flying[at] > 0 || !m.expired(o, now, retention) {
			continue
		}
		is, known := subscribed[at.topic]
		if !known {
			is = m.subscribed(at.topic)
			subscribed[at.topic] = is
		}
		if !is {
			records = append(records, s.uncommit(m, at))
		}
	}
	for at := range m.offsets { // left over where the broker stopped while a topic was deleted
		if _, partitions := t.Find(at.topic); partitions == 0 && m.flying[at] == 0 {
			records = append(records, s.uncommit(m, at))
		}
	}
	if m.blank() && len(undecided) == 0 {
		records = append(records, m.removal()...)
		s.drop(m)
	}
	return records
}

// blank tells whether a group holds nothing: no member, nobody on the way in, no offset.
func (m *managed) blank() bool {
	if m.state() != group.Empty || len(m.offsets) > 0 || len(m.flying) > 0 || m.last != nil {
		return false
	}
	return m.classic == nil || !m.classic.Expects()
}

// expired tells whether an offset may go if nobody subscribes to its topic: when it was committed long ago and, where the
// group has had members, these have been gone as long.
func (m *managed) expired(o Offset, now time.Time, retention time.Duration) bool {
	from := o.When
	switch c := m.classic; {
	case m.state() == group.Empty && m.protocolType() != "":
		from = max(from, m.since)
	case c == nil || c.ProtocolType == "":
	case c.State != group.Stable || c.ProtocolType != group.ConsumerProtocol: // what it subscribes to is not known
		return false
	}
	if o.Expires > 0 {
		return now.UnixMilli() >= o.Expires
	}
	return now.UnixMilli()-from >= retention.Milliseconds()
}

func (m *managed) subscribed(topic string) bool {
	if m.consumer != nil {
		return m.consumer.Subscribed(topic)
	}
	return m.classic.Subscribed(topic)
}

// At is a partition that offsets are committed for.
type At struct {
	Topic     string
	Partition int32
}

// DeleteOffsets drops what a group has committed for partitions. done is called once, when that is durable, with the
// topics that were left as they are because members subscribe to them.
func (g *Groups) DeleteOffsets(ctx context.Context, id string, all []At, done func(subscribed map[string]bool, err error)) {
	s, m, err := g.findNamed(ctx, id)
	if errors.Is(err, kerr.UnknownMemberID) {
		err = kerr.GroupIDNotFound
	}
	if err != nil {
		done(nil, err)
		return
	}
	if c := m.classic; c != nil && c.State != group.Empty && c.ProtocolType != group.ConsumerProtocol {
		s.mu.Unlock()
		done(nil, kerr.NonEmptyGroup)
		return
	}
	subscribed := map[string]bool{}
	committed := s.partitions(m)
	var records []record
	for _, x := range all {
		if _, known := subscribed[x.Topic]; !known {
			subscribed[x.Topic] = m.subscribed(x.Topic)
		}
		at := partition{x.Topic, x.Partition}
		if committed[at] && !subscribed[x.Topic] {
			delete(committed, at)
			records = append(records, s.uncommit(m, at))
		}
	}
	if len(records) == 0 {
		s.mu.Unlock()
		done(subscribed, nil)
		return
	}
	s.writeLocked(records, func(_ int64, err error) {
		if err != nil {
			err = kerr.CoordinatorNotAvailable
		}
		done(subscribed, err)
	})
}
