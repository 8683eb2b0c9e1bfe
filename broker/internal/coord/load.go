package coord

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/leatstream/leat/broker/internal/group"
	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// load reads the partition's groups, once.
func (s *shard) load() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded {
		return nil
	}
	l := loaded{classic: map[string]*kmsg.GroupMetadataValue{}, consumers: map[string]*group.Consumer{}, since: map[*group.Consumer]int64{}, names: map[string]string{}}
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
	names     map[string]string         // of topics
}

// replay applies one record of the log. Records of other kinds, which a later version may write, are passed over.
func (s *shard) replay(l *loaded, h *batch.Header, r *batch.Record) error {
	if len(r.Key) < 2 {
		return nil
	}
	switch version := int16(binary.BigEndian.Uint16(r.Key)); version {
	case 0, offsetKeyVersion:
		return s.replayOffset(l, h, r)
	case groupKeyVersion:
		var k kmsg.GroupMetadataKey
		if err := k.ReadFrom(r.Key); err != nil {
			return err
		}
		if r.Value == nil {
			delete(l.classic, k.Group) // its offsets have records of their own
			return nil
		}
		// Nobody has written a later version, and kmsg believes how many tagged fields one has.
		if len(r.Value) >= 2 && int16(binary.BigEndian.Uint16(r.Value)) >= flexibleVersion {
			return unknownVersion(int16(binary.BigEndian.Uint16(r.Value)))
		}
		v := &kmsg.GroupMetadataValue{}
		if err := v.ReadFrom(append([]byte(nil), r.Value...)); err != nil {
			return err
		}
		l.classic[k.Group] = v
	case consumerEpochKey, consumerMemberKey, consumerTargetEpochKey, consumerTargetKey, consumerCurrentKey, consumerRegexKey:
		c, err := replayConsumer(r.Key, r.Value, l.consumers, func(id string) *group.Consumer {
			return group.NewConsumer(id, s.groupsOf.settingsOf(id), newID)
		})
		if c != nil {
			l.since[c] = h.BaseTimestamp + r.TimestampDelta
		}
		return err
	}
	return nil
}

// replayOffset applies a commit. There can be millions: the key is read in place, and names are kept once.
func (s *shard) replayOffset(l *loaded, h *batch.Header, r *batch.Record) error {
	k := kbin.Reader{Src: r.Key[2:]}
	id := k.Span(int(k.Int16()))
	topic := k.Span(int(k.Int16()))
	at := partition{index: k.Int32()}
	if err := k.Complete(); err != nil {
		return err
	}
	at.topic = l.name(topic)
	m := s.groups[string(id)]
	if r.Value == nil {
		if m != nil {
			if delete(m.offsets, at); len(m.offsets) == 0 {
				delete(s.groups, m.id)
			}
		}
		s.withdraw(string(id), at)
		return nil
	}
	o, err := l.offset(r.Value)
	if err != nil {
		return err
	}
	o.stored = h.BaseOffset
	if m == nil {
		m = s.create(string(id))
	}
	if h.Transactional() {
		s.pending[h.ProducerID] = append(s.pending[h.ProducerID], &pending{m.id, map[partition]Offset{at: o}, o.stored, nil})
		return nil
	}
	m.offsets[at] = o
	return nil
}

// name is b as a string, the same one for equal names.
func (l *loaded) name(b []byte) string {
	name, ok := l.names[string(b)]
	if !ok {
		name = string(b)
		l.names[name] = name
	}
	return name
}

// offset reads the value of a commit. Versions 3, which is written, and 4 are read in place.
func (l *loaded) offset(value []byte) (o Offset, err error) {
	if len(value) < 2 {
		return o, kbin.ErrNotEnoughData
	}
	version := int16(binary.BigEndian.Uint16(value))
	if version < offsetValueVersion {
		return oldOffset(value)
	}
	v := kbin.Reader{Src: value[2:]}
	o.At, o.LeaderEpoch = v.Int64(), v.Int32()
	switch version {
	case offsetValueVersion:
		if text := v.Span(int(v.Int16())); len(text) > 0 {
			o.Metadata = string(text)
		}
		o.When = v.Int64()
	case flexibleVersion:
		o.Metadata, o.When = v.CompactString(), v.Int64()
		skipTags(&v)
	default:
		return o, unknownVersion(version)
	}
	return o, v.Complete()
}

func oldOffset(value []byte) (o Offset, err error) {
	var v kmsg.OffsetCommitValue
	if err := v.ReadFrom(value); err != nil {
		return o, err
	}
	o = Offset{At: v.Offset, LeaderEpoch: -1, Metadata: v.Metadata, When: v.CommitTimestamp}
	if v.Version == expiringVersion {
		o.Expires = v.ExpireTimestamp
	}
	return o, nil
}

func unknownVersion(version int16) error {
	return fmt.Errorf("a value of version %d, which is not known", version)
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
	c.Restored(now)
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
