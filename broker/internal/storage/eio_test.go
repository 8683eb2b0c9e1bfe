package storage

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/leatstream/leat/internal/batch"
)

// TestFailedSyncsWhileMaintaining lets every single sync of a compaction and of a deletion fail: from then on nothing is
// promised any more, and the next start has everything that was promised before.
func TestFailedSyncsWhileMaintaining(t *testing.T) {
	for nth := 1; ; nth++ {
		mem := vfs.NewCrashableMem()
		var mu sync.Mutex
		armed, count := false, 0
		d := openDir(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			switch op.Kind {
			case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
				if !armed {
					return nil
				}
				if count++; count == nth {
					return syscall.EIO
				}
			}
			return nil
		})))
		compacted, plain := d.OpenLog("t-0", perSegment), d.OpenLog("t-1", perSegment)
		for i := range 6 {
			mustAppend(t, compacted, keyed(batch.None, 1, put("a", fmt.Sprint(i)), put(fmt.Sprint("k", i%2), fmt.Sprint(i))))
			mustAppend(t, plain, keyed(batch.None, 1, put("a", fmt.Sprint(i))))
		}
		if err := errors.Join(compacted.Sync(), plain.Sync()); err != nil {
			t.Fatal(err)
		}
		d.syncing.Wait()
		mu.Lock()
		armed = true
		mu.Unlock()
		_, err := compacted.Compact(eager, math.MaxInt64, now)
		err = errors.Join(err, plain.DeleteBefore(3))
		mu.Lock()
		armed = false
		failed := count >= nth
		mu.Unlock()
		if failed != (d.Offline() != nil) || failed != (err != nil) {
			t.Fatalf("sync %d failed: %v; told %v, offline %v", nth, failed, err, d.Offline())
		}
		after := openDir(t, mem.CrashClone(vfs.CrashCloneCfg{}))
		if got := show(t, after.OpenLog("t-0", perSegment)); !strings.HasSuffix(got, "10:a=5 11:k1=5") || !strings.Contains(got, ":k0=4") {
			t.Fatalf("sync %d: %s", nth, got)
		}
		if got := show(t, after.OpenLog("t-1", perSegment)); !strings.HasSuffix(got, "3:a=3 4:a=4 5:a=5") {
			t.Fatalf("sync %d: %s", nth, got)
		}
		if !failed {
			if nth < 10 {
				t.Fatalf("only %d syncs were tried", nth)
			}
			return
		}
	}
}

// TestDirectoryTakenAway: what is written into files that have no name any more is not acknowledged, whichever way it would
// have become durable, and nothing is accepted after it.
func TestDirectoryTakenAway(t *testing.T) {
	for name, c := range map[string]struct {
		wal   int64
		bytes int
	}{
		"in the write-ahead log": {walMemoryBytes, 1}, "too large for it": {walMemoryBytes, walMemoryBytes}, "without one": {0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			d := openWAL(t, fs, c.wal)
			l := d.OpenLog("t-0", LogConfig{})
			mustAppend(t, l, records(t, 1, "before"))
			if err := errors.Join(l.Sync(), d.Check()); err != nil {
				t.Fatal(err)
			}
			if err := fs.RemoveAll("data"); err != nil {
				t.Fatal(err)
			}
			mustAppend(t, l, records(t, 1, strings.Repeat("x", c.bytes)))
			if err := l.Sync(); !errors.Is(err, ErrOffline) || !strings.Contains(err.Error(), "data is gone") {
				t.Errorf("a sync: %v", err)
			}
			if _, err := l.Append(records(t, 1, "after"), 0, now); !errors.Is(err, ErrOffline) {
				t.Errorf("an append is accepted: %v", err)
			}
			if err := d.Check(); !errors.Is(err, ErrOffline) {
				t.Error(err)
			}
		})
	}
}
