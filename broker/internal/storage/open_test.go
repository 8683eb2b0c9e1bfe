package storage

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestFailedLoadIsTriedAgain: a passing lack of file descriptors while a log is opened leaves no trace.
func TestFailedLoadIsTriedAgain(t *testing.T) {
	mem := vfs.NewMem()
	d := openDir(t, mem)
	l := d.OpenLog("t-0", LogConfig{SegmentBytes: 100})
	for i := range 4 {
		mustAppend(t, l, records(t, 1, fmt.Sprintf("v%d", i)))
	}
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	var opens atomic.Int64
	d = openDir(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpOpen && strings.HasSuffix(op.Path, indexSuffix) && opens.Add(1) == 3 {
			return syscall.EMFILE
		}
		return nil
	})))
	l = d.OpenLog("t-0", LogConfig{SegmentBytes: 100})
	if _, err := l.EndOffset(); !errors.Is(err, syscall.EMFILE) {
		t.Fatal(err)
	}
	if got, err := readAll(l, 0, 1000); err != nil || fmt.Sprint(got) != "[v0 v1 v2 v3]" {
		t.Errorf("%v %v", got, err)
	}
}

// TestNoFileDescriptorIsWaitedOut: a segment that cannot be created for want of file descriptors costs that append only.
func TestNoFileDescriptorIsWaitedOut(t *testing.T) {
	fail := &failing{kind: errorfs.OpCreate, err: syscall.EMFILE}
	d := openDir(t, errorfs.Wrap(vfs.NewMem(), fail))
	l := d.OpenLog("t-0", LogConfig{SegmentBytes: 100})
	mustAppend(t, l, records(t, 1, "before"))
	fail.on.Store(true)
	if _, err := l.Append(records(t, 1, "lost"), 0, now); !errors.Is(err, syscall.EMFILE) {
		t.Fatal(err)
	}
	fail.on.Store(false)
	if a, err := l.Append(records(t, 1, "after"), 0, now); err != nil || a.BaseOffset != 1 {
		t.Errorf("%+v %v", a, err)
	}
}

// TestReadOnlyDirectoryIsNotCalledLocked: the way out is another one.
func TestReadOnlyDirectoryIsNotCalledLocked(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EROFS, syscall.EMFILE, syscall.ENOSPC} {
		fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpLock {
				return &iofs.PathError{Op: "open", Path: op.Path, Err: errno}
			}
			return nil
		}))
		if _, err := OpenDir(fs, "data"); errors.Is(err, ErrLocked) || !errors.Is(err, errno) {
			t.Errorf("%v: %v", errno, err)
		}
		if _, err := Inspect(fs, "data", true, Visitor{}); errors.Is(err, ErrLocked) || !errors.Is(err, errno) {
			t.Errorf("inspected: %v", err)
		}
	}
}

// TestScannedSegmentsAreMarked: what one start had to read again, the next does not.
func TestScannedSegmentsAreMarked(t *testing.T) {
	mem := vfs.NewCrashableMem()
	l := openDir(t, mem).OpenLog("t-0", LogConfig{SegmentBytes: 100})
	for i := range 3 {
		mustAppend(t, l, records(t, 1, fmt.Sprintf("v%d", i)))
	}
	after := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))})
	d := openDir(t, after)
	l = d.OpenLog("t-0", LogConfig{SegmentBytes: 100})
	if _, err := l.EndOffset(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	l = openDir(t, after).OpenLog("t-0", LogConfig{SegmentBytes: 100})
	if _, err := l.EndOffset(); err != nil {
		t.Fatal(err)
	}
	for _, s := range l.segments {
		if s.file != nil || s.synced != s.x.size {
			t.Errorf("segment %d was read again from %d of %d bytes on", s.base, s.synced, s.x.size)
		}
	}
}
