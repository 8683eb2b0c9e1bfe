package storage

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
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

// TestNamesOfANewLogAreSyncedTogether: a file system with a journal writes it once for the directory and the first segment if
// both are made before either name is asked to be durable.
func TestNamesOfANewLogAreSyncedTogether(t *testing.T) {
	var ops []string
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpMkdirAll, errorfs.OpCreate, errorfs.OpFileSync, errorfs.OpFileWriteAt:
			ops = append(ops, op.Path)
		}
		return nil
	}))
	d, err := OpenDirWAL(fs, "data", 0)
	if err != nil {
		t.Fatal(err)
	}
	ops = nil
	mustAppend(t, d.OpenLog("t-0", LogConfig{}), records(t, 1, "v"))
	file := "data/t-0/00000000000000000000.log"
	if want := []string{"data/t-0", file, "data/t-0", "data", file}; !slices.Equal(ops, want) {
		t.Errorf("made, made, synced, synced, written: %v, want %v", ops, want)
	}
}

// TestNewLogHalfMade stops the making of a new log at each step. The next process, which finds
// what was made, acknowledges nothing that a power loss takes with a name.
func TestNewLogHalfMade(t *testing.T) {
	for stop := 1; ; stop++ {
		mem := vfs.NewCrashableMem()
		step := 0
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			switch op.Kind {
			case errorfs.OpMkdirAll, errorfs.OpCreate, errorfs.OpOpenDir, errorfs.OpOpen:
				if step++; step == stop {
					return syscall.EACCES
				}
			}
			return nil
		}))
		d, err := OpenDirWAL(mem, "data", 0)
		if err != nil {
			t.Fatal(err)
		}
		d.fs = fs
		l := d.OpenLog("t-0", LogConfig{})
		_, stopped := l.Append(records(t, 1, "before"), 0, now)
		if stopped == nil && stop < 5 {
			t.Fatalf("step %d: nothing stopped it", stop)
		}
		if stopped == nil {
			return
		}
		if err := errors.Join(l.Close(), d.lock.Close()); err != nil { // and nothing else: it is killed
			t.Fatal(err)
		}
		l = openDir(t, mem).OpenLog("t-0", LogConfig{})
		mustAppend(t, l, records(t, 1, "after"))
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		if got := kept(t, openDir(t, mem.CrashClone(vfs.CrashCloneCfg{})).OpenLog("t-0", LogConfig{})); fmt.Sprint(got) != "[after]" {
			t.Errorf("stopped at step %d: %v", stop, got)
		}
	}
}
