package coord

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

func someText(t *rapid.T, name string) *string {
	if !rapid.Bool().Draw(t, name+"?") {
		return nil
	}
	s := rapid.StringN(1, 20, -1).Draw(t, name)
	return &s
}

func somePartitions(t *rapid.T, name string) group.Owned {
	out := group.Owned{}
	for range rapid.IntRange(0, 20).Draw(t, name) {
		p := group.TopicPartition{Topic: group.TopicID{byte(rapid.IntRange(1, 3).Draw(t, "topic"))}, Index: int32(rapid.IntRange(0, 99).Draw(t, "index"))}
		out[p] = int32(rapid.IntRange(0, 9).Draw(t, "epoch"))
	}
	return out
}

// TestConsumerGroupsAreWhatTheirRecordsSay writes groups of any kind and reads them back, and reads cut records.
func TestConsumerGroupsAreWhatTheirRecordsSay(t *testing.T) {
	clock := &Groups{cfg: Config{Clock: func() time.Time { return time.UnixMilli(1_700_000_000_000) }}}
	rapid.Check(t, func(t *rapid.T) {
		made := func(id string) *group.Consumer { return group.NewConsumer(id, group.Config{}, nil) }
		c := made("g")
		c.Epoch, c.TargetEpoch, c.Hash = rapid.Int32().Draw(t, "epoch"), rapid.Int32().Draw(t, "target"), rapid.Int64().Draw(t, "hash")
		changes := []group.Change{{Kind: group.EpochChange}, {Kind: group.TargetEpochChange}}
		for i := range rapid.IntRange(0, 3).Draw(t, "members") {
			x := &group.ConsumerMember{
				ID: fmt.Sprint("m", i), Instance: someText(t, "instance"), Rack: someText(t, "rack"),
				ClientID: rapid.String().Draw(t, "client"), ClientHost: "/1.2.3.4", Topics: rapid.SliceOfN(rapid.String(), 1, 4).Draw(t, "topics"),
				Regex: text(someText(t, "regex")), Assignor: text(someText(t, "assignor")), RebalanceTimeout: time.Minute,
				Epoch: rapid.Int32().Draw(t, "epoch"), Previous: rapid.Int32().Draw(t, "previous"), State: group.MemberState(rapid.IntRange(1, 3).Draw(t, "state")),
				Assigned: somePartitions(t, "assigned"), Revoking: somePartitions(t, "revoking"),
			}
			if all := somePartitions(t, "target").Sorted(); len(all) > 0 {
				x.Target = all
			}
			if rapid.Bool().Draw(t, "classic") {
				x.Classic = &group.ClassicSide{SessionTimeout: time.Second, Protocols: []group.Protocol{{Name: "range", Metadata: []byte("subscription")}}}
			}
			c.Members[x.ID] = x
			for _, kind := range []group.ChangeKind{group.MemberChange, group.TargetChange, group.CurrentChange} {
				changes = append(changes, group.Change{Kind: kind, Name: x.ID})
			}
		}
		if rapid.Bool().Draw(t, "expression") {
			c.Regexes["a.*"] = &group.Resolved{Topics: []string{"a", "ab"}, At: time.UnixMilli(7)}
			changes = append(changes, group.Change{Kind: group.RegexChange, Name: "a.*"})
		}
		m := &managed{id: "g", consumer: c, shard: &shard{groupsOf: clock}}
		groups, cuts := map[string]*group.Consumer{}, map[string]*group.Consumer{}
		for _, ch := range changes {
			r := consumerRecord(m, ch)
			if _, err := replayConsumer(r.key, r.value, groups, made); err != nil {
				t.Fatal(err)
			}
			for n := range r.value[:len(r.value)-1] { // but the tags at the end, which may be missing
				_, _ = replayConsumer(r.key, r.value[:n], cuts, made)
			}
			for n := range r.key {
				if _, err := replayConsumer(r.key[:n], r.value, cuts, made); err == nil {
					t.Fatalf("a key of %d bytes is read", n)
				}
			}
		}
		if !reflect.DeepEqual(groups["g"], c) {
			t.Fatalf("written\n%+v\nread\n%+v", c, groups["g"])
		}
		for _, ch := range c.Remove() {
			r := consumerRecord(m, ch)
			if _, err := replayConsumer(r.key, r.value, groups, made); err != nil || r.value != nil {
				t.Fatal(err)
			}
		}
		if left := groups["g"]; len(left.Members) > 0 || len(left.Regexes) > 0 || left.Epoch != 0 || left.TargetEpoch != 0 {
			t.Fatalf("%+v is left", left)
		}
	})
}

// TestRecordsAreKafkas reads what Kafka has written, and writes the same.
func TestRecordsAreKafkas(t *testing.T) {
	file, err := os.ReadFile("testdata/kafka_records.txt")
	if err != nil {
		t.Fatal(err)
	}
	groups := map[string]*group.Consumer{}
	records := map[string]record{}
	for line := range strings.Lines(string(file)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		key, err1 := hex.DecodeString(fields[1])
		value, err2 := hex.DecodeString(fields[2])
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		records[fields[0]] = record{key, value}
		if _, err := replayConsumer(key, value, groups, func(id string) *group.Consumer { return group.NewConsumer(id, group.Config{}, nil) }); err != nil {
			t.Fatalf("%s: %v", fields[0], err)
		}
	}
	at := time.UnixMilli(1_700_000_000_000)
	m := &managed{id: "g", consumer: groups["g"], shard: &shard{groupsOf: &Groups{cfg: Config{Clock: func() time.Time { return at }}}}}
	for name, ch := range map[string]group.Change{
		"epoch": {Kind: group.EpochChange}, "targetepoch": {Kind: group.TargetEpochChange}, "regex": {Kind: group.RegexChange, Name: "x.*"},
		"member": {Kind: group.MemberChange, Name: "m"}, "classic": {Kind: group.MemberChange, Name: "n"},
		"target": {Kind: group.TargetChange, Name: "m"}, "current": {Kind: group.CurrentChange, Name: "m"},
	} {
		if got, want := consumerRecord(m, ch), records[name]; !bytes.Equal(got.key, want.key) || !bytes.Equal(got.value, want.value) {
			t.Errorf("%s\n%x %x\nKafka's\n%x %x", name, got.key, got.value, want.key, want.value)
		}
	}
	n := m.consumer.Members["n"] // its record is of Kafka before 4.3, without epochs: then they are the member's
	if n.Classic == nil || n.Epoch != 6 || n.Assigned[group.TopicPartition{Topic: group.TopicID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, Index: 2}] != 6 {
		t.Errorf("%+v", n)
	}
}

// TestOffsetsOfEveryVersion: what Kafka has written since 0.8 is understood.
func TestOffsetsOfEveryVersion(t *testing.T) {
	for version := range int16(5) {
		v := kmsg.NewOffsetCommitValue()
		v.Version, v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp, v.ExpireTimestamp = version, 7, 3, "note", 11, 12
		value := v.AppendTo(nil)
		want := Offset{At: 7, LeaderEpoch: -1, Metadata: "note", When: 11}
		if version >= 3 {
			want.LeaderEpoch = 3
		}
		if version == 1 {
			want.Expires = 12
		}
		var l loaded
		if got, err := l.offset(value); err != nil || got != want {
			t.Errorf("version %d: %+v %v, want %+v", version, got, err, want)
		}
		for n := range value {
			if got, err := l.offset(value[:n]); err == nil {
				t.Errorf("version %d cut at %d is read as %+v", version, n, got)
			}
		}
	}
}
