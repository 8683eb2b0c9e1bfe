package coord

import (
	"encoding/binary"
	"time"

	"github.com/leatstream/leat/broker/internal/group"
	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// load reads the partition's groups, once.
func (s *shard) load() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded {
		return nil
	}
	l := loaded{classic: map[string]*kmsg.GroupMetadataValue{}, consumers: map[string]*group.Consumer{}, since: map[*group.Consumer]int64{}}
	if err := s.log.replay(func(h *batch.Header, r *batch.Record) {
		if err := s.replay(&l, h, r); err != nil { // one record is not worth all groups of the partition
			s.groupsOf.cfg.Log.Error("a record of the offsets topic cannot be read and is passed over", "offset", h.BaseOffset+int64(r.OffsetDelta), "error", err)
		}
	}, func(m batch.Marker) { s.decide(m.ProducerID, m.Commit) }); err != nil {
		return err
	}
	now := s.groupsOf.cfg.Clock()
	for id, v := range l.classic {
		s.restore(id, v, now)
	}
	for id, c := range l.consumers {
		s.restoreConsumer(id, c, l.since[c], now)
	}
	s.loaded = true
	return nil
}

// loaded is what the log has said so far of groups, beside their offsets.
type loaded struct {
	classic   map[string]*kmsg.GroupMetadataValue
	consumers map[string]*group.Consumer
	since     map[*group.Consumer]int64 // when their last records were written
}

// replay applies one record of the log. Records of other kinds, which a later version may write, are passed over.
func (s *shard) replay(l *loaded, h *batch.Header, r *batch.Record) error {
	if len(r.Key) < 2 {
		return nil
	}
	switch version := int16(binary.BigEndian.Uint16(r.Key)); version {
	case 0, offsetKeyVersion:
		var k kmsg.OffsetCommitKey
		if err := k.ReadFrom(r.Key); err != nil {
			return err
		}
		return s.replayOffset(&k, h, r)
	case groupKeyVersion:
		var k kmsg.GroupMetadataKey
		if err := k.ReadFrom(r.Key); err != nil {
			return err
		}
		if r.Value == nil {
			delete(l.classic, k.Group) // its offsets have records of their own
			return nil
		}
		v := &kmsg.GroupMetadataValue{}
		if err := v.ReadFrom(append([]byte(nil), r.Value...)); err != nil {
			return err
		}
		l.classic[k.Group] = v
	case consumerEpochKey, consumerMemberKey, consumerTargetEpochKey, consumerTargetKey, consumerCurrentKey, consumerRegexKey:
		c, err := replayConsumer(r.Key, r.Value, l.consumers, func(id string) *group.Consumer {
			return group.NewConsumer(id, s.groupsOf.settings(), newID)
		})
		if c != nil {
			l.since[c] = h.BaseTimestamp + r.TimestampDelta
		}
		return err
	}
	return nil
}

func (s *shard) replayOffset(k *kmsg.OffsetCommitKey, h *batch.Header, r *batch.Record) error {
	at := partition{k.Topic, k.Partition}
	m := s.groups[k.Group]
	if r.Value == nil {
		if m != nil {
			if delete(m.offsets, at); len(m.offsets) == 0 {
				delete(s.groups, k.Group)
			}
		}
		s.withdraw(k.Group, at)
		return nil
	}
	var v kmsg.OffsetCommitValue
	if err := v.ReadFrom(r.Value); err != nil {
		return err
	}
	if m == nil {
		m = s.create(k.Group)
	}
	o := Offset{At: v.Offset, LeaderEpoch: v.LeaderEpoch, Metadata: v.Metadata, When: v.CommitTimestamp, stored: h.BaseOffset}
	if v.Version == expiringVersion {
		o.Expires = v.ExpireTimestamp
	}
	if h.Transactional() {
		s.pending[h.ProducerID] = append(s.pending[h.ProducerID], &pending{k.Group, map[partition]Offset{at: o}, o.stored, nil})
		return nil
	}
	m.offsets[at] = o
	return nil
}

// restore brings a group back as it was last answered. Its members' sessions start now.
func (s *shard) restore(id string, v *kmsg.GroupMetadataValue, now time.Time) {
	m := s.groups[id]
	if m == nil {
		m = s.create(id)
	}
	c := m.classic
	m.since = v.CurrentStateTimestamp
	c.Generation, c.ProtocolType = v.Generation, v.ProtocolType
	if len(v.Members) == 0 || v.Protocol == nil || v.Leader == nil {
		return
	}
	c.State, c.Protocol, c.Leader = group.Stable, *v.Protocol, *v.Leader
	for _, x := range v.Members {
		c.Restore(&group.Member{
			ID: x.MemberID, Instance: x.InstanceID, ClientID: x.ClientID, ClientHost: x.ClientHost,
			SessionTimeout:   time.Duration(x.SessionTimeoutMillis) * time.Millisecond,
			RebalanceTimeout: time.Duration(x.RebalanceTimeoutMillis) * time.Millisecond,
			Protocols:        []group.Protocol{{Name: *v.Protocol, Metadata: x.Subscription}},
			Assignment:       x.Assignment,
		}, now)
	}
	m.arm()
}

// restoreConsumer is restore for a group of the consumer protocol. One without an epoch is what compaction left of one
// that is gone.
func (s *shard) restoreConsumer(id string, c *group.Consumer, since int64, now time.Time) {
	if c.Epoch == 0 && len(c.Members) == 0 {
		return
	}
	m := s.groups[id]
	if m == nil {
		m = s.add(&managed{id: id})
	}
	m.classic, m.consumer, m.since = nil, c, since
	c.Restored(now)
	m.arm()
}
