package storage

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// openWAL opens a directory whose write-ahead log is there already.
func openWAL(t testing.TB, fs vfs.FS, bytes int64) *Dir {
	t.Helper()
	d, err := OpenDirWAL(fs, "data", bytes)
	if err != nil {
		t.Fatal(err)
	}
	for bytes > 0 && !d.wal.ready() {
		d.syncing.Wait()
	}
	return d
}

// TestPowerLossWithManyLogs cuts the power at some of the writes to the file system while many logs share syncs of a
// write-ahead log whose files are used again and again. What was durable must be there.
func TestPowerLossWithManyLogs(t *testing.T) {
	const logs, rounds = 12, 25
	mem := vfs.NewCrashableMem()
	type crash struct {
		fs   *vfs.MemFS
		seen [logs]int
		op   string
	}
	var mu sync.Mutex
	var seen [logs]int
	var crashes []crash
	armed := false
	rng := rand.New(rand.NewPCG(5, 6))
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if armed && rng.IntN(6) == 0 {
			crashes = append(crashes, crash{mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50 * rng.IntN(3), RNG: rng}), seen, fmt.Sprint(op.Kind, " ", op.Path)})
		}
		return nil
	}))
	d := openWAL(t, fs, 32<<10)
	mu.Lock()
	armed = true
	mu.Unlock()
	var all sync.WaitGroup
	for i := range logs {
		all.Go(func() {
			l := d.OpenLog(fmt.Sprintf("t-%d", i), LogConfig{SegmentBytes: 2000})
			for n := range rounds {
				if _, err := l.Append(records(nil, 1, fmt.Sprintf("%d of %d", n, i)), 0, now); err != nil {
					t.Error(err)
					return
				}
				if err := l.Sync(); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[i] = n + 1
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if n := d.wal.next; n < 5 {
		t.Fatalf("only %d blocks were written: the write-ahead log was hardly used", n)
	}
	mu.Lock()
	armed = false
	mu.Unlock()
	if len(crashes) < 50 {
		t.Fatalf("only %d crashes", len(crashes))
	}
	for at, c := range crashes {
		d, err := OpenDirWAL(c.fs, "data", 32<<10)
		if err != nil {
			t.Fatalf("crash %d before %s: %v", at, c.op, err)
		}
		if damage := d.Damage(); len(damage) > 0 {
			t.Fatalf("crash %d before %s: torn tails count as rot: %v", at, c.op, damage)
		}
		for i, promised := range c.seen {
			l := d.OpenLog(fmt.Sprintf("t-%d", i), LogConfig{})
			got, err := readAll(l, 0, 1000)
			if err != nil || len(got) < promised {
				t.Fatalf("crash %d before %s: log %d has %d records, %d were durable: %v", at, c.op, i, len(got), promised, err)
			}
			for n, v := range got {
				if v != fmt.Sprintf("%d of %d", n, i) {
					t.Fatalf("crash %d before %s: log %d, record %d is %q", at, c.op, i, n, v)
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// lostSegments writes one record to each of some logs, durable in the write-ahead log only, and cuts the power.
func lostSegments(t *testing.T, logs int) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewCrashableMem()
	d := openWAL(t, mem, 64<<10)
	for i := range logs {
		l := d.OpenLog(fmt.Sprintf("t-%d", i), LogConfig{})
		mustAppend(t, l, records(t, 1, fmt.Sprint("record of ", i)))
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	return mem.CrashClone(vfs.CrashCloneCfg{})
}

func TestDamagedWALServesTheRest(t *testing.T) {
	const logs = 5
	for damaged := range logs {
		fs := lostSegments(t, logs)
		f, err := fs.OpenReadWrite("data/wal/0.wal", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("rot"), int64(damaged+1)*walPage+100-40); err != nil { // each block is one page
			t.Fatal(err)
		}
		d := openWAL(t, fs, 64<<10)
		if last := damaged == logs-1; (len(d.Damage()) == 0) != last {
			t.Errorf("block %d damaged: %v (the last may be a torn tail, the others not)", damaged, d.Damage())
		}
		for i := range logs {
			got, err := readAll(d.OpenLog(fmt.Sprintf("t-%d", i), LogConfig{}), 0, 100)
			want := fmt.Sprintf("[record of %d]", i)
			if i == damaged {
				want = "[]"
			}
			if err != nil || fmt.Sprint(got) != want {
				t.Errorf("block %d damaged: log %d has %v: %v", damaged, i, got, err)
			}
		}
	}
}

func TestWhatTheWALForgetsStaysAway(t *testing.T) {
	mem := vfs.NewCrashableMem()
	d := openWAL(t, mem, 64<<10)
	l, other := d.OpenLog("t-0", LogConfig{}), d.OpenLog("t-1", LogConfig{})
	mustAppend(t, l, records(t, 1, "old"))
	mustAppend(t, other, records(t, 1, "other"))
	if err := errors.Join(l.Sync(), other.Sync(), d.wal.forget(l)); err != nil {
		t.Fatal(err)
	}
	// Another file takes the segment's place, as compaction does it.
	if err := writeFile(mem, "data/t-0/00000000000000000000.log", records(t, 1, "new")); err != nil {
		t.Fatal(err)
	}
	d = openWAL(t, mem.CrashClone(vfs.CrashCloneCfg{}), 64<<10)
	for name, want := range map[string]string{"t-0": "[new]", "t-1": "[other]"} {
		if got, err := readAll(d.OpenLog(name, LogConfig{}), 0, 100); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s has %v, want %s: %v", name, got, want, err)
		}
	}
}

// TestFailedWALSyncAcknowledgesNothing: after it nobody knows what is on the disk.
func TestFailedWALSyncAcknowledgesNothing(t *testing.T) {
	var failing errorfs.Toggle
	failing.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData && strings.HasSuffix(op.Path, walSuffix) {
			return syscall.EIO
		}
		return nil
	})
	d := openWAL(t, errorfs.Wrap(vfs.NewMem(), &failing), 64<<10)
	l := d.OpenLog("t-0", LogConfig{})
	mustAppend(t, l, records(t, 1, "kept"))
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	failing.On()
	mustAppend(t, l, records(t, 1, "lost"))
	if err := l.Sync(); !errors.Is(err, ErrOffline) {
		t.Errorf("synced: %v", err)
	}
	failing.Off()
	if err := l.Sync(); !errors.Is(err, ErrOffline) {
		t.Errorf("synced again: %v", err)
	}
	if _, err := l.Append(records(t, 1, "more"), 0, now); !errors.Is(err, ErrOffline) {
		t.Errorf("appended: %v", err)
	}
}

// TestFailedWALWriteIsNoFailure: what cannot be written there is synced where it is.
func TestFailedWALWriteIsNoFailure(t *testing.T) {
	var failing errorfs.Toggle
	failing.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWriteAt && strings.HasSuffix(op.Path, walSuffix) {
			return syscall.EMFILE
		}
		return nil
	})
	mem := vfs.NewCrashableMem()
	d := openWAL(t, errorfs.Wrap(mem, &failing), 64<<10)
	l := d.OpenLog("t-0", LogConfig{})
	failing.On()
	mustAppend(t, l, records(t, 1, "kept"))
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	d = openWAL(t, mem.CrashClone(vfs.CrashCloneCfg{}), 64<<10)
	if got, err := readAll(d.OpenLog("t-0", LogConfig{}), 0, 100); err != nil || fmt.Sprint(got) != "[kept]" {
		t.Errorf("%v %v", got, err)
	}
}

func FuzzWAL(f *testing.F) {
	b, data := appendEntry(beginBlock(nil), "t-0", 7, 9, 5)
	copy(data, "hello")
	block := sealBlock(b, 7, 1, 1)
	f.Add(append(make([]byte, walPage), block...))
	f.Add(append(append(make([]byte, walPage), block...), block...))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		if _, err := scanWAL("f", bytes.NewReader(b), int64(len(b)), func(block walBlock) error {
			for _, e := range block.entries {
				n += len(e.data)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if n > len(b) {
			t.Errorf("%d bytes of records in a file of %d", n, len(b))
		}
	})
}

// BenchmarkDirtyLogs makes a record of each of many logs durable: through the write-ahead log, by a sync
// each, and by a sync each one after the other.
func BenchmarkDirtyLogs(b *testing.B) {
	for _, logs := range []int{1, 16, 128} {
		for name, size := range map[string]int64{"wal": walFileBytes, "alone": 0, "inturn": 0} {
			b.Run(fmt.Sprintf("%s/%d", name, logs), func(b *testing.B) {
				d, err := OpenDirWAL(vfs.Default, b.TempDir(), size)
				if err != nil {
					b.Fatal(err)
				}
				for size > 0 && !d.wal.ready() {
					d.syncing.Wait()
				}
				raw := records(b, 1, string(make([]byte, 4000)))
				all := make([]*Log, logs)
				for i := range all {
					all[i] = d.OpenLog(fmt.Sprintf("t-%d", i), LogConfig{})
					mustAppend(b, all[i], raw)
				}
				b.ResetTimer()
				for b.Loop() {
					var wg sync.WaitGroup
					for _, l := range all {
						a := mustAppend(b, l, raw)
						wg.Add(1)
						l.WhenDurable(a.NextOffset, func(err error) {
							if err != nil {
								b.Error(err)
							}
							wg.Done()
						})
						if name == "inturn" {
							wg.Wait()
						}
					}
					wg.Wait()
				}
				b.ReportMetric(float64(b.N*logs)/b.Elapsed().Seconds(), "records/s")
				b.StopTimer()
				for _, l := range all {
					if err := l.Close(); err != nil {
						b.Fatal(err)
					}
				}
				if err := d.Close(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

// TestRecordsThatLookLikeBlocks has a client write records in which every page of the write-ahead log that holds them would
// be a block of its own. Such pages are left behind when the file is used again, and a start looks at them.
func TestRecordsThatLookLikeBlocks(t *testing.T) {
	const pages = 2
	fake, data := appendEntry(beginBlock(nil), "victim", 0, 0, 200)
	copy(data, "not what the victim wrote")
	fake = sealBlock(fake, 7, 1<<40, 1)
	shift := 0
	for _, aligned := range []bool{false, true} { // the first time to find where in a page the value begins
		mem := vfs.NewCrashableMem()
		d := openWAL(t, mem, 64<<10)
		victim, evil := d.OpenLog("victim", LogConfig{}), d.OpenLog("evil", LogConfig{})
		durable := func(l *Log, value string) {
			t.Helper()
			mustAppend(t, l, records(t, 1, value))
			if err := l.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		durable(victim, "of the victim")
		value := strings.Repeat("-", shift) + strings.Repeat(string(fake), pages)
		durable(evil, value)
		if !aligned {
			raw, err := readFile(mem, "data/wal/0.wal")
			if err != nil {
				t.Fatal(err)
			}
			shift = walPage - bytes.Index(raw, fake)%walPage
			continue
		}
		for first := d.wal.files[0]; first.pos > 2*walPage; { // until the file is used again, and what it held before is behind
			durable(victim, strings.Repeat("x", 2000))
		}
		d = openWAL(t, mem.CrashClone(vfs.CrashCloneCfg{}), 64<<10)
		got, err := readAll(d.OpenLog("victim", LogConfig{}), 0, 1)
		if err != nil || len(got) == 0 || got[0] != "of the victim" || len(d.Damage()) > 0 {
			t.Errorf("the victim has %.40q: %v, %v", got, err, d.Damage())
		}
	}
}
