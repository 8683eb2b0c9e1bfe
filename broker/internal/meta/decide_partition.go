package meta

import "slices"

// Election is how a leader is chosen, with the numbers of ElectLeaders (KIP-460).
type Election int8

// Kafka's elections.
const (
	Preferred Election = 0 // the first replica, if it is in sync
	Unclean   Election = 1 // whoever is left, for a partition without a leader
)

// partition finds a partition by name and index.
func (m *Image) partition(topic string, index int32) (*Topic, Partition, error) {
	t := m.topics[topic]
	if t == nil {
		return nil, Partition{}, refuse(ErrUnknownTopic, "No such topic as %s", topic)
	}
	p, ok := t.Partition(index)
	if !ok {
		return nil, Partition{}, refuse(ErrUnknownTopic, "No such partition as %s-%d", topic, index)
	}
	return t, p, nil
}

// ElectLeader decides who leads a partition from now on.
func ElectLeader(m *Image, topic string, index int32, how Election) ([]Record, error) {
	t, p, err := m.partition(topic, index)
	switch {
	case err != nil:
		return nil, err
	case how != Preferred && how != Unclean:
		return nil, refuse(ErrInvalidRequest, "Unknown election type %d", how)
	case how == Unclean && p.Leader == -1:
		return nil, refuse(ErrNoEligibleLeader, "No replica of %s-%d is left to lead it.", topic, index)
	case how == Unclean || p.Leader == p.Replicas[0]:
		return nil, refuse(ErrElectionNotNeeded, "The leader of %s-%d is broker %d already.", topic, index, p.Leader)
	case !slices.Contains(p.ISR, p.Replicas[0]):
		return nil, refuse(ErrNoPreferredLeader, "The preferred leader of %s-%d, broker %d, is not in sync.", topic, index, p.Replicas[0])
	}
	p.Leader, p.LeaderEpoch = p.Replicas[0], p.LeaderEpoch+1
	return []Record{PartitionChanged{t.ID, index, p}}, nil
}

// Reassign decides which brokers hold a partition. Only their order can change: none copies a partition from another.
func Reassign(m *Image, topic string, index int32, replicas []int32) ([]Record, error) {
	t, p, err := m.partition(topic, index)
	if err != nil {
		return nil, err
	}
	if err := checkAssignment(m, [][]int32{replicas}); err != nil {
		return nil, err
	}
	if slices.Equal(replicas, p.Replicas) {
		return nil, nil
	}
	if len(replicas) != len(p.Replicas) || slices.ContainsFunc(replicas, func(id int32) bool { return !slices.Contains(p.Replicas, id) }) {
		return nil, refuse(ErrInvalidAssignment, "Partition %s-%d is on the brokers %v and cannot move to %v.", topic, index, p.Replicas, replicas)
	}
	p.Replicas = replicas
	return []Record{PartitionChanged{t.ID, index, p}}, nil
}

// CancelReassignment refuses: a reassignment is over when it was decided.
func CancelReassignment(m *Image, topic string, index int32) error {
	if _, _, err := m.partition(topic, index); err != nil {
		return err
	}
	return refuse(ErrNoReassignment, "No partition reassignment is in progress.")
}
