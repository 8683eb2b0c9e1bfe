package group

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// client is a member as its own process sees it.
type client struct {
	id       string
	instance *string
	classic  bool
	epoch    int32
	has      []TopicPartition // what it works on
	told     []TopicPartition // what it was told last
	topics   []string
	assignor string
}

// model is a group, of whichever kind, with clients that keep to the protocol.
type model struct {
	world
	now      time.Time
	consumer *Consumer
	classic  *Group
	clients  map[string]*client
	names    int
	epoch    int32 // the last one seen
}

func (m *model) beat(t *rapid.T, c *client) {
	b := Beat{
		Token: "t", Member: c.id, Epoch: c.epoch, Instance: c.instance, RebalanceTimeout: -1, Owned: slices.Clone(c.has),
		ClientID: c.id, OwnID: true, Visible: all,
	}
	if b.Owned == nil {
		b.Owned = []TopicPartition{}
	}
	if c.epoch == 0 {
		b.RebalanceTimeout, b.Topics, b.Assignor = 30*time.Second, c.topics, &c.assignor
	}
	var e Effects
	if m.classic != nil {
		var up *Consumer
		if up, e = m.classic.Upgrade(m.now, m, b); up != nil {
			m.consumer, m.classic = up, nil
		}
	} else {
		e = m.consumer.Heartbeat(m.now, m, b)
	}
	m.took(e)
	a := e.Answers[0]
	switch {
	case a.Err != nil && c.epoch == 0:
		delete(m.clients, c.id)
	case a.Err != nil: // fenced: it gives up all and joins again
		c.epoch, c.has, c.told = 0, nil, nil
	case a.Beat.Epoch < c.epoch:
		t.Fatalf("%s went from epoch %d to %d", c.id, c.epoch, a.Beat.Epoch)
	default:
		c.epoch = a.Beat.Epoch
		if a.Beat.Assignment != nil {
			c.told = a.Beat.Assignment
		}
		m.follow(c)
	}
}

// follow does what a client does: it gives up what is not its any more, and when it has said so, works on what is new.
func (m *model) follow(c *client) (revoked bool) {
	kept := slices.DeleteFunc(slices.Clone(c.has), func(p TopicPartition) bool { return !slices.Contains(c.told, p) })
	if revoked = len(kept) < len(c.has); !revoked {
		kept = slices.Clone(c.told)
	}
	c.has = kept
	return revoked
}

func (m *model) took(e Effects) {
	if e.Became != nil {
		m.consumer, m.classic = nil, e.Became
		for _, c := range m.clients {
			if c.classic { // what classic clients do among themselves is not this model's
				delete(m.clients, c.id)
			} else { // it was the last of its kind, and has noticed that it is out
				c.epoch, c.has, c.told = 0, nil, nil
			}
		}
	}
}

// join is a whole round of a classic client: it joins, syncs and does what it was told.
func (m *model) join(c *client) {
	v := kmsg.NewConsumerMemberMetadata()
	v.Version, v.Topics = 1, c.topics
	for _, p := range c.has {
		if name := m.Name(p.Topic); name != "" {
			v.OwnedPartitions = append(v.OwnedPartitions, kmsg.ConsumerMemberMetadataOwnedPartition{Topic: name, Partitions: []int32{p.Index}})
		}
	}
	e := m.consumer.Join(m.now, m, Join{
		Token: "t", MemberID: c.id, Instance: c.instance, ClientID: c.id, SessionTimeout: 45 * time.Second, RebalanceTimeout: 30 * time.Second,
		ProtocolType: "consumer", Protocols: []Protocol{{"range", v.AppendTo(nil)}},
	})
	m.took(e)
	if a := e.Answers[0]; a.Err != nil || m.consumer == nil {
		delete(m.clients, c.id)
		return
	}
	c.epoch = e.Answers[0].Join.Generation
	e = m.consumer.Sync(m.now, m, Sync{Token: "t", MemberID: c.id, Instance: c.instance, Generation: c.epoch})
	if a := e.Answers[0]; a.Err == nil {
		c.told, _, _ = readAssignment(m, a.Sync.Assignment)
		if m.follow(c) { // who revokes joins again
			m.join(c)
		}
	}
}

func (m *model) turn(t *rapid.T, c *client) {
	switch {
	case !c.classic:
		m.beat(t, c)
	case m.consumer == nil:
		delete(m.clients, c.id)
	case c.epoch != 0:
		if _, err := m.consumer.ClassicHeartbeat(m.now, m, c.id, c.instance, c.epoch); err == nil {
			return
		}
		if m.consumer.Members[c.id] == nil {
			c.has, c.told = nil, nil
		}
		m.join(c)
	default:
		m.join(c)
	}
}

func (m *model) check(t *rapid.T) {
	working := map[TopicPartition]string{}
	for _, c := range m.clients {
		for _, p := range c.has {
			if other := working[p]; other != "" {
				t.Fatalf("%s and %s both work on %v:%d", c.id, other, m.Name(p.Topic), p.Index)
			}
			working[p] = c.id
		}
	}
	if m.consumer == nil {
		m.epoch = max(m.epoch, m.classic.Generation)
		return
	}
	g := m.consumer
	if g.Epoch < m.epoch || g.TargetEpoch > g.Epoch {
		t.Fatalf("epoch %d after %d, target of %d", g.Epoch, m.epoch, g.TargetEpoch)
	}
	m.epoch = g.Epoch
	owners, targets := map[TopicPartition]string{}, map[TopicPartition]string{}
	for _, x := range g.Ordered() {
		if g.Next().IsZero() || g.Next().After(x.next()) {
			t.Fatalf("nobody looks after %s", x.ID)
		}
		if x.Epoch > g.TargetEpoch {
			t.Fatalf("member %s is in epoch %d before it has begun", x.ID, x.Epoch)
		}
		for _, o := range []Owned{x.Assigned, x.Revoking} {
			for p := range o {
				if owners[p] != "" || g.owners[p] != x.ID {
					t.Fatalf("%v is %q's and %q's, or not known to be (%q)", p, owners[p], x.ID, g.owners[p])
				}
				owners[p] = x.ID
			}
		}
		for _, p := range x.Target {
			if targets[p] != "" {
				t.Fatalf("%v is the target of two", p)
			}
			targets[p] = x.ID
		}
	}
	if len(owners) != len(g.owners) {
		t.Fatalf("%d partitions are owned, %d said to be", len(owners), len(g.owners))
	}
}

// settle lets all clients call until nothing moves, and holds the group to what it promises them.
func (m *model) settle(t *rapid.T) {
	for range 12 {
		for _, id := range slices.Sorted(maps.Keys(m.clients)) {
			if c := m.clients[id]; c != nil {
				m.turn(t, c)
				m.check(t)
			}
		}
		m.now = m.now.Add(time.Second)
	}
	if m.consumer == nil || len(m.consumer.Members) == 0 {
		return
	}
	for _, x := range m.consumer.Members {
		if m.clients[x.ID] == nil {
			return // one is silent, and may have partitions
		}
	}
	if s := m.consumer.State(); s != Stable {
		t.Fatalf("%s when all have called", s)
	}
	work := map[TopicPartition]bool{}
	counts := []int{}
	same := true
	for _, c := range m.clients {
		for _, p := range c.has {
			work[p] = true
		}
		counts = append(counts, len(c.has))
		for _, d := range m.clients {
			same = same && slices.Equal(c.topics, d.topics)
		}
	}
	for name, n := range m.partitions {
		wanted := false
		for _, x := range m.consumer.Members {
			wanted = wanted || slices.Contains(x.Topics, name)
		}
		for i := range n {
			id, _ := m.Find(name)
			if p := (TopicPartition{id, i}); work[p] != wanted {
				t.Fatalf("%s:%d is worked on: %v, subscribed to: %v", name, i, work[p], wanted)
			}
		}
	}
	if same && m.consumer.Assignor() == Uniform && slices.Max(counts)-slices.Min(counts) > 1 {
		t.Fatalf("uneven: %v", counts)
	}
}

// TestPartitionsHaveOneOwner lets members of both protocols come, go, fall silent and be fenced while topics change.
func TestPartitionsHaveOneOwner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := 0
		m := &model{now: start, clients: map[string]*client{}}
		m.consumer = NewConsumer("g", consumerConfig(), func() string { n++; return fmt.Sprint(n) })
		m.set("a", 4)
		some := func(t *rapid.T) *client {
			ids := slices.Sorted(maps.Keys(m.clients))
			if len(ids) == 0 {
				t.Skip("nobody")
			}
			return m.clients[rapid.SampledFrom(ids).Draw(t, "who")]
		}
		subscriptions := [][]string{{"a"}, {"a"}, {"a", "b"}, {"b"}, {"b", "c"}, {}}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				m.names++
				c := &client{id: fmt.Sprint("m", m.names), topics: rapid.SampledFrom(subscriptions).Draw(t, "topics")}
				c.assignor = rapid.SampledFrom([]string{Uniform, Uniform, Range}).Draw(t, "assignor")
				c.classic = m.consumer != nil && rapid.IntRange(0, 3).Draw(t, "classic") == 0
				m.clients[c.id] = c
				m.turn(t, c)
			},
			"call":  func(t *rapid.T) { m.turn(t, some(t)) },
			"again": func(t *rapid.T) { m.turn(t, some(t)) },
			"leave": func(t *rapid.T) {
				c := some(t)
				delete(m.clients, c.id)
				if m.consumer != nil {
					e, _ := m.consumer.Leave(m.now, m, c.id, nil)
					m.took(e)
				}
			},
			"die": func(t *rapid.T) { delete(m.clients, some(t).id) },
			"forget": func(t *rapid.T) { // a process that starts anew under its id
				c := some(t)
				if !c.classic {
					c.epoch, c.has, c.told = 0, nil, nil
				}
			},
			"subscribe": func(t *rapid.T) {
				c := some(t)
				if c.classic || m.consumer == nil || c.epoch == 0 {
					return
				}
				c.topics = rapid.SampledFrom(subscriptions).Draw(t, "topics")
				e := m.consumer.Heartbeat(m.now, m, Beat{Token: "t", Member: c.id, Epoch: c.epoch, RebalanceTimeout: -1, Topics: c.topics, ClientID: c.id, OwnID: true, Visible: all})
				if a := e.Answers[0]; a.Err == nil {
					c.epoch = a.Beat.Epoch
					if a.Beat.Assignment != nil {
						c.told = a.Beat.Assignment
					}
				} else {
					c.epoch, c.has, c.told = 0, nil, nil
				}
			},
			"topic": func(t *rapid.T) {
				name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
				n := int32(rapid.IntRange(0, 7).Draw(t, "partitions"))
				if n > 0 { // a topic may go, but not shrink
					n = max(n, m.partitions[name])
				}
				m.set(name, n)
				if m.partitions[name] == 0 { // a client drops what its broker does not know any more
					for _, c := range m.clients {
						gone := func(p TopicPartition) bool { return strings.HasPrefix(string(p.Topic[:]), name) }
						c.has, c.told = slices.DeleteFunc(c.has, gone), slices.DeleteFunc(slices.Clone(c.told), gone)
					}
				}
			},
			"time": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "s")) * time.Second)
				if m.consumer == nil {
					m.classic.Tick(m.now)
					return
				}
				before := slices.Collect(maps.Keys(m.consumer.Members))
				var e Effects
				if next := m.consumer.Next(); !next.IsZero() && !next.After(m.now) {
					e = m.consumer.Tick(m.now, m)
				}
				for _, id := range before { // who is out has noticed: its own clock runs, too
					if c := m.clients[id]; c != nil && (m.consumer.Members[id] == nil) {
						c.epoch, c.has, c.told = 0, nil, nil
					}
				}
				m.took(e)
			},
			"settle": m.settle,
			"":       m.check,
		})
		m.settle(t)
	})
}
