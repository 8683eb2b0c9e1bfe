package coord

import (
	"time"

	"github.com/leatstream/leat/broker/internal/group"
	"github.com/leatstream/leat/broker/internal/meta"
)

// The kinds of groups, as tools call them.
const (
	ClassicGroup  = "classic"
	ConsumerGroup = "consumer"
)

func (m *managed) kind() string {
	if m.consumer != nil {
		return ConsumerGroup
	}
	return ClassicGroup
}

func (m *managed) state() group.State {
	if m.consumer != nil {
		return m.consumer.State()
	}
	return m.classic.State
}

func (m *managed) size() int {
	if m.consumer != nil {
		return len(m.consumer.Members)
	}
	return len(m.classic.Members)
}

func (m *managed) protocolType() string {
	if m.consumer != nil {
		return group.ConsumerProtocol
	}
	return m.classic.ProtocolType
}

// commit proves that somebody may commit offsets.
func (m *managed) commit(now time.Time, claim group.Claim) error {
	if m.consumer != nil {
		return m.consumer.Commit(claim)
	}
	return m.classic.Commit(now, claim)
}

func (m *managed) next() time.Time {
	if m.consumer != nil {
		return m.consumer.Next()
	}
	return m.classic.Next()
}

func (m *managed) timePasses(now time.Time) group.Effects {
	if m.consumer != nil {
		return m.consumer.Tick(now, m.shard.groupsOf.topics())
	}
	return m.classic.Tick(now)
}

// repeat notes that what an event asked for could not be written. It is written with the next.
func (m *managed) repeat(e group.Effects) {
	if m.consumer != nil {
		m.consumer.Repeat(e.Changes)
	}
	m.owes = m.owes || e.Persist
}

// owing tells whether the record of a classic group has to be written again, and can be: in the midst of a rebalance it
// would say what nobody was told.
func (m *managed) owing() bool {
	if !m.owes || m.classic != nil && m.classic.State != group.Stable && m.classic.State != group.Empty {
		return false
	}
	m.owes = false
	return m.classic != nil
}

// removal is the records that go when the group goes, but for its offsets.
func (m *managed) removal() []record {
	if m.consumer == nil {
		return []record{groupTombstone(m.id)}
	}
	var out []record
	for _, ch := range m.consumer.Remove() {
		out = append(out, consumerRecord(m, ch))
	}
	return out
}

// topics is the cluster's topics as groups look at them.
type topics struct{ image *meta.Image }

func (g *Groups) topics() topics { return topics{g.cfg.Meta.Image()} }

// Version is the image: another one may have other topics.
func (t topics) Version() any { return t.image }

// Find finds a topic by name.
func (t topics) Find(name string) (id group.TopicID, partitions int32) {
	if topic := t.image.Topic(name); topic != nil {
		return topic.ID, int32(len(topic.Partitions))
	}
	return group.TopicID{}, 0
}

// Name is what a topic is called; empty: there is none.
func (t topics) Name(id group.TopicID) string {
	if topic := t.image.TopicByID(id); topic != nil {
		return topic.Name
	}
	return ""
}

// Names lists all topics, sorted.
func (t topics) Names() []string {
	all := t.image.Topics()
	names := make([]string, len(all))
	for i, topic := range all {
		names[i] = topic.Name
	}
	return names
}
