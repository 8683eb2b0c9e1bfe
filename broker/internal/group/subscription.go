package group

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ConsumerProtocol is the protocol type of groups whose members are consumers: what their classic subscriptions and
// assignments hold is known.
const ConsumerProtocol = "consumer"

// subscription is what a classic consumer says when it joins.
type subscription struct {
	version int16
	topics  []string // sorted
	owned   []TopicPartition
	rack    *string
}

func readSubscription(topics Topics, metadata []byte) (subscription, error) {
	v := kmsg.NewConsumerMemberMetadata()
	if err := v.ReadFrom(metadata); err != nil {
		return subscription{}, err
	}
	s := subscription{version: v.Version, topics: sortedSet(v.Topics), owned: []TopicPartition{}, rack: v.Rack}
	for _, t := range v.OwnedPartitions {
		s.owned = appendKnown(s.owned, topics, t.Topic, t.Partitions)
	}
	return s, nil
}

// readAssignment is what a classic consumer was assigned. Custom is whether its assignor left something of its own.
func readAssignment(topics Topics, assignment []byte) (partitions []TopicPartition, custom bool, err error) {
	if len(assignment) == 0 { // it has joined, and never asked
		return nil, false, nil
	}
	v := kmsg.NewConsumerMemberAssignment()
	if err := v.ReadFrom(assignment); err != nil {
		return nil, false, err
	}
	for _, t := range v.Topics {
		partitions = appendKnown(partitions, topics, t.Topic, t.Partitions)
	}
	return partitions, len(v.UserData) > 0, nil
}

func appendKnown(to []TopicPartition, topics Topics, name string, partitions []int32) []TopicPartition {
	id, n := topics.Find(name)
	for _, p := range partitions {
		if p >= 0 && p < n {
			to = append(to, TopicPartition{id, p})
		}
	}
	return to
}

// writeAssignment is an assignment in the words of the classic protocol. Topics that are gone are left out.
func writeAssignment(topics Topics, version int16, partitions []TopicPartition) []byte {
	v := kmsg.NewConsumerMemberAssignment()
	v.Version = version
	for _, p := range partitions { // sorted by topic
		name := topics.Name(p.Topic)
		if name == "" {
			continue
		}
		if n := len(v.Topics); n == 0 || v.Topics[n-1].Topic != name {
			t := kmsg.NewConsumerMemberAssignmentTopic()
			t.Topic = name
			v.Topics = append(v.Topics, t)
		}
		t := &v.Topics[len(v.Topics)-1]
		t.Partitions = append(t.Partitions, p.Index)
	}
	return v.AppendTo(nil)
}

// Subscribed tells whether a member subscribes to a topic, or may: what members of other kinds mean by their metadata is
// not known.
func (g *Group) Subscribed(topic string) bool {
	if g.ProtocolType != ConsumerProtocol || g.State == Empty {
		return false
	}
	for _, m := range g.Members {
		topics, err := readTopics(g.metadataOrFirst(m))
		if err != nil || slices.Contains(topics, topic) {
			return true
		}
	}
	return false
}

// readTopics reads no more of a subscription than every version begins with. What follows may be of a version that is
// not known here, and clients leave it out that write a later version's number.
func readTopics(metadata []byte) ([]string, error) {
	first := slices.Clone(metadata)
	if len(first) >= 2 {
		first[0], first[1] = 0, 0
	}
	v := kmsg.NewConsumerMemberMetadata()
	err := v.ReadFrom(first)
	return v.Topics, err
}

// metadataOrFirst is a member's subscription for the group's protocol, or for the one it likes best before there is one.
func (g *Group) metadataOrFirst(m *Member) []byte {
	if metadata := g.Metadata(m); metadata != nil || len(m.Protocols) == 0 {
		return metadata
	}
	return m.Protocols[0].Metadata
}
