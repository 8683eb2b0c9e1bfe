package storage

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestBusyLogsDoNotStarveAnother keeps as many logs busy as there are workers; one more log must still get its sync.
func TestBusyLogsDoNotStarveAnother(t *testing.T) {
	d := openDir(t, vfs.NewMem())
	var stop atomic.Bool
	ended := make(chan struct{}, syncWorkers)
	for i := range syncWorkers {
		l := d.OpenLog(fmt.Sprintf("busy-%d", i), LogConfig{})
		rounds, running := 0, make(chan struct{})
		var again func(error)
		again = func(error) {
			if rounds++; rounds == 2 {
				close(running)
			}
			if stop.Load() {
				ended <- struct{}{}
				return
			}
			a, err := l.Append(records(t, 1, "x"), 0, now)
			if err != nil {
				t.Error(err)
				return
			}
			l.WhenDurable(a.NextOffset, again)
		}
		again(nil)
		<-running
	}
	l := d.OpenLog("quiet", LogConfig{})
	a := mustAppend(t, l, records(t, 1, "x"))
	done := make(chan error, 1)
	l.WhenDurable(a.NextOffset, func(err error) { done <- err })
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("the quiet log waits for ever")
	}
	stop.Store(true)
	for range syncWorkers {
		<-ended
	}
}

// TestWhoPanicsAfterASyncLosesThatOnly: the next append is told when it is durable.
func TestWhoPanicsAfterASyncLosesThatOnly(t *testing.T) {
	d := openDir(t, vfs.NewMem())
	l := d.OpenLog("log", LogConfig{})
	closeAtEnd(t, d, l)
	for i := range 3 {
		at, err := l.Append(records(t, 0, "x"), 0, now)
		if err != nil {
			t.Fatal(err)
		}
		if i < 2 {
			l.mu.Lock() // so that it is told by the goroutine that syncs
			l.await(waiter{at.NextOffset, func(error) { panic("no") }})
			l.mu.Unlock()
			continue
		}
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}
