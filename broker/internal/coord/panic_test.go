package coord

import (
	"testing"
	"time"
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
