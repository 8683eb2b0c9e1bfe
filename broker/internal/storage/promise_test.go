package storage

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// has fails the test unless a log holds exactly these values.
func has(t *testing.T, d *Dir, name string, want ...string) {
	t.Helper()
	if got, err := readAll(d.OpenLog(name, LogConfig{}), 0, 1000); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s has %.60v, want %.60v: %v", name, got, want, err)
	}
}

// synced calls a function after each sync of a segment.
type synced struct {
	vfs.FS
	fn func()
}

type syncedFile struct {
	vfs.File
	fn func()
}

func (s synced) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := s.FS.OpenReadWrite(name, category, opts...)
	if err != nil || !strings.HasSuffix(name, logSuffix) {
		return f, err
	}
	return syncedFile{f, s.fn}, nil
}

func (f syncedFile) SyncData() error {
	err := f.File.SyncData()
	f.fn()
	return err
}

// TestAppendedWhileClosing: a log that is being closed has synced its files when somebody writes one more record, which is
// made durable by the write-ahead log. That ends with the directory.
func TestAppendedWhileClosing(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var l *Log
	var once sync.Once
	d := openWAL(t, synced{mem, func() {
		if l == nil {
			return
		}
		once.Do(func() {
			mustAppend(t, l, records(t, 1, "late"))
			if err := l.Sync(); err != nil {
				t.Error(err)
			}
		})
	}}, 64<<10)
	log := d.OpenLog("t-0", LogConfig{})
	mustAppend(t, log, records(t, 1, "first"))
	if err := log.Sync(); err != nil {
		t.Fatal(err)
	}
	l = log
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	has(t, openWAL(t, mem.CrashClone(vfs.CrashCloneCfg{}), 64<<10), "t-0", "first", "late")
}

// TestKilledAtEveryOperation kills a process at each of its changes of files, which costs nothing but what it had begun. The
// next one finds everything as it was left, goes on, and loses the power. What it was told is durable must be there.
func TestKilledAtEveryOperation(t *testing.T) {
	for nth := int64(1); ; nth++ {
		mem := vfs.NewCrashableMem()
		if err := mem.MkdirAll("data", 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := mem.OpenDir("")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(root.Sync(), root.Close()); err != nil {
			t.Fatal(err)
		}
		var count atomic.Int64
		dead := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind != errorfs.OpFileClose && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && count.Add(1) >= nth {
				return errors.New("killed")
			}
			return nil
		}))
		if d, err := OpenDirWAL(dead, "data", 64<<10); err == nil {
			l := d.OpenLog("t-0", LogConfig{SegmentBytes: 150})
			for i := range 6 {
				if _, err := l.Append(records(t, 1, fmt.Sprint("before ", i)), 0, now); err == nil {
					_ = l.Sync()
				}
			}
			_ = l.Close()
			_ = d.Close()
		}
		killed := count.Load() >= nth
		d := openWAL(t, mem, 64<<10)
		l := d.OpenLog("t-0", LogConfig{SegmentBytes: 150})
		before, err := readAll(l, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, records(t, 1, "after"))
		if err := l.Sync(); err != nil {
			t.Fatalf("killed at %d: %v", nth, err)
		}
		has(t, openWAL(t, mem.CrashClone(vfs.CrashCloneCfg{}), 64<<10), "t-0", append(before, "after")...)
		if t.Failed() {
			t.Fatalf("killed at %d", nth)
		}
		if !killed {
			if nth < 20 {
				t.Fatalf("only %d operations", nth)
			}
			return
		}
	}
}

// TestFailedSyncsAtTheFirstUse lets each sync fail that the first use of a log after a power loss needs.
func TestFailedSyncsAtTheFirstUse(t *testing.T) {
	mem := vfs.NewCrashableMem()
	d := openDir(t, mem)
	l := d.OpenLog("t-0", LogConfig{})
	mustAppend(t, l, records(t, 1, "kept"))
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, records(t, 1, "torn"))
	torn := mem.CrashClone(vfs.CrashCloneCfg{})
	f, err := torn.OpenReadWrite("data/t-0/00000000000000000000.log", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("the first half of a batch"), max(info.Size(), 200)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	for nth := int64(1); ; nth++ {
		var armed atomic.Bool
		var count atomic.Int64
		d := openDir(t, errorfs.Wrap(torn.CrashClone(vfs.CrashCloneCfg{}), errorfs.InjectorFunc(func(op errorfs.Op) error {
			switch op.Kind {
			case errorfs.OpFileSync, errorfs.OpFileSyncData:
				if armed.Load() && count.Add(1) == nth {
					return syscall.EIO
				}
			}
			return nil
		})))
		d.syncing.Wait() // what the write-ahead log has
		armed.Store(true)
		_, err := d.OpenLog("t-0", LogConfig{}).EndOffset()
		failed := count.Load() >= nth
		if failed != errors.Is(err, ErrOffline) || failed != (d.Offline() != nil) {
			t.Fatalf("sync %d failed: %v; told %v, offline %v", nth, failed, err, d.Offline())
		}
		if !failed {
			if nth < 3 {
				t.Fatalf("only %d syncs", nth)
			}
			return
		}
	}
}

// TestFailedSyncIsToldToOthers: the system tells of a write that failed once only, here to the sync of a full file of the
// write-ahead log. The next sync of the same file, already under way for somebody who waits, goes well.
func TestFailedSyncIsToldToOthers(t *testing.T) {
	var l *Log
	var syncs atomic.Int64
	told, offline := make(chan error, 1), make(chan struct{})
	d := openWAL(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind != errorfs.OpFileSyncData || !strings.HasSuffix(op.Path, logSuffix) || l == nil {
			return nil
		}
		if syncs.Add(1) == 1 {
			a := mustAppend(t, l, records(t, 1, string(make([]byte, walTailMax))))
			l.WhenDurable(a.NextOffset, func(err error) { told <- err })
			return syscall.EIO
		}
		<-offline
		return nil
	})), 16<<20)
	log := d.OpenLog("t-0", LogConfig{})
	mustAppend(t, log, records(t, 1, "first"))
	l = log
	if err := l.checkpoint(); !errors.Is(err, ErrOffline) {
		t.Fatalf("synced: %v", err)
	}
	close(offline)
	if err := <-told; !errors.Is(err, ErrOffline) {
		t.Errorf("acknowledged: %v", err)
	}
}

// TestWhatCannotBeLookedAtIsNotGone: a file system that does not answer has not said that there is no such file.
func TestWhatCannotBeLookedAtIsNotGone(t *testing.T) {
	for _, path := range []string{"data/wal", "data/t-0/00000000000000000000.log"} {
		mem := lostSegments(t, 1)
		failing := &errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpStat && op.Path == path {
				return syscall.EIO
			}
			return nil
		})}
		failing.On()
		d, err := OpenDirWAL(errorfs.Wrap(mem, failing), "data", 64<<10)
		if err == nil {
			_, err = d.OpenLog("t-0", LogConfig{}).Append(records(t, 1, "more"), 0, now)
		}
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", path, err)
		}
		has(t, openWAL(t, mem.CrashClone(vfs.CrashCloneCfg{}), 64<<10), "t-0", "record of 0")
	}
}

// noDescriptors is fs without a descriptor for a log's segment, so many times after a start has written it back.
func noDescriptors(fs vfs.FS, log string, times int64) vfs.FS {
	var opened atomic.Int64
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpOpen && strings.HasSuffix(op.Path, log+"/00000000000000000000.log") {
			if n := opened.Add(1); n > 1 && n <= 1+times {
				return syscall.EMFILE
			}
		}
		return nil
	}))
}

// TestNoDescriptorsToSyncWhatAStartFound: until it is synced the write-ahead log keeps it, even over a stop.
func TestNoDescriptorsToSyncWhatAStartFound(t *testing.T) {
	mem := lostSegments(t, 2)
	d, err := OpenDirWAL(noDescriptors(mem, "t-0", 1000), "data", 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d, err = OpenDirWAL(noDescriptors(mem, "t-0", 1), "data", 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	l := d.OpenLog("t-1", LogConfig{})
	mustAppend(t, l, records(t, 1, "more"))
	if err := errors.Join(l.Sync(), d.wal.forget(l)); err != nil { // which needs room in the write-ahead log
		t.Fatal(err)
	}
	d = openWAL(t, mem.CrashClone(vfs.CrashCloneCfg{}), 64<<10)
	has(t, d, "t-0", "record of 0")
	has(t, d, "t-1", "record of 1", "more")
}

// TestWhatADamagedWALHasDoesNotComeBack: what follows a damaged block is put aside, and what is written in its place stays.
func TestWhatADamagedWALHasDoesNotComeBack(t *testing.T) {
	mem := vfs.NewCrashableMem()
	d := openWAL(t, mem, 1<<20)
	l := d.OpenLog("t-0", LogConfig{})
	for _, v := range []string{"first", "damaged", "behind"} {
		mustAppend(t, l, records(t, 1, v))
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	mem = mem.CrashClone(vfs.CrashCloneCfg{})
	f, err := mem.OpenReadWrite("data/wal/0.wal", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("rot"), 2*walPage+60); err != nil { // the second block
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	d = openWAL(t, mem, 1<<20)
	l = d.OpenLog("t-0", LogConfig{})
	large := strings.Repeat("x", walTailMax) // synced in the segment alone
	mustAppend(t, l, records(t, 1, large))
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	has(t, openWAL(t, mem.CrashClone(vfs.CrashCloneCfg{}), 1<<20), "t-0", "first", large)
}

// TestForgettingOutlivesTheSizeOfFiles: files of a size that is not used any more go, the oldest first.
func TestForgettingOutlivesTheSizeOfFiles(t *testing.T) {
	mem := vfs.NewCrashableMem()
	d := openWAL(t, mem, 64<<10)
	l, early, other := d.OpenLog("t-0", LogConfig{}), d.OpenLog("t-1", LogConfig{}), d.OpenLog("t-2", LogConfig{})
	mustAppend(t, l, records(t, 1, "old"))
	mustAppend(t, early, records(t, 1, "only in the first file"))
	if err := errors.Join(l.Sync(), early.Sync()); err != nil {
		t.Fatal(err)
	}
	for first := d.wal.active; d.wal.active == first; {
		mustAppend(t, other, records(t, 1, "other"))
		if err := other.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.wal.forget(l); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(mem, "data/t-0/00000000000000000000.log", records(t, 1, "new")); err != nil {
		t.Fatal(err)
	}
	mem = mem.CrashClone(vfs.CrashCloneCfg{})
	// The next start has files of another size. The first of the old ones cannot be settled yet.
	d, err := OpenDirWAL(noDescriptors(mem, "t-1", 1000), "data", 128<<10)
	if err != nil {
		t.Fatal(err)
	}
	settling := func() (n int) {
		for _, f := range d.wal.files {
			if f.full {
				n++
			}
		}
		return n
	}
	d.wal.mu.Lock()
	for settling() > 1 {
		d.wal.changed.Wait()
	}
	d.wal.free()
	d.wal.mu.Unlock()
	if err := syncDir(mem, "data/wal"); err != nil {
		t.Fatal(err)
	}
	has(t, openWAL(t, mem.CrashClone(vfs.CrashCloneCfg{}), 128<<10), "t-0", "new")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
