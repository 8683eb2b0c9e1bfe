package api

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// TestSessionsAreUsedWhileOthersLookForASlot is for the race detector.
func TestSessionsAreUsedWhileOthersLookForASlot(t *testing.T) {
	var c sessionCache
	now := time.Now()
	first, _, err := c.use(&fetchRequest{version: 12}, 1, now)
	if err != nil || first == nil {
		t.Fatal(first, err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for epoch := int32(1); epoch < 1000; epoch++ {
			if _, _, err := c.use(&fetchRequest{version: 12, session: first.id, epoch: epoch}, 1, now); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 1000 {
		if s, _, err := c.use(&fetchRequest{version: 12}, 1, now); s != nil || err != nil {
			t.Error("a session in use lost its slot", err)
		}
	}
	wg.Wait()
}

// TestSessionsAreBounded: one that grows and grows ends, and its memory is given back.
func TestSessionsAreBounded(t *testing.T) {
	var c sessionCache
	now := time.Now()
	s, _, err := c.use(&fetchRequest{version: 12}, 1000, now)
	for epoch := int32(1); err == nil; epoch++ {
		r := &fetchRequest{version: 12, session: s.id, epoch: epoch}
		for i := range int32(30000) {
			r.wanted = append(r.wanted, wantedPartition{partitionKey: partitionKey{name: "none", index: epoch*30000 + i}})
		}
		if _, _, err = c.use(r, 1000, now); int(epoch)*30000*partitionCost > 2*sessionsMax {
			t.Fatal("it grows without end")
		}
	}
	if !errors.Is(err, kerr.FetchSessionIDNotFound) || len(c.sessions) != 0 || c.size != 0 {
		t.Errorf("%v, %d sessions, %d bytes", err, len(c.sessions), c.size)
	}
}
