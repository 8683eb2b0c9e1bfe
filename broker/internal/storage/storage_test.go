package storage

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/leatstream/leat/internal/batch"
	"pgregory.net/rapid"
)

var now = time.UnixMilli(1_700_000_000_000)

// records builds one batch with the given values, timed from ts on.
func records(t testing.TB, ts int64, values ...string) []byte {
	b := batch.NewBuilder(batch.None)
	for i, v := range values {
		b.Append(ts+int64(i), nil, []byte(v), nil)
	}
	raw, err := b.Build(nil)
	if err != nil {
		panic(err)
	}
	return raw
}

func openDir(t testing.TB, fs vfs.FS) *Dir {
	t.Helper()
	d, err := OpenDir(fs, "data")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// closeAtEnd closes before the test's directory is removed: a sync in the background may still write a mark there.
func closeAtEnd(t testing.TB, d *Dir, l *Log) {
	t.Cleanup(func() {
		if err := errors.Join(l.Close(), d.Close()); err != nil {
			t.Error(err)
		}
	})
}

// readAll reads every value from offset on, as a consumer would.
func readAll(l *Log, offset int64, max int) (values []string, err error) {
	for {
		end, err := l.EndOffset()
		if err != nil {
			return nil, err
		}
		c, err := l.Read(offset, max, end, true)
		if err != nil || c.Len == 0 {
			return values, err
		}
		raw := make([]byte, c.Len)
		err = c.ReadInto(raw)
		c.Release()
		if err != nil {
			return nil, err
		}
		for len(raw) > 0 {
			h, err := batch.ReadHeader(raw)
			if err != nil || h.Size() > len(raw) {
				return nil, fmt.Errorf("bad batch at %d: %w", offset, err)
			}
			if !batch.CheckCRC(raw[:h.Size()]) {
				return nil, fmt.Errorf("bad CRC at %d", offset)
			}
			var s batch.Scratch
			if err := batch.Walk(raw, batch.Limits{}, &s, func(r *batch.Record) error {
				if h.BaseOffset+int64(r.OffsetDelta) >= offset {
					values = append(values, string(r.Value))
				}
				return nil
			}); err != nil {
				return nil, err
			}
			offset = h.LastOffset() + 1
			raw = raw[h.Size():]
		}
	}
}

func mustAppend(t testing.TB, l *Log, raw []byte) Appended {
	t.Helper()
	a, err := l.Append(raw, 0, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestModel compares a log with a slice through appends, reads of any size, syncs and reopening.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewMem()
		d, err := OpenDir(fs, "data")
		if err != nil {
			t.Fatal(err)
		}
		cfg := LogConfig{SegmentBytes: rapid.Int64Range(100, 3000).Draw(t, "segment")}
		l := d.OpenLog("t-0", cfg)
		var model []string
		var times []int64
		ts := int64(1000)
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				var values []string
				for range rapid.IntRange(1, 4).Draw(t, "n") {
					values = append(values, fmt.Sprintf("v%d-%s", len(model)+len(values), bytes.Repeat([]byte("x"), rapid.IntRange(0, 100).Draw(t, "pad"))))
				}
				a, err := l.Append(records(nil, ts, values...), 0, now)
				if err != nil || a.BaseOffset != int64(len(model)) || a.NextOffset != int64(len(model)+len(values)) {
					t.Fatalf("%+v %v", a, err)
				}
				for i := range values {
					times = append(times, ts+int64(i))
				}
				model = append(model, values...)
				ts += 10
			},
			"sync": func(t *rapid.T) {
				if err := l.Sync(); err != nil {
					t.Fatal(err)
				}
				if got, _ := l.DurableOffset(); got != int64(len(model)) {
					t.Fatalf("durable %d of %d", got, len(model))
				}
			},
			"read": func(t *rapid.T) {
				from := rapid.IntRange(0, len(model)).Draw(t, "from")
				got, err := readAll(l, int64(from), rapid.IntRange(1, 1000).Draw(t, "max"))
				if err != nil || fmt.Sprint(got) != fmt.Sprint(model[from:]) {
					t.Fatalf("from %d: %v, want %v (%v)", from, got, model[from:], err)
				}
			},
			"time": func(t *rapid.T) {
				want := rapid.Int64Range(990, ts+5).Draw(t, "ts")
				got, at, err := l.OffsetForTime(want, int64(len(model)))
				expect, expectAt := int64(-1), int64(-1)
				for i, x := range times {
					if x >= want {
						expect, expectAt = int64(i), x
						break
					}
				}
				if err != nil || got != expect || at != expectAt {
					t.Fatalf("time %d: %d %d, want %d %d (%v)", want, got, at, expect, expectAt, err)
				}
			},
			"reopen": func(t *rapid.T) {
				if err := errors.Join(l.Close(), d.Close()); err != nil {
					t.Fatal(err)
				}
				if d, err = OpenDir(fs, "data"); err != nil {
					t.Fatal(err)
				}
				l = d.OpenLog("t-0", cfg)
			},
			"": func(t *rapid.T) {
				if got, err := l.EndOffset(); err != nil || got != int64(len(model)) {
					t.Fatalf("end %d of %d (%v)", got, len(model), err)
				}
				if _, err := l.Read(int64(len(model))+1, 10, 1<<60, true); !errors.Is(err, ErrOffsetOutOfRange) {
					t.Fatalf("beyond the end: %v", err)
				}
			},
		})
	})
}

// TestPowerLossAtEveryOperation cuts the power before every single operation on the file system, and with any part of
// the unsynced bytes on disk. Whatever was reported durable by then must be there, whole and in order.
func TestPowerLossAtEveryOperation(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var durable atomic.Int64
	type crash struct {
		fs      *vfs.MemFS
		durable int64
		op      string
	}
	var mu sync.Mutex // the log's goroutine and the test's both reach the file system
	var crashes []crash
	rng := rand.New(rand.NewPCG(1, 2))
	inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			mu.Lock()
			defer mu.Unlock()
			for _, percent := range []int{0, 50, 100} {
				n := durable.Load()
				crashes = append(crashes, crash{mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}), n, fmt.Sprint(op.Kind, " ", op.Path)})
			}
		}
		return nil
	})
	d := openDir(t, errorfs.Wrap(mem, inject))
	l := d.OpenLog("t-0", LogConfig{SegmentBytes: 400})
	var want []string
	for i := range 40 {
		values := []string{fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i)}
		want = append(want, values...)
		a := mustAppend(t, l, records(t, int64(i), values...))
		if i%3 == 0 {
			continue // shares the sync of a later one
		}
		done := make(chan error, 1)
		l.WhenDurable(a.NextOffset, func(err error) {
			durable.Store(a.NextOffset)
			done <- err
		})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	if len(crashes) < 300 {
		t.Fatalf("only %d crashes: the injector does not see the operations", len(crashes))
	}
	for i, c := range crashes {
		d, err := OpenDir(c.fs, "data")
		if err != nil {
			t.Fatalf("crash %d before %s: %v", i, c.op, err)
		}
		l := d.OpenLog("t-0", LogConfig{SegmentBytes: 400})
		got, err := readAll(l, 0, 1000)
		if err != nil || int64(len(got)) < c.durable || fmt.Sprint(got) != fmt.Sprint(want[:len(got)]) {
			t.Fatalf("crash %d before %s: %d records durable, found %d: %v %v", i, c.op, c.durable, len(got), got, err)
		}
		// The log goes on where it was cut.
		a := mustAppend(t, l, records(t, 1, "after"))
		if a.BaseOffset != int64(len(got)) {
			t.Fatalf("crash %d: next offset %d after %d records", i, a.BaseOffset, len(got))
		}
		if err := errors.Join(l.Close(), d.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTornTailAtEveryByte cuts the last batch at each of its bytes, and fills the rest with each of: nothing, zeros, noise.
func TestTornTailAtEveryByte(t *testing.T) {
	first, second := records(t, 1, "first"), records(t, 2, "second")
	batch.SetBaseOffset(second, 1)
	for cut := range len(second) {
		for _, fill := range []string{"", "\x00", "\xa5"} {
			tail := append(bytes.Clone(second[:cut]), bytes.Repeat([]byte(fill), len(second)-cut)...)
			if bytes.Equal(tail, second) {
				continue // the fill is what stood there
			}
			fs := vfs.NewMem()
			d := openDir(t, fs)
			l := d.OpenLog("t-0", LogConfig{})
			mustAppend(t, l, bytes.Clone(first))
			if err := errors.Join(l.Sync(), l.Close(), d.Close(), fs.Remove("data/marks")); err != nil {
				t.Fatal(err)
			}
			f, err := fs.OpenReadWrite("data/t-0/00000000000000000000.log", vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(tail, int64(len(first))); err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
			for range 2 { // and once more after the repair
				d = openDir(t, fs)
				l = d.OpenLog("t-0", LogConfig{})
				got, err := readAll(l, 0, 1000)
				if err != nil || got[0] != "first" {
					t.Fatalf("cut at %d: %v %v", cut, got, err)
				}
				mustAppend(t, l, records(t, 3, "x"))
				if err := errors.Join(l.Close(), d.Close()); err != nil {
					t.Fatal(err)
				}
			}
			d = openDir(t, fs)
			if got, err := readAll(d.OpenLog("t-0", LogConfig{}), 0, 1000); err != nil || fmt.Sprint(got) != "[first x x]" {
				t.Fatalf("cut at %d fill %q: %v %v", cut, fill, got, err)
			}
		}
	}
}

// TestRotIsNotCutAway flips each bit of a durable batch: what was marked durable stays in the file, and the batches
// around the damage are served.
func TestRotIsNotCutAway(t *testing.T) {
	build := func() *vfs.MemFS {
		fs := vfs.NewMem()
		d := openDir(t, fs)
		l := d.OpenLog("t-0", LogConfig{SegmentBytes: 100})
		for i := range 3 {
			mustAppend(t, l, records(t, 1, fmt.Sprintf("v%d", i)))
		}
		if err := errors.Join(l.Close(), d.Close()); err != nil {
			t.Fatal(err)
		}
		return fs
	}
	size := len(records(t, 1, "v1"))
	for bit := range size * 8 {
		fs := build()
		f, err := fs.OpenReadWrite("data/t-0/00000000000000000001.log", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		_, _ = f.ReadAt(b, int64(bit/8))
		b[0] ^= 1 << (bit % 8)
		if _, err := f.WriteAt(b, int64(bit/8)); err != nil {
			t.Fatal(err)
		}
		d := openDir(t, fs)
		l := d.OpenLog("t-0", LogConfig{SegmentBytes: 100})
		if end, err := l.EndOffset(); err != nil || end != 3 {
			t.Fatalf("bit %d: end %d %v", bit, end, err)
		}
		for _, offset := range []int64{0, 2} {
			c, err := l.Read(offset, 50, 3, true)
			if err != nil || c.Len != size {
				t.Fatalf("bit %d: offset %d: %d bytes, %v", bit, offset, c.Len, err)
			}
			c.Release()
		}
		if info, err := fs.Stat("data/t-0/00000000000000000001.log"); err != nil || info.Size() != int64(size) {
			t.Fatalf("bit %d: %v %v", bit, info, err)
		}
	}
}

// failing is an injector that returns err for one kind of operation while it is on.
type failing struct {
	on   atomic.Bool
	kind errorfs.OpKind
	err  error
}

func (f *failing) String() string { return "failing" }

func (f *failing) MaybeError(op errorfs.Op) error {
	if f.on.Load() && op.Kind == f.kind {
		return f.err
	}
	return nil
}

// TestFailedSyncTakesTheDirectoryOffline: after EIO nobody is told that anything is durable, ever again.
func TestFailedSyncTakesTheDirectoryOffline(t *testing.T) {
	fail := &failing{kind: errorfs.OpFileSyncData, err: syscall.EIO}
	d := openDir(t, errorfs.Wrap(vfs.NewMem(), fail))
	l, other := d.OpenLog("t-0", LogConfig{}), d.OpenLog("t-1", LogConfig{})
	mustAppend(t, l, records(t, 1, "x"))
	fail.on.Store(true)
	if err := l.Sync(); !errors.Is(err, ErrOffline) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	fail.on.Store(false)
	if err := l.Sync(); !errors.Is(err, ErrOffline) {
		t.Errorf("a second sync may not succeed: %v", err)
	}
	if _, err := other.Append(records(t, 1, "x"), 0, now); !errors.Is(err, ErrOffline) {
		t.Errorf("append to another log of the directory: %v", err)
	}
}

// TestFullDiskIsWaitedOut: an append fails by name, and succeeds when there is room again.
func TestFullDiskIsWaitedOut(t *testing.T) {
	fail := &failing{kind: errorfs.OpFileWriteAt, err: syscall.ENOSPC}
	d := openDir(t, errorfs.Wrap(vfs.NewMem(), fail))
	l := d.OpenLog("t-0", LogConfig{})
	mustAppend(t, l, records(t, 1, "before"))
	fail.on.Store(true)
	if _, err := l.Append(records(t, 1, "lost"), 0, now); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("append: %v", err)
	}
	fail.on.Store(false)
	if a := mustAppend(t, l, records(t, 1, "after")); a.BaseOffset != 1 {
		t.Errorf("offset %d", a.BaseOffset)
	}
	if got, err := readAll(l, 0, 100); err != nil || fmt.Sprint(got) != "[before after]" {
		t.Errorf("%v %v", got, err)
	}
}

func TestSecondOpenIsLockedOut(t *testing.T) {
	path := t.TempDir()
	d, err := OpenDir(vfs.Default, path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(vfs.Default, path); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDeleteLeavesNothing(t *testing.T) {
	fs := vfs.NewMem()
	d := openDir(t, fs)
	l := d.OpenLog("t-0", LogConfig{})
	mustAppend(t, l, records(t, 1, "x"))
	c, err := l.Read(0, 100, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Delete(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(records(t, 1, "y"), 0, now); !errors.Is(err, ErrDeleted) {
		t.Errorf("append after delete: %v", err)
	}
	c.Release()
	if logs, err := d.Logs(); err != nil || len(logs) != 0 {
		t.Errorf("%v %v", logs, err)
	}
}

// TestAppendAllocatesNothingPerRecord holds the append path to its budget.
func TestAppendAllocatesNothingPerRecord(t *testing.T) {
	d, err := OpenDir(vfs.Default, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := d.OpenLog("t-0", LogConfig{})
	closeAtEnd(t, d, l)
	raw := records(t, 1, make([]string, 1000)...)
	mustAppend(t, l, raw)
	if got := testing.AllocsPerRun(100, func() { mustAppend(t, l, raw) }); got > 1 {
		t.Errorf("%v allocations for a batch", got)
	}
}

func BenchmarkAppend(b *testing.B) {
	d, err := OpenDir(vfs.Default, b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	l := d.OpenLog("t-0", LogConfig{SegmentBytes: 64 << 20})
	closeAtEnd(b, d, l)
	raw := records(b, 1, string(make([]byte, 16<<10)))
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		mustAppend(b, l, raw)
	}
}

func BenchmarkAppendDurable(b *testing.B) {
	d, err := OpenDir(vfs.Default, b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	l := d.OpenLog("t-0", LogConfig{SegmentBytes: 64 << 20})
	closeAtEnd(b, d, l)
	raw := records(b, 1, string(make([]byte, 16<<10)))
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		mustAppend(b, l, raw)
		if err := l.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestEpochEnds follows Kafka's LeaderEpochFileCache.endOffsetFor, in memory and after reopening.
func TestEpochEnds(t *testing.T) {
	fs := vfs.NewMem()
	d := openDir(t, fs)
	l := d.OpenLog("t-0", LogConfig{SegmentBytes: 100})
	for _, epoch := range []int32{2, 2, 5, 7} { // offsets 0 1 2 3
		if _, err := l.Append(records(t, 1, "x"), epoch, now); err != nil {
			t.Fatal(err)
		}
	}
	check := func(l *Log) {
		t.Helper()
		for asked, want := range map[int32][2]int64{1: {1, 0}, 2: {2, 2}, 3: {2, 2}, 5: {5, 3}, 6: {5, 3}, 7: {7, 4}, 8: {-1, -1}} {
			epoch, end, err := l.EpochEnd(asked)
			if err != nil || int64(epoch) != want[0] || end != want[1] {
				t.Errorf("epoch %d: %d ends at %d (%v), want %v", asked, epoch, end, err, want)
			}
		}
	}
	check(l)
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	check(openDir(t, fs).OpenLog("t-0", LogConfig{}))
}
