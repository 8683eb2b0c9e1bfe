package storage

import (
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestSegmentsAreWrittenBackWhileTheyGrow, and if that fails the directory is offline: nobody else would be told.
func TestSegmentsAreWrittenBackWhileTheyGrow(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var asked atomic.Int64
	var failing atomic.Bool
	d := openWAL(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind != errorfs.OpFileSyncTo || !strings.HasSuffix(op.Path, logSuffix) {
			return nil
		}
		asked.Add(1)
		if failing.Load() {
			return syscall.EIO
		}
		return nil
	})), 1<<20)
	l := d.OpenLog("t-0", LogConfig{})
	const batches, size = 40, writebackStep / 8
	for range batches {
		mustAppend(t, l, records(t, 1, string(make([]byte, size))))
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	d.syncing.Wait()
	if n := asked.Load(); n < batches*size/writebackStep-1 || n > batches*size/writebackStep+1 {
		t.Errorf("asked %d times to write %d bytes", n, batches*size)
	}
	failing.Store(true)
	for range 32 {
		_, err := l.Append(records(t, 1, string(make([]byte, size))), 0, now)
		if err == nil {
			err = l.Sync()
		}
		d.syncing.Wait()
		if err != nil {
			break
		}
	}
	if _, err := l.Append(records(t, 1, "x"), 0, now); !errors.Is(err, ErrOffline) {
		t.Errorf("appended: %v", err)
	}
}

// TestNextFileIsThereInTime: commits go on while it is made.
func TestNextFileIsThereInTime(t *testing.T) {
	d := openWAL(t, vfs.NewMem(), 64<<10)
	l := d.OpenLog("t-0", LogConfig{})
	first := d.wal.files[0]
	for first.pos <= 40<<10 { // of 64
		mustAppend(t, l, records(t, 1, "x"))
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		d.syncing.Wait()
	}
	if d.wal.active != first || len(d.wal.files) != 2 {
		t.Errorf("%d files when the first has %d bytes", len(d.wal.files), first.pos)
	}
}
