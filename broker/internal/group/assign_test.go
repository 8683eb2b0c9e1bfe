package group

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// dealt makes targets of members that subscribe to topics, and checks that each partition is somebody's who wants it, once.
func dealt(t *rapid.T, c *Consumer, w *world) map[TopicPartition]string {
	c.assign(w)
	owner := map[TopicPartition]string{}
	for _, m := range c.Ordered() {
		for _, p := range m.Target {
			if !slices.Contains(m.Topics, w.Name(p.Topic)) || owner[p] != "" {
				t.Fatalf("%s gets %s:%d, which is %q's", m.ID, w.Name(p.Topic), p.Index, owner[p])
			}
			owner[p] = m.ID
		}
	}
	for name, n := range w.partitions {
		wanted := slices.ContainsFunc(c.Ordered(), func(m *ConsumerMember) bool { return slices.Contains(m.Topics, name) })
		for i := range n {
			id, _ := w.Find(name)
			if (owner[TopicPartition{id, i}] != "") != wanted {
				t.Fatalf("%s:%d is %q's", name, i, owner[TopicPartition{id, i}])
			}
		}
	}
	return owner
}

// TestAssignors: uniform is as even as subscriptions allow, and moves no more than it must when one comes or goes; range
// gives each member one run of each topic.
func TestAssignors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{}
		names := []string{"a", "b", "c"}
		for _, name := range names {
			w.set(name, int32(rapid.IntRange(0, 12).Draw(t, name)))
		}
		c := NewConsumer("g", consumerConfig(), nil)
		same := rapid.Bool().Draw(t, "same")
		enter := func(id string) {
			m := c.add(id)
			m.Topics, m.Assignor = names, rapid.SampledFrom([]string{Uniform, Uniform, Range}).Draw(t, "assignor")
			if !same {
				m.Topics = sortedSet(rapid.SliceOfN(rapid.SampledFrom(names), 0, 3).Draw(t, "topics"))
			}
		}
		for i := range rapid.IntRange(1, 6).Draw(t, "members") {
			enter(fmt.Sprint("m", i))
		}
		before := dealt(t, c, w)
		if c.Assignor() == Range {
			for _, m := range c.Members {
				for i, p := range m.Target {
					if i > 0 && m.Target[i-1].Topic == p.Topic && m.Target[i-1].Index != p.Index-1 {
						t.Fatalf("%s has no run: %v", m.ID, m.Target)
					}
				}
			}
			return
		}
		for _, from := range c.Members {
			for _, p := range from.Target {
				for _, to := range c.Members {
					if slices.Contains(to.Topics, w.Name(p.Topic)) && len(to.Target)+1 < len(from.Target) {
						t.Fatalf("%s has %d, and %s could have one of %d", from.ID, len(from.Target), to.ID, len(to.Target))
					}
				}
			}
		}
		if !same {
			return
		}
		moved := func(after map[TopicPartition]string) (n int) {
			for p, id := range after {
				if was := before[p]; was != id && c.Members[was] != nil && id != "new" {
					n++
				}
			}
			return n
		}
		enter("new")
		if n := moved(dealt(t, c, w)); n > 0 && c.Assignor() == Uniform {
			t.Fatalf("%d partitions move between those who stay when one comes", n)
		}
		c.forget(c.Members["new"])
		before = dealt(t, c, w)
		c.forget(c.Members["m0"])
		if len(c.Members) > 0 && c.Assignor() == Uniform {
			if n := moved(dealt(t, c, w)); n > 0 {
				t.Fatalf("%d partitions move between those who stay when one goes", n)
			}
		}
	})
}

// BenchmarkJoinLargeGroup is what a member costs that comes into a group of so many, and goes.
func BenchmarkJoinLargeGroup(b *testing.B) {
	for _, size := range []struct{ members, partitions int }{{100, 1000}, {1000, 10_000}} {
		for _, assignor := range []string{Uniform, Range} {
			for _, mixed := range []bool{false, true} {
				b.Run(fmt.Sprintf("members=%d/partitions=%d/%s/mixed=%v", size.members, size.partitions, assignor, mixed), func(b *testing.B) {
					w := &world{}
					for i := range 10 {
						w.set(fmt.Sprint("t", i), int32(size.partitions/10))
					}
					cfg := consumerConfig()
					cfg.Consumer.MaxSize = 1 << 20
					c := NewConsumer("g", cfg, nil)
					join := func(id string, i int) {
						names := w.Names()
						if mixed && i%2 == 0 {
							names = names[:5]
						}
						c.Heartbeat(start, w, Beat{Member: id, RebalanceTimeout: time.Minute, Topics: names, Owned: []TopicPartition{}, Assignor: &assignor, Visible: all})
					}
					for i := range size.members {
						m := c.add(fmt.Sprint("m", i)) // in, and not assigned yet
						m.Topics, m.Assignor = w.Names(), assignor
						if mixed && i%2 == 0 {
							m.Topics = w.Names()[:5]
						}
					}
					for b.Loop() {
						join("new", 1)
						c.Leave(start, w, "new", nil)
					}
				})
			}
		}
	}
}
