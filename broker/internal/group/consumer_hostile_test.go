package group

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// TestMembersThatKeepNoPromise say anything at any time. The group stays sound: a partition has one owner, every request
// one answer, everybody is looked after, and an instance is the member that it names.
func TestMembersThatKeepNoPromise(t *testing.T) {
	x, y, regexA, regexAll, regexNone, ranged, uniform := "x", "y", "a.*", ".*", "", Range, Uniform
	instances := []*string{nil, nil, nil, &x, &y}
	regexes := []*string{nil, nil, &regexA, &regexAll, &regexNone}
	subscriptions := [][]string{nil, {}, {"a"}, {"a", "b"}, {"b", "b", "gone"}}
	rapid.Check(t, func(t *rapid.T) {
		n := 0
		cfg := consumerConfig()
		cfg.Consumer.Upgrade, cfg.Consumer.Downgrade = rapid.Bool().Draw(t, "upgrade"), rapid.Bool().Draw(t, "downgrade")
		newID := func() string { n++; return fmt.Sprint("new", n) }
		m := &model{now: start, consumer: NewConsumer("g", cfg, newID)}
		m.set("a", 3)
		m.set("ab", 1)
		parked := 0 // of the classic group
		id := func(t *rapid.T) string {
			ids := []string{"", "m1", "m2", "m3", "nobody"}
			if m.consumer != nil {
				for _, x := range m.consumer.Ordered() {
					ids = append(ids, x.ID)
				}
			} else {
				ids = append(ids, m.classic.order...)
			}
			return rapid.SampledFrom(ids).Draw(t, "id")
		}
		take := func(t *rapid.T, e Effects) {
			for _, a := range e.Answers {
				if a.Token == "parked" {
					parked--
				}
			}
			if e.Became != nil {
				m.consumer, m.classic = nil, e.Became
			}
		}
		owned := func(t *rapid.T) []TopicPartition {
			if rapid.Bool().Draw(t, "silent") {
				return nil
			}
			out := []TopicPartition{}
			for range rapid.IntRange(0, 4).Draw(t, "owned") {
				id, _ := m.Find(rapid.SampledFrom([]string{"a", "ab", "b"}).Draw(t, "topic"))
				out = append(out, TopicPartition{id, int32(rapid.IntRange(-1, 5).Draw(t, "index"))})
			}
			return out
		}
		t.Repeat(map[string]func(*rapid.T){
			"beat": func(t *rapid.T) {
				b := Beat{
					Token: "t", Member: id(t), Epoch: int32(rapid.IntRange(-3, 9).Draw(t, "epoch")),
					Instance: rapid.SampledFrom(instances).Draw(t, "instance"), RebalanceTimeout: time.Duration(rapid.IntRange(-1, 30).Draw(t, "timeout")) * time.Second,
					Topics: rapid.SampledFrom(subscriptions).Draw(t, "topics"), Regex: rapid.SampledFrom(regexes).Draw(t, "regex"),
					Assignor: rapid.SampledFrom([]*string{nil, &ranged, &uniform}).Draw(t, "assignor"), Owned: owned(t), Visible: all,
					OwnID: rapid.Bool().Draw(t, "own"),
				}
				if rapid.Bool().Draw(t, "joins") {
					b.Epoch, b.Owned = 0, []TopicPartition{}
				}
				if b.Check(cfg) != nil {
					return
				}
				var e Effects
				if m.classic != nil {
					if b.Epoch != 0 {
						return
					}
					var up *Consumer
					if up, e = m.classic.Upgrade(m.now, m, b); up != nil {
						m.consumer, m.classic = up, nil
					}
				} else {
					e = m.consumer.Heartbeat(m.now, m, b)
				}
				take(t, e)
			},
			"join": func(t *rapid.T) {
				v := kmsg.NewConsumerMemberMetadata()
				v.Version, v.Topics = int16(rapid.IntRange(0, 3).Draw(t, "version")), rapid.SampledFrom(subscriptions).Draw(t, "topics")
				v.OwnedPartitions = []kmsg.ConsumerMemberMetadataOwnedPartition{{Topic: "a", Partitions: []int32{int32(rapid.IntRange(-1, 5).Draw(t, "owned"))}}}
				metadata := v.AppendTo(nil)
				if rapid.Bool().Draw(t, "cut") {
					metadata = metadata[:rapid.IntRange(0, len(metadata)).Draw(t, "at")]
				}
				j := join("parked", id(t), rapid.SampledFrom(instances).Draw(t, "instance"), string(metadata))
				j.KnownIDs = rapid.Bool().Draw(t, "known")
				parked++
				if m.classic != nil {
					take(t, m.classic.Join(m.now, j))
				} else {
					take(t, m.consumer.Join(m.now, m, j))
				}
			},
			"sync": func(t *rapid.T) {
				s := Sync{Token: "parked", MemberID: id(t), Instance: rapid.SampledFrom(instances).Draw(t, "instance"), Generation: int32(rapid.IntRange(0, 9).Draw(t, "epoch"))}
				parked++
				if m.classic != nil {
					s.Generation = m.classic.Generation
					s.Assignments = map[string][]byte{s.MemberID: []byte(rapid.SampledFrom([]string{"", "bad", string(writeAssignment(m, 1, owned(t)))}).Draw(t, "assignment"))}
					take(t, m.classic.Sync(m.now, s))
				} else {
					take(t, m.consumer.Sync(m.now, m, s))
				}
			},
			"leave": func(t *rapid.T) {
				id, instance := id(t), rapid.SampledFrom(instances).Draw(t, "instance")
				var e Effects
				if m.classic != nil {
					e, _ = m.classic.Leave(m.now, id, instance)
				} else {
					e, _ = m.consumer.Leave(m.now, m, id, instance)
				}
				take(t, e)
			},
			"classic heartbeat": func(t *rapid.T) {
				if m.consumer != nil {
					e, _ := m.consumer.ClassicHeartbeat(m.now, m, id(t), nil, int32(rapid.IntRange(0, 9).Draw(t, "epoch")))
					take(t, e)
				}
			},
			"topic": func(t *rapid.T) {
				m.set(rapid.SampledFrom([]string{"a", "ab", "b"}).Draw(t, "name"), int32(rapid.IntRange(0, 5).Draw(t, "partitions")))
			},
			"time": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "s")) * time.Second)
				if m.consumer != nil {
					take(t, m.consumer.Tick(m.now, m))
					return
				}
				for next := m.classic.Next(); !next.IsZero() && !next.After(m.now); next = m.classic.Next() {
					take(t, m.classic.Tick(m.now))
				}
			},
			"": func(t *rapid.T) {
				m.check(t)
				if m.consumer == nil {
					return
				}
				if parked != 0 {
					t.Fatalf("%d requests wait where nobody answers", parked)
				}
				for instance, id := range m.consumer.static {
					if x := m.consumer.Members[id]; x == nil || x.Instance == nil || *x.Instance != instance {
						t.Fatalf("instance %s is %s, which is not", instance, id)
					}
				}
				if len(m.consumer.Members) > cfg.Consumer.MaxSize+cfg.MaxSize {
					t.Fatalf("%d members", len(m.consumer.Members))
				}
				m.consumer.State()
			},
		})
	})
}
