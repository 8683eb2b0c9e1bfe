package storage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// perSegment makes every batch of records a segment of its own.
var perSegment = LogConfig{SegmentBytes: 1}

// kept lists the values from the start on.
func kept(t testing.TB, l *Log) []string {
	t.Helper()
	start, err := l.StartOffset()
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(l, start, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func bases(l *Log) (out []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		out = append(out, s.base)
	}
	return out
}

// TestRetention: the oldest segments go first, by age or size, never beyond the limit; the first that stays ends it.
func TestRetention(t *testing.T) {
	never := Retention{Age: -1, Bytes: -1}
	size := int64(len(records(t, 1, "v0")))
	at := func(ms ...int64) []int64 { return ms }
	for name, c := range map[string]struct {
		times []int64 // of one record each, before now
		r     Retention
		limit int64
		want  []int64
	}{
		"nothing asked":          {at(5, 5, 5), never, 3, at(0, 1, 2)},
		"by age":                 {at(50, 40, 5), Retention{10 * time.Millisecond, -1}, 3, at(2)},
		"stops at the first":     {at(50, 5, 50), Retention{10 * time.Millisecond, -1}, 3, at(1, 2)},
		"a future time blocks":   {at(-1000, 50, 50), Retention{10 * time.Millisecond, -1}, 3, at(0, 1, 2)},
		"exactly as old as that": {at(10, 10), Retention{10 * time.Millisecond, -1}, 2, at(0, 1)},
		"below the limit only":   {at(50, 50, 50), Retention{10 * time.Millisecond, -1}, 1, at(1, 2)},
		"the active one as well": {at(50, 50), Retention{10 * time.Millisecond, -1}, 2, at(2)},
		"by size":                {at(0, 0, 0), Retention{-1, 2 * size}, 3, at(1, 2)},
		"less than a segment":    {at(0, 0, 0), Retention{-1, 2*size - 1}, 3, at(1, 2)},
		"no bytes at all":        {at(0, 0), Retention{-1, 0}, 2, at(2)},
		"either of them":         {at(50, 0, 0, 0), Retention{10 * time.Millisecond, 2 * size}, 4, at(2, 3)},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			d := openDir(t, fs)
			l := d.OpenLog("t-0", perSegment)
			for i, before := range c.times {
				mustAppend(t, l, records(t, now.UnixMilli()-before, fmt.Sprintf("v%d", i)))
			}
			for range 2 { // the second time there is nothing to do
				if err := l.Retain(c.r, c.limit, now); err != nil {
					t.Fatal(err)
				}
				if got := bases(l); !slices.Equal(got, c.want) {
					t.Fatalf("segments %v, want %v", got, c.want)
				}
			}
			if err := errors.Join(l.Close(), d.Close()); err != nil {
				t.Fatal(err)
			}
			names, _ := fs.List("data/t-0")
			names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, logSuffix) })
			if len(names) != len(c.want) {
				t.Errorf("files %v", names)
			}
			d = openDir(t, fs)
			l = d.OpenLog("t-0", perSegment)
			if got, err := l.StartOffset(); err != nil || got != c.want[0] || !slices.Equal(bases(l), c.want) {
				t.Errorf("after a restart: start %d, segments %v, want %v (%v)", got, bases(l), c.want, err)
			}
			if a := mustAppend(t, l, records(t, 1, "next")); a.BaseOffset != int64(len(c.times)) {
				t.Errorf("the next record is at %d", a.BaseOffset)
			}
		})
	}
}

// TestRecordsWithoutTimeAreAsOldAsTheirFile: nothing else is known about them.
func TestRecordsWithoutTimeAreAsOldAsTheirFile(t *testing.T) {
	l := openDir(t, vfs.NewMem()).OpenLog("t-0", perSegment)
	mustAppend(t, l, records(t, -1, "a"))
	r := Retention{Age: time.Hour, Bytes: -1}
	if err := l.Retain(r, 1, time.Now()); err != nil || len(kept(t, l)) != 1 {
		t.Fatal(kept(t, l), err)
	}
	if err := l.Retain(r, 1, time.Now().Add(2*time.Hour)); err != nil || len(kept(t, l)) != 0 {
		t.Fatal(kept(t, l), err)
	}
}

// TestDeleteBefore: in the middle of a batch, twice, below the start, at the end, beyond it.
func TestDeleteBefore(t *testing.T) {
	fs := vfs.NewMem()
	d := openDir(t, fs)
	l := d.OpenLog("t-0", perSegment)
	if err := l.DeleteBefore(0); err != nil {
		t.Errorf("of an empty log: %v", err)
	}
	mustAppend(t, l, records(t, 100, "a", "b", "c"))
	mustAppend(t, l, records(t, 50, "d", "e"))
	reader, err := l.Read(0, 1000, 5, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		offset, start int64
		err           error
		want          string
		max           [2]int64
	}{
		{0, 0, nil, "[a b c d e]", [2]int64{2, 102}},
		{2, 2, nil, "[c d e]", [2]int64{2, 102}},
		{1, 2, nil, "[c d e]", [2]int64{2, 102}},
		{6, 2, ErrOffsetOutOfRange, "[c d e]", [2]int64{2, 102}},
		{3, 3, nil, "[d e]", [2]int64{4, 51}},
		{5, 5, nil, "[]", [2]int64{-1, -1}},
	} {
		if err := l.DeleteBefore(c.offset); !errors.Is(err, c.err) {
			t.Fatalf("before %d: %v", c.offset, err)
		}
		check := func(l *Log) {
			t.Helper()
			if start, err := l.StartOffset(); err != nil || start != c.start || fmt.Sprint(kept(t, l)) != c.want {
				t.Errorf("before %d: start %d (%v), kept %v", c.offset, start, err, kept(t, l))
			}
			if _, err := l.Read(c.start-1, 100, 5, true); !errors.Is(err, ErrOffsetOutOfRange) {
				t.Errorf("before %d: what was deleted can be read: %v", c.offset, err)
			}
			if off, at, err := l.MaxTime(5); off != c.max[0] || at != c.max[1] || err != nil {
				t.Errorf("before %d: largest time %d at %d (%v)", c.offset, at, off, err)
			}
			if off, _, err := l.OffsetForTime(0, 5); err != nil || off >= 0 && off != c.start || off < 0 && c.start < 5 {
				t.Errorf("before %d: the first record is %d (%v)", c.offset, off, err)
			}
			if _, end, err := l.EpochEnd(0); err != nil || end != 5 {
				t.Errorf("before %d: the epoch ends at %d (%v)", c.offset, end, err)
			}
		}
		check(l)
		check(openAgain(t, fs))
	}
	raw := make([]byte, reader.Len)
	if err := reader.ReadInto(raw); err != nil {
		t.Errorf("who reads what was deleted meanwhile may finish: %v", err)
	}
	reader.Release()
}

// openAgain opens what is on disk at the moment beside the log that is in use.
func openAgain(t testing.TB, fs *vfs.MemFS) *Log {
	t.Helper()
	cp := vfs.NewMem()
	if ok, err := vfs.Clone(fs, cp, "data", "data"); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if err := cp.Remove("data/lock"); err != nil {
		t.Fatal(err)
	}
	return openDir(t, cp).OpenLog("t-0", perSegment)
}

// TestPowerLossWhileDeleting cuts the power before every change of a file while records come and go. The start never goes
// back behind what was reported, nothing durable above it is lost, and offsets are never given twice.
func TestPowerLossWhileDeleting(t *testing.T) {
	mem := vfs.NewCrashableMem()
	type promise struct{ start, durable int64 }
	type crash struct {
		fs *vfs.MemFS
		promise
		op string
	}
	var mu sync.Mutex
	var now promise
	var crashes []crash
	rng := rand.New(rand.NewPCG(5, 6))
	d := openDir(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			mu.Lock()
			defer mu.Unlock()
			for _, percent := range []int{0, 50, 100} {
				p := now
				crashes = append(crashes, crash{mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}), p, fmt.Sprint(op.Kind, " ", op.Path)})
			}
		}
		return nil
	})))
	l := d.OpenLog("t-0", LogConfig{SegmentBytes: 250})
	const rounds = 24
	for i := range rounds {
		a := mustAppend(t, l, records(t, int64(2*i), fmt.Sprint("v", 2*i), fmt.Sprint("v", 2*i+1)))
		if i%2 == 0 {
			if err := l.Sync(); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			now.durable = a.NextOffset
			mu.Unlock()
		}
		if i%3 == 2 {
			to := a.NextOffset - int64(i%5)
			if i == rounds-1 {
				to = a.NextOffset // everything
			}
			if err := l.DeleteBefore(to); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			now = promise{to, max(now.durable, to)}
			mu.Unlock()
		}
	}
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	for i, c := range crashes {
		d := openDir(t, c.fs)
		l := d.OpenLog("t-0", LogConfig{SegmentBytes: 250})
		start, err := l.StartOffset()
		end, endErr := l.EndOffset()
		if err != nil || endErr != nil || start < c.start || end < c.durable || start > end {
			t.Fatalf("crash %d before %s: %d to %d, promised %+v: %v %v", i, c.op, start, end, c.promise, err, endErr)
		}
		for n, v := range kept(t, l) {
			if v != fmt.Sprint("v", start+int64(n)) {
				t.Fatalf("crash %d before %s: %s at %d", i, c.op, v, start+int64(n))
			}
		}
		if a := mustAppend(t, l, records(t, 1, "after")); a.BaseOffset != end {
			t.Fatalf("crash %d: appended at %d, end was %d", i, a.BaseOffset, end)
		}
		if err := errors.Join(l.Close(), d.Close()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d crashes", len(crashes))
}

// TestFullDiskIsFreedByRetention: on a disk without room for as much as the start file, the oldest segments go all the same.
func TestFullDiskIsFreedByRetention(t *testing.T) {
	mem := vfs.NewMem()
	room := 0 // until a file was removed
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch {
		case op.Kind == errorfs.OpRemove:
			room++
		case op.Kind == errorfs.OpCreate && strings.Contains(op.Path, startFile) && room < 3:
			return syscall.ENOSPC
		}
		return nil
	}))
	l := openDir(t, fs).OpenLog("t-0", perSegment)
	for i := range 5 {
		mustAppend(t, l, records(t, 1, fmt.Sprint("v", i)))
	}
	if err := l.Retain(Retention{Age: time.Second, Bytes: -1}, 4, now); err != nil {
		t.Fatal(err)
	}
	if got := kept(t, l); fmt.Sprint(got) != "[v4]" || room < 3 {
		t.Errorf("%v after %d removals", got, room)
	}
	if got := kept(t, openAgain(t, mem)); fmt.Sprint(got) != "[v4]" {
		t.Errorf("after a restart: %v", got)
	}
}

// TestDamagedStartFile: everything that is still there is served.
func TestDamagedStartFile(t *testing.T) {
	for bit := range startLen * 8 {
		fs := vfs.NewMem()
		d := openDir(t, fs)
		l := d.OpenLog("t-0", perSegment)
		for i := range 3 {
			mustAppend(t, l, records(t, 1, fmt.Sprint("v", i)))
		}
		if err := errors.Join(l.DeleteBefore(1), l.Close(), d.Close()); err != nil {
			t.Fatal(err)
		}
		flip(t, fs, "data/t-0/start", bit)
		l = openAgain(t, fs)
		if got := kept(t, l); fmt.Sprint(got) != "[v1 v2]" || !strings.Contains(errors.Join(l.dir.Damage()...).Error(), "start file is damaged") {
			t.Fatalf("bit %d: %v, %v", bit, got, l.dir.Damage())
		}
	}
}

// flip turns one bit of a file around.
func flip(t testing.TB, fs vfs.FS, name string, bit int) {
	t.Helper()
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, int64(bit/8)); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << (bit % 8)
	if _, err := f.WriteAt(b, int64(bit/8)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestProducersOutliveTheirRecords: retention takes every record, and a producer that repeats its last batch after a
// restart is answered as the first time.
func TestProducersOutliveTheirRecords(t *testing.T) {
	fs := vfs.NewCrashableMem()
	d := openDir(t, fs)
	l := d.OpenLog("t-0", perSegment)
	for seq := range int32(2) {
		if _, err := l.AppendClient(sentBatch(7, 3, seq, 1, false), 0, -1, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Retain(Retention{Age: 0, Bytes: 0}, 2, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := kept(t, l); len(got) != 0 {
		t.Fatal(got)
	}
	l = openDir(t, fs.CrashClone(vfs.CrashCloneCfg{})).OpenLog("t-0", perSegment)
	if a, err := l.AppendClient(sentBatch(7, 3, 1, 1, false), 0, -1, now); err != nil || !a.Repeated || a.BaseOffset != 1 {
		t.Errorf("%+v %v", a, err)
	}
	if a, err := l.AppendClient(sentBatch(7, 3, 2, 1, false), 0, -1, now); err != nil || a.Repeated || a.BaseOffset != 2 {
		t.Errorf("%+v %v", a, err)
	}
}

// TestProducersOutliveASegmentThatStays: of three segments that are to go the last stays, because there is no room for its
// index file; then what is known of producers is in that of the one before.
func TestProducersOutliveASegmentThatStays(t *testing.T) {
	l := openDir(t, noIndexFrom(2)).OpenLog("t-0", perSegment)
	sendEach(t, l, 7, 8, 8, 8)
	gone, err := l.keepProducers(l.segments[:3])
	if err != nil || len(gone) != 2 || gone[0].leave || !gone[1].leave {
		t.Fatalf("%d segments go; the index of the last stays: %t (%v)", len(gone), gone[len(gone)-1].leave, err)
	}
}

// TestFullDiskWithoutIndexFiles: where no segment has an index file, all but the last go.
func TestFullDiskWithoutIndexFiles(t *testing.T) {
	l := openDir(t, noIndexFrom(0)).OpenLog("t-0", perSegment)
	sendEach(t, l, 7, 8, 8, 8)
	gone, err := l.keepProducers(l.segments[:3])
	if err != nil || len(gone) != 2 || gone[1].leave {
		t.Fatalf("%d segments go; the index of the last stays: %t (%v)", len(gone), gone[len(gone)-1].leave, err)
	}
}

// TestSegmentsWithoutProducersGo: where no producer is known, nothing has to outlive a deletion.
func TestSegmentsWithoutProducersGo(t *testing.T) {
	l := openDir(t, noIndexFrom(0)).OpenLog("t-0", perSegment)
	for range 4 {
		mustAppend(t, l, records(t, 1, "v"))
	}
	gone, err := l.keepProducers(l.segments[:3])
	if err != nil || len(gone) != 3 || gone[2].leave {
		t.Fatalf("%d segments go; the index of the last stays: %t (%v)", len(gone), gone[len(gone)-1].leave, err)
	}
}

// TestSegmentsJustEndedGo: a deletion does not depend on how far the files followed the write-ahead log.
func TestSegmentsJustEndedGo(t *testing.T) {
	for range 50 {
		l := openDir(t, vfs.NewMem()).OpenLog("t-0", perSegment)
		sendEach(t, l, 7, 8, 8, 8)
		if err := l.DeleteBefore(3); err != nil || len(l.segments) != 1 {
			t.Fatalf("%d segments are left (%v)", len(l.segments), err)
		}
	}
}

// noIndexFrom is a disk without room for index files of segments from base on.
func noIndexFrom(base int64) vfs.FS {
	return errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		name, isIndex := strings.CutSuffix(op.Path, indexSuffix+".tmp")
		if at, ok := segmentBase(path.Base(name) + logSuffix); op.Kind == errorfs.OpCreate && isIndex && ok && at >= base {
			return syscall.ENOSPC
		}
		return nil
	}))
}

// sendEach appends a batch of each of the producers, in its turn.
func sendEach(t *testing.T, l *Log, ids ...int64) {
	t.Helper()
	next := map[int64]int32{}
	for _, id := range ids {
		if _, err := l.AppendClient(sentBatch(id, 3, next[id], 1, false), 0, -1, now); err != nil {
			t.Fatal(err)
		}
		next[id]++
	}
}
