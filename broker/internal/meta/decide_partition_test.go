package meta

import (
	"errors"
	"slices"
	"testing"
)

// TestElectionsAndReassignments has more brokers than a cluster has so far: an order that changed elects its first.
func TestElectionsAndReassignments(t *testing.T) {
	c, m := config(t, nil), cluster(3)
	must := func(records []Record, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		m = m.Apply(records...)
	}
	must(CreateTopic(m, c, NewTopic{Name: "t", ID: id(1), Partitions: -1, Replication: -1, Assignment: map[int32][]int32{0: {0, 1}}}))
	must(Reassign(m, "t", 0, []int32{1, 0}))
	if p, _ := m.Topic("t").Partition(0); !slices.Equal(p.Replicas, []int32{1, 0}) || p.Leader != 0 || p.LeaderEpoch != 0 {
		t.Errorf("reassigned: %+v", p)
	}
	for _, replicas := range [][]int32{{0, 2}, {0}, {0, 1, 2}, {0, 0}, {}, {0, 9}} {
		if _, err := Reassign(m, "t", 0, replicas); !errors.Is(err, ErrInvalidAssignment) {
			t.Errorf("to %v: %v", replicas, err)
		}
	}
	must(ElectLeader(m, "t", 0, Preferred))
	if p, _ := m.Topic("t").Partition(0); p.Leader != 1 || p.LeaderEpoch != 1 {
		t.Errorf("elected: %+v", p)
	}
	if _, err := ElectLeader(m, "t", 0, Preferred); !errors.Is(err, ErrElectionNotNeeded) {
		t.Error(err)
	}
	must([]Record{PartitionChanged{id(1), 0, Partition{Leader: 0, Replicas: []int32{1, 0}, ISR: []int32{0}}}}, nil)
	if _, err := ElectLeader(m, "t", 0, Preferred); !errors.Is(err, ErrNoPreferredLeader) {
		t.Error(err)
	}
	must([]Record{PartitionChanged{id(1), 0, Partition{Leader: -1, Replicas: []int32{1, 0}}}}, nil)
	if _, err := ElectLeader(m, "t", 0, Unclean); !errors.Is(err, ErrNoEligibleLeader) {
		t.Error(err)
	}
	if err := CancelReassignment(m, "t", 0); !errors.Is(err, ErrNoReassignment) {
		t.Error(err)
	}
}
