package coord

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/group"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
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

// TestWorkThatPanics outside of requests gives its lock back, and ends by itself only.
func TestWorkThatPanics(t *testing.T) {
	cfg := Config{Clock: time.Now, Broker: &meta.BrokerConfig{}}
	groups := &shard{groupsOf: &Groups{cfg: cfg}, groups: map[string]*managed{"g": {id: "g"}}} // of neither kind
	txns := &txnShard{txnsOf: &Txns{cfg: cfg}, txns: map[string]*tracked{"x": {}}}             // without a transaction
	load := &topic[*txnShard]{cfg: &cfg}
	for name, work := range map[string]struct {
		do func()
		mu *sync.Mutex
	}{
		"expiry of offsets":              {func() { groups.expire(time.Now(), 0) }, &groups.mu},
		"the timer of a transaction":     {func() { txns.pass(txns.txns["x"], time.Now(), 0) }, &txns.mu},
		"a state that cannot be written": {func() { txns.mu.Lock(); txns.move(txns.txns["x"], nil, nil) }, &txns.mu},
		"loading":                        {func() { _ = load.load(txns) }, &txns.mu},
	} {
		func() {
			defer func() { _ = recover() }()
			work.do()
		}()
		if !work.mu.TryLock() {
			t.Fatalf("%s: the lock is held", name)
		}
		work.mu.Unlock()
	}
	if err := load.load(txns); !errors.Is(err, kerr.CoordinatorNotAvailable) {
		t.Errorf("loading what panics: %v", err)
	}
}
