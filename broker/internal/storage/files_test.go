package storage

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// opens counts the files of one kind that are open.
type opens struct {
	vfs.FS
	suffix    string
	now, most atomic.Int64
	total     atomic.Int64
	max       atomic.Int64 // EMFILE beyond; 0: any number
}

type openFile struct {
	vfs.File
	of *opens
}

func (f openFile) Close() error {
	f.of.now.Add(-1)
	return f.File.Close()
}

func (o *opens) count(name string, open func() (vfs.File, error)) (vfs.File, error) {
	if !strings.HasSuffix(name, o.suffix) {
		return open()
	}
	if limit := o.max.Load(); limit > 0 && o.now.Load() >= limit {
		return nil, syscall.EMFILE
	}
	f, err := open()
	if err != nil {
		return nil, err
	}
	o.most.Store(max(o.most.Load(), o.now.Add(1)))
	o.total.Add(1)
	return openFile{f, o}, nil
}

func (o *opens) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	return o.count(name, func() (vfs.File, error) { return o.FS.Open(name, opts...) })
}

func (o *opens) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return o.count(name, func() (vfs.File, error) { return o.FS.OpenReadWrite(name, c, opts...) })
}

func (o *opens) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return o.count(name, func() (vfs.File, error) { return o.FS.Create(name, c) })
}

// TestDescriptorsAreBounded reads and appends at random in many logs of many segments at once, with room for few open
// files: all is there, and hardly more files are open than there is room for.
func TestDescriptorsAreBounded(t *testing.T) {
	fs := &opens{FS: vfs.NewMem(), suffix: logSuffix}
	d := openDir(t, fs)
	d.files.limit = 10
	const logs, rounds = 8, 400
	var all sync.WaitGroup
	for n := range logs {
		all.Go(func() {
			l := d.OpenLog(fmt.Sprint("t-", n), perSegment)
			rng := rand.New(rand.NewPCG(uint64(n), 1))
			for i := range rounds {
				a, err := l.Append(records(t, int64(i), fmt.Sprint(i)), 0, now)
				if err != nil || a.BaseOffset != int64(i) {
					t.Errorf("%+v %v", a, err)
					return
				}
				if i%50 == 49 {
					if err := l.Sync(); err != nil {
						t.Error(err)
					}
				}
				at := rng.Int64N(int64(i) + 1)
				c, err := l.Read(at, 1, int64(i)+1, true)
				if err != nil || c.Next != at+1 {
					t.Errorf("%d of %d: %+v %v", at, i, c, err)
					return
				}
				raw := make([]byte, c.Len)
				if err := c.ReadInto(raw); err != nil || !strings.Contains(string(raw), fmt.Sprint(at)) {
					t.Errorf("%d: %q %v", at, raw, err)
				}
				c.Release()
			}
			if off, _, err := l.OffsetForTime(rounds/2, math.MaxInt64); off != rounds/2 || err != nil {
				t.Errorf("%d %v", off, err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if most, now := fs.most.Load(), fs.now.Load(); most > 10+20*logs || now != 0 { // those that are read, written and synced at the moment, of 400 a log
		t.Errorf("%d files open at once, %d at the end", most, now)
	}
	if d.files.used != 0 || d.indexes.used != 0 {
		t.Errorf("still counted: %d files, %d bytes", d.files.used, d.indexes.used)
	}
}

// TestWithoutDescriptors: where the system gives fewer than was thought, others are closed for the one that is needed.
func TestWithoutDescriptors(t *testing.T) {
	fs := &opens{FS: vfs.NewMem(), suffix: logSuffix}
	d := openDir(t, fs)
	var all []*Log
	for n := range 50 {
		l := d.OpenLog(fmt.Sprint("t-", n), perSegment)
		all = append(all, l)
		mustAppend(t, l, records(t, 1, "a"))
		mustAppend(t, l, records(t, 1, "b"))
	}
	fs.max.Store(fs.now.Load())
	for round := range 3 {
		for n, l := range all {
			got, err := readAll(l, 0, 1000)
			if err != nil || fmt.Sprint(got[:2]) != "[a b]" {
				t.Fatalf("log %d: %v %v", n, got, err)
			}
			if a, err := l.Append(records(t, 1, "c"), 0, now); err != nil || a.BaseOffset != int64(2+round) {
				t.Fatalf("log %d: %+v %v", n, a, err)
			}
		}
	}
}

// TestClosedWithoutASyncIsNotLost: a descriptor that is given up while others need it takes nothing with it.
func TestClosedWithoutASyncIsNotLost(t *testing.T) {
	mem := vfs.NewCrashableMem()
	d := openDir(t, mem)
	d.files.limit = 1
	for n := range 20 {
		mustAppend(t, d.OpenLog(fmt.Sprint("t-", n), LogConfig{}), records(t, 1, "a"))
	}
	after := openDir(t, mem.CrashClone(vfs.CrashCloneCfg{}))
	there := 0
	for n := range 20 {
		if got, err := readAll(after.OpenLog(fmt.Sprint("t-", n), LogConfig{}), 0, 100); err == nil && len(got) == 1 {
			there++
		}
	}
	if there < 15 {
		t.Errorf("%d of 20 logs were synced before their files were closed", there)
	}
}

// TestTimeOfTenThousandSegments: the first record at a time is found among 10,000 segments by opening one or two, and the
// start of such a log opens none.
func TestTimeOfTenThousandSegments(t *testing.T) {
	fs := &opens{FS: vfs.NewMem(), suffix: logSuffix}
	d := openDir(t, fs)
	l := d.OpenLog("t-0", perSegment)
	const n = 10_000
	for i := range int64(n) {
		mustAppend(t, l, records(t, 10*i, "a", "b"))
	}
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	fs.total.Store(0)
	d = openDir(t, fs)
	l = d.OpenLog("t-0", perSegment)
	if end, err := l.EndOffset(); err != nil || end != 2*n || fs.total.Load() != 0 {
		t.Errorf("end %d %v, %d segments opened", end, err, fs.total.Load())
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := int64(0); i < n; i += 97 {
		for ts, want := range map[int64]int64{10 * i: 2 * i, 10*i + 1: 2*i + 1, 10*i + 2: 2*i + 2} {
			fs.total.Store(0)
			off, at, err := l.OffsetForTime(ts, 2*n)
			if ts > 10*(n-1)+1 {
				want, ts = -1, -1
			}
			if err != nil || off != want || at < ts || fs.total.Load() > 1 {
				t.Fatalf("time %d: offset %d at %d, want %d (%v), %d segments opened", ts, off, at, want, err, fs.total.Load())
			}
		}
	}
	if off, _, err := l.MaxTime(2 * n); off != 2*n-1 || err != nil {
		t.Errorf("largest time at %d %v", off, err)
	}
	runtime.ReadMemStats(&after)
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestIndexMemoryIsBounded: entries of segments that nobody reads any more go, and come back when they are needed.
func TestIndexMemoryIsBounded(t *testing.T) {
	d := openDir(t, vfs.NewMem())
	d.indexes.limit = 20 * indexEntry
	l := d.OpenLog("t-0", LogConfig{SegmentBytes: 10 * indexInterval})
	value := strings.Repeat("x", indexInterval/2)
	for i := range 400 {
		mustAppend(t, l, records(t, int64(i), value))
	}
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	d.syncing.Wait()
	l.markRolled()
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 1000 {
		at := rng.Int64N(400)
		c, err := l.Read(at, 1, 400, true)
		if err != nil || c.Next != at+1 {
			t.Fatalf("%d: %+v %v", at, c, err)
		}
		c.Release()
		d.indexes.mu.Lock()
		used := d.indexes.used
		d.indexes.mu.Unlock()
		if n > 100 && used > 2*d.indexes.limit { // before, there may be some from when they could not go yet
			t.Fatalf("%d bytes of index entries", used)
		}
	}
}

// TestDamagedIndexes flips every bit of the index file of an old segment and of the marks: nothing is lost, nothing is put
// aside, and every offset and every time is found.
func TestDamagedIndexes(t *testing.T) {
	build := func() *vfs.MemFS {
		fs := vfs.NewMem()
		d := openDir(t, fs)
		l := d.OpenLog("t-0", LogConfig{SegmentBytes: 400})
		for i := range int64(8) {
			if _, err := l.AppendClient(sentBatch(5, 1, int32(i), 1, false), 0, -1, now); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(l.Close(), d.Close()); err != nil {
			t.Fatal(err)
		}
		return fs
	}
	for _, file := range []string{"data/t-0/00000000000000000000.index", "data/marks"} {
		info, err := build().Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range int(info.Size()) * 8 {
			fs := build()
			flip(t, fs, file, bit)
			d := openDir(t, fs)
			l := d.OpenLog("t-0", LogConfig{SegmentBytes: 400})
			for at := range int64(8) {
				c, err := l.Read(at, 1, 8, true)
				if err != nil || c.Next != at+1 {
					t.Fatalf("%s bit %d, offset %d: %+v %v", file, bit, at, c, err)
				}
				c.Release()
			}
			if off, _, err := l.OffsetForTime(1, 8); off != 0 || err != nil {
				t.Fatalf("%s bit %d: time found at %d %v", file, bit, off, err)
			}
			if known, err := l.Producers(now); err != nil || len(known) != 1 || known[0].LastSequence() != 7 {
				t.Fatalf("%s bit %d: %+v %v", file, bit, known, err)
			}
			names, _ := fs.List("data/t-0")
			for _, n := range names {
				if strings.HasSuffix(n, tornSuffix) {
					t.Fatalf("%s bit %d: %s", file, bit, n)
				}
			}
			if err := errors.Join(l.Close(), d.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestCleanStop: the next start knows whether the last process had time to close the directory, and then opens no file of
// a log to know where it ends.
func TestCleanStop(t *testing.T) {
	mem := vfs.NewCrashableMem()
	fs := &opens{FS: mem, suffix: logSuffix}
	d := openDir(t, fs)
	if d.CleanStop() {
		t.Error("nobody stopped")
	}
	l := d.OpenLog("t-0", LogConfig{})
	mustAppend(t, l, records(t, 1, "a"))
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // also where the log was not used in between
		d = openDir(t, fs)
		if !d.CleanStop() {
			t.Error("the stop was clean")
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	d = openDir(t, fs)
	l = d.OpenLog("t-0", LogConfig{})
	fs.total.Store(0)
	if end, err := l.EndOffset(); err != nil || end != 1 || fs.total.Load() != 0 {
		t.Errorf("end %d %v, %d opened", end, err, fs.total.Load())
	}
	mustAppend(t, l, records(t, 1, "b"))
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	after := openDir(t, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))}))
	if got, err := readAll(after.OpenLog("t-0", LogConfig{}), 0, 100); err != nil || fmt.Sprint(got) != "[a b]" {
		t.Errorf("%v %v", got, err)
	}
}

// TestPassingFailureOfAnIndexIsNoDamage: an index that cannot be opened just now does not make durable bytes a torn tail.
func TestPassingFailureOfAnIndexIsNoDamage(t *testing.T) {
	mem := vfs.NewMem()
	var on atomic.Bool
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if on.Load() && op.Kind == errorfs.OpOpen && strings.HasSuffix(op.Path, indexSuffix) {
			return syscall.EMFILE
		}
		return nil
	}))
	d := openDir(t, fs)
	l := d.OpenLog("t-0", perSegment)
	for i := range 3 {
		mustAppend(t, l, records(t, 1, fmt.Sprint(i)))
	}
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	d = openDir(t, fs)
	l = d.OpenLog("t-0", perSegment)
	on.Store(true)
	if _, err := l.EndOffset(); !errors.Is(err, syscall.EMFILE) {
		t.Error(err)
	}
	on.Store(false)
	if got, err := readAll(l, 0, 1000); err != nil || fmt.Sprint(got) != "[0 1 2]" {
		t.Errorf("%v %v", got, err)
	}
}
