package coord

import (
	"errors"
	"slices"
	"time"

	"github.com/leatstream/leat/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kbin"
)

// The records of consumer groups, by the versions of their keys. Written after Kafka's message definitions
// ConsumerGroup{Metadata,MemberMetadata,TargetAssignmentMetadata,TargetAssignmentMember,CurrentMemberAssignment,RegularExpression}
// {Key,Value}.json of 4.4: kmsg does not have them. Keys are not flexible, values are version 0 and flexible. Key 4,
// ConsumerGroupPartitionMetadata, is passed over: since 4.1 the hash in key 3's value stands for it.
const (
	consumerEpochKey       = 3
	consumerMemberKey      = 5
	consumerTargetEpochKey = 6
	consumerTargetKey      = 7
	consumerCurrentKey     = 8
	consumerRegexKey       = 16
)

const consumerValueVersion = 0

var consumerKeys = map[group.ChangeKind]int16{
	group.EpochChange: consumerEpochKey, group.RegexChange: consumerRegexKey, group.MemberChange: consumerMemberKey,
	group.TargetEpochChange: consumerTargetEpochKey, group.TargetChange: consumerTargetKey, group.CurrentChange: consumerCurrentKey,
}

// consumerRecord is the record that a change asks for.
func consumerRecord(m *managed, ch group.Change) record {
	key := kbin.AppendInt16(nil, consumerKeys[ch.Kind])
	key = kbin.AppendString(key, m.id)
	if ch.Kind != group.EpochChange && ch.Kind != group.TargetEpochChange {
		key = kbin.AppendString(key, ch.Name)
	}
	if ch.Gone {
		return record{key: key}
	}
	v, c := kbin.AppendInt16(nil, consumerValueVersion), m.consumer
	switch ch.Kind {
	case group.EpochChange:
		v = appendTag(kbin.AppendInt32(v, c.Epoch), kbin.AppendInt64(nil, c.Hash))
	case group.TargetEpochChange:
		v = appendTag(kbin.AppendInt32(v, c.TargetEpoch), kbin.AppendInt64(nil, m.shard.groupsOf.cfg.Clock().UnixMilli()))
	case group.RegexChange:
		r := c.Regexes[ch.Name]
		v = appendStrings(v, r.Topics)
		v = kbin.AppendInt64(v, 0)
		v = append(kbin.AppendInt64(v, r.At.UnixMilli()), 0)
	case group.MemberChange:
		v = appendMember(v, c.Members[ch.Name])
	case group.TargetChange:
		v = append(appendTarget(v, c.Members[ch.Name].Target), 0)
	case group.CurrentChange:
		x := c.Members[ch.Name]
		v = kbin.AppendInt32(v, x.Epoch)
		v = kbin.AppendInt32(v, x.Previous)
		v = kbin.AppendInt8(v, int8(x.State))
		v = appendOwned(v, x.Assigned)
		v = append(appendOwned(v, x.Revoking), 0)
	}
	return record{key, v}
}

// appendTag ends a structure that has one tagged field, number 0.
func appendTag(v, field []byte) []byte {
	v = append(v, 1, 0)
	return append(kbin.AppendUvarint(v, uint32(len(field))), field...)
}

func appendStrings(v []byte, all []string) []byte {
	v = kbin.AppendCompactArrayLen(v, len(all))
	for _, s := range all {
		v = kbin.AppendCompactString(v, s)
	}
	return v
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func appendMember(v []byte, x *group.ConsumerMember) []byte {
	v = kbin.AppendCompactNullableString(v, x.Instance)
	v = kbin.AppendCompactNullableString(v, x.Rack)
	v = kbin.AppendCompactString(v, x.ClientID)
	v = kbin.AppendCompactString(v, x.ClientHost)
	v = appendStrings(v, x.Topics)
	v = kbin.AppendCompactNullableString(v, nullable(x.Regex))
	v = kbin.AppendInt32(v, int32(x.RebalanceTimeout.Milliseconds()))
	v = kbin.AppendCompactNullableString(v, nullable(x.Assignor))
	if x.Classic == nil { // said in so many words: what is missing would be an empty one
		return appendTag(v, []byte{0})
	}
	side := []byte{1}
	side = kbin.AppendInt32(side, int32(x.Classic.SessionTimeout.Milliseconds()))
	side = kbin.AppendCompactArrayLen(side, len(x.Classic.Protocols))
	for _, p := range x.Classic.Protocols {
		side = kbin.AppendCompactString(side, p.Name)
		side = append(kbin.AppendCompactBytes(side, p.Metadata), 0)
	}
	return appendTag(v, append(side, 0))
}

// byTopic calls each with the partitions of one topic after the other. all is sorted.
func byTopic(all []group.TopicPartition, each func(some []group.TopicPartition)) (n int) {
	for len(all) > 0 {
		end := slices.IndexFunc(all, func(p group.TopicPartition) bool { return p.Topic != all[0].Topic })
		if end < 0 {
			end = len(all)
		}
		each(all[:end])
		all = all[end:]
		n++
	}
	return n
}

func appendTarget(v []byte, all []group.TopicPartition) []byte {
	var body []byte
	n := byTopic(all, func(some []group.TopicPartition) { body = append(appendPartitions(body, some), 0) })
	return append(kbin.AppendCompactArrayLen(v, n), body...)
}

func appendPartitions(v []byte, some []group.TopicPartition) []byte {
	v = append(v, some[0].Topic[:]...)
	v = kbin.AppendCompactArrayLen(v, len(some))
	for _, p := range some {
		v = kbin.AppendInt32(v, p.Index)
	}
	return v
}

func appendOwned(v []byte, owned group.Owned) []byte {
	var body []byte
	n := byTopic(owned.Sorted(), func(some []group.TopicPartition) {
		epochs := kbin.AppendCompactArrayLen(nil, len(some))
		for _, p := range some {
			epochs = kbin.AppendInt32(epochs, owned[p])
		}
		body = appendTag(appendPartitions(body, some), epochs)
	})
	return append(kbin.AppendCompactArrayLen(v, n), body...)
}

// replayConsumer applies one record of a consumer group to the group in groups, which is made where there is none, and
// returns it; nil: the record removes what was not there.
func replayConsumer(key, value []byte, groups map[string]*group.Consumer, make func(id string) *group.Consumer) (*group.Consumer, error) {
	k := kbin.Reader{Src: key}
	kind := k.Int16()
	id, name := k.String(), ""
	if kind != consumerEpochKey && kind != consumerTargetEpochKey {
		name = k.String()
	}
	if err := k.Complete(); err != nil {
		return nil, err
	}
	c := groups[id]
	if value == nil {
		if c != nil {
			forgetConsumer(c, kind, name)
		}
		return c, nil
	}
	if c == nil {
		c = make(id)
		groups[id] = c
	}
	v := kbin.Reader{Src: value}
	if v.Int16() != consumerValueVersion {
		return nil, errors.New("the record is of a version that is not known")
	}
	switch kind {
	case consumerEpochKey:
		c.Epoch = v.Int32()
		c.Hash = readTag(&v, func(f *kbin.Reader) int64 { return f.Int64() })
	case consumerTargetEpochKey:
		c.TargetEpoch = v.Int32()
	case consumerRegexKey:
		topics := readStrings(&v)
		v.Int64()
		c.Regexes[name] = &group.Resolved{Topics: topics, At: time.UnixMilli(v.Int64())}
	case consumerMemberKey:
		readMember(&v, memberOf(c, name))
	case consumerTargetKey:
		x := memberOf(c, name)
		x.Target = nil
		for range v.CompactArrayLen() {
			x.Target = readPartitions(&v, x.Target)
			skipTags(&v)
		}
	case consumerCurrentKey:
		x := memberOf(c, name)
		x.Epoch, x.Previous, x.State = v.Int32(), v.Int32(), group.MemberState(v.Int8())
		x.Assigned, x.Revoking = readOwned(&v, x.Epoch), readOwned(&v, x.Epoch)
	}
	if !v.Ok() {
		return nil, kbin.ErrNotEnoughData
	}
	return c, nil
}

// forgetConsumer applies a removal. Compaction may have left it alone, without what it removed and what came after.
func forgetConsumer(c *group.Consumer, kind int16, name string) {
	switch kind {
	case consumerEpochKey:
		c.Epoch = 0
	case consumerTargetEpochKey:
		c.TargetEpoch = 0
	case consumerRegexKey:
		delete(c.Regexes, name)
	case consumerMemberKey:
		delete(c.Members, name)
	case consumerTargetKey:
		if x := c.Members[name]; x != nil {
			x.Target = nil
		}
	case consumerCurrentKey:
		if x := c.Members[name]; x != nil {
			x.Epoch, x.Assigned, x.Revoking = 0, nil, nil
		}
	}
}

func memberOf(c *group.Consumer, id string) *group.ConsumerMember {
	x := c.Members[id]
	if x == nil {
		x = &group.ConsumerMember{ID: id, State: group.MemberStable}
		c.Members[id] = x
	}
	return x
}

func readMember(v *kbin.Reader, x *group.ConsumerMember) {
	x.Instance, x.Rack = v.CompactNullableString(), v.CompactNullableString()
	x.ClientID, x.ClientHost = v.CompactString(), v.CompactString()
	x.Topics = readStrings(v)
	x.Regex = text(v.CompactNullableString())
	x.RebalanceTimeout = time.Duration(v.Int32()) * time.Millisecond
	x.Assignor = text(v.CompactNullableString())
	x.Classic = readTag(v, func(f *kbin.Reader) *group.ClassicSide {
		if f.Uvarint() == 0 {
			return nil
		}
		side := &group.ClassicSide{SessionTimeout: time.Duration(f.Int32()) * time.Millisecond}
		for range f.CompactArrayLen() {
			side.Protocols = append(side.Protocols, group.Protocol{Name: f.CompactString(), Metadata: slices.Clone(f.CompactBytes())})
			skipTags(f)
		}
		return side
	})
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func readStrings(v *kbin.Reader) []string {
	var out []string
	for range v.CompactArrayLen() {
		out = append(out, v.CompactString())
	}
	return out
}

func readPartitions(v *kbin.Reader, to []group.TopicPartition) []group.TopicPartition {
	id := v.Uuid()
	for range v.CompactArrayLen() {
		to = append(to, group.TopicPartition{Topic: id, Index: v.Int32()})
	}
	return to
}

// readOwned reads partitions with the epochs in which they were given. Records of Kafka before 4.3 have none: then it is
// the member's.
func readOwned(v *kbin.Reader, epoch int32) group.Owned {
	out := group.Owned{}
	for range v.CompactArrayLen() {
		some := readPartitions(v, nil)
		epochs := readTag(v, func(f *kbin.Reader) []int32 {
			var all []int32
			for range f.CompactArrayLen() {
				all = append(all, f.Int32())
			}
			return all
		})
		for i, p := range some {
			out[p] = epoch
			if i < len(epochs) {
				out[p] = epochs[i]
			}
		}
	}
	return out
}

// readTag ends a structure, and reads its tagged field 0 where it has one.
func readTag[T any](v *kbin.Reader, read func(field *kbin.Reader) T) (out T) {
	eachTag(v, func(tag uint32, field *kbin.Reader) {
		if tag == 0 {
			out = read(field)
		}
	})
	return out
}

func skipTags(v *kbin.Reader) { eachTag(v, func(uint32, *kbin.Reader) {}) }

// eachTag ends a structure, and reads its tagged fields as far as there are any, whatever their number is said to be.
func eachTag(v *kbin.Reader, read func(tag uint32, field *kbin.Reader)) {
	for range v.Uvarint() {
		tag, size := v.Uvarint(), v.Uvarint()
		field := kbin.Reader{Src: v.Span(int(size))}
		if !v.Ok() {
			return
		}
		read(tag, &field)
	}
}
