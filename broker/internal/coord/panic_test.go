package coord

import (
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/group"
)

// TestATimerThatPanics gives its lock back: a group that is neither classic nor a consumer group cannot tell the time.
func TestATimerThatPanics(t *testing.T) {
	s := &shard{groupsOf: &Groups{cfg: Config{Clock: time.Now}}}
	m := &managed{id: "g", shard: s}
	m.tick()
	if !s.mu.TryLock() {
		t.Fatal("the lock is held")
	}
	if !m.stopped {
		t.Error("it would panic again")
	}
}

// TestARequestThatPanics gives the lock back as well.
func TestARequestThatPanics(t *testing.T) {
	s := &shard{groupsOf: &Groups{cfg: Config{Clock: time.Now}}}
	m := &managed{id: "g", shard: s}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is gone")
			}
		}()
		s.mu.Lock()
		s.by(m, func() group.Effects { panic("no") })
	}()
	if !s.mu.TryLock() {
		t.Fatal("the lock is held")
	}
}
