package group

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// TestHeartbeatsThatMakeNoSense changes one thing at a time in a heartbeat that is well: the first of a member, and a later one.
func TestHeartbeatsThatMakeNoSense(t *testing.T) {
	blank, unknown := " ", "unknown"
	for _, c := range []struct {
		name   string
		change func(*Beat)
		want   error // of the first heartbeat
		later  error // of one in an epoch
	}{
		{"nothing", func(*Beat) {}, nil, nil},
		{"no id", func(b *Beat) { b.Member = "" }, kerr.InvalidRequest, kerr.InvalidRequest},
		{"no id, from a client that gets one", func(b *Beat) { b.Member, b.OwnID = "", false }, nil, kerr.InvalidRequest},
		{"blank instance", func(b *Beat) { b.Instance = &blank }, kerr.InvalidRequest, kerr.InvalidRequest},
		{"blank rack", func(b *Beat) { b.Rack = &blank }, kerr.InvalidRequest, kerr.InvalidRequest},
		{"no rebalance time-out", func(b *Beat) { b.RebalanceTimeout = -1 }, kerr.InvalidRequest, nil},
		{"not said what it owns", func(b *Beat) { b.Owned = nil }, kerr.InvalidRequest, nil},
		{"partitions", func(b *Beat) { b.Owned = []TopicPartition{{}} }, kerr.InvalidRequest, nil},
		{"no subscription", func(b *Beat) { b.Topics = nil }, kerr.InvalidRequest, nil},
		{"unknown assignor", func(b *Beat) { b.Assignor = &unknown }, kerr.UnsupportedAssignor, kerr.UnsupportedAssignor},
	} {
		for epoch, want := range map[int32]error{joining: c.want, 1: c.later} {
			b := Beat{Member: "m", OwnID: true, Epoch: epoch, RebalanceTimeout: time.Second, Owned: []TopicPartition{}, Topics: []string{"t"}}
			c.change(&b)
			if err := b.Check(consumerConfig()); !errors.Is(err, want) {
				t.Errorf("%s in epoch %d: %v, want %v", c.name, epoch, err, want)
			}
		}
	}
	for epoch, want := range map[int32]error{leaving: kerr.InvalidRequest, staticLeaving: nil, staticLeaving - 1: kerr.InvalidRequest} {
		b := Beat{Epoch: epoch}
		if err := b.Check(consumerConfig()); !errors.Is(err, want) {
			t.Errorf("no id in epoch %d: %v, want %v", epoch, err, want)
		}
	}
}
