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
	metadata := map[string]*kmsg.GroupMetadataValue{}
	if err := s.log.replay(func(h *batch.Header, r *batch.Record) {
		if err := s.replay(metadata, h, r); err != nil { // one record is not worth all groups of the partition
			s.groupsOf.cfg.Log.Error("a record of the offsets topic cannot be read and is passed over", "offset", h.BaseOffset+int64(r.OffsetDelta), "error", err)
		}
	}, func(m batch.Marker) { s.decide(m.ProducerID, m.Commit) }); err != nil {
		return err
	}
	now := s.groupsOf.cfg.Clock()
	for id, v := range metadata {
		s.restore(id, v, now)
	}
	s.loaded = true
	return nil
}

// replay applies one record of the log. Records of other kinds, which a later version may write, are passed over.
func (s *shard) replay(metadata map[string]*kmsg.GroupMetadataValue, h *batch.Header, r *batch.Record) error {
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
			delete(metadata, k.Group)
			delete(s.groups, k.Group)
			return nil
		}
		v := &kmsg.GroupMetadataValue{}
		if err := v.ReadFrom(append([]byte(nil), r.Value...)); err != nil {
			return err
		}
		metadata[k.Group] = v
	}
	return nil
}

func (s *shard) replayOffset(k *kmsg.OffsetCommitKey, h *batch.Header, r *batch.Record) error {
	at := partition{k.Topic, k.Partition}
	m := s.groups[k.Group]
	if r.Value == nil {
		if m != nil {
			delete(m.offsets, at)
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
	o := Offset{At: v.Offset, LeaderEpoch: v.LeaderEpoch, Metadata: v.Metadata, stored: h.BaseOffset}
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
	m.Generation, m.ProtocolType = v.Generation, v.ProtocolType
	if len(v.Members) == 0 || v.Protocol == nil || v.Leader == nil {
		return
	}
	m.State, m.Protocol, m.Leader = group.Stable, *v.Protocol, *v.Leader
	for _, x := range v.Members {
		m.Restore(&group.Member{
			ID: x.MemberID, Instance: x.InstanceID, ClientID: x.ClientID, ClientHost: x.ClientHost,
			SessionTimeout:   time.Duration(x.SessionTimeoutMillis) * time.Millisecond,
			RebalanceTimeout: time.Duration(x.RebalanceTimeoutMillis) * time.Millisecond,
			Protocols:        []group.Protocol{{Name: *v.Protocol, Metadata: x.Subscription}},
			Assignment:       x.Assignment,
		}, now)
	}
	m.arm()
}
