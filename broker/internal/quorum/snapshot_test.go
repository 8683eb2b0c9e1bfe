package quorum

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/leatstream/leat/broker/internal/storage"
)

// small has a snapshot taken after every few entries.
const small = 300

// proposed proposes entries from, …, to-1, and lets each snapshot be written before what follows.
func proposed(t *testing.T, q *Local, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := q.Propose(t.Context(), entry(i)); err != nil {
			t.Fatal(err)
		}
		q.background.Wait()
	}
}

func wanted(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("a%d|b%d", i, i))
	}
	return out
}

func files(t *testing.T, fs vfs.FS, suffix string) (out []string) {
	t.Helper()
	names, err := fs.List("data/" + LogName)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, suffix) {
			out = append(out, "data/"+LogName+"/"+name)
		}
	}
	slices.Sort(out)
	return out
}

func closed(t *testing.T, q *Local, dir *storage.Dir) {
	t.Helper()
	if err := errors.Join(q.Close(), dir.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestSnapshotsBoundTheLog: however much was proposed, what lies there is two snapshots and the log since the former.
func TestSnapshotsBoundTheLog(t *testing.T) {
	fs := vfs.NewMem()
	for round := range 4 {
		q, r, dir := openEvery(t, fs, small)
		if got := r.entries; !slices.Equal(got, wanted(round*60)) {
			t.Fatalf("round %d starts with %v", round, got)
		}
		proposed(t, q, round*60, round*60+60)
		closed(t, q, dir)
		if s := files(t, fs, ".snapshot"); len(s) != 2 {
			t.Errorf("%v", s)
		}
		var bytes int64
		for _, log := range files(t, fs, ".log") {
			info, err := fs.Stat(log)
			if err != nil {
				t.Fatal(err)
			}
			bytes += info.Size()
		}
		if bytes > 4*small {
			t.Errorf("round %d leaves %d bytes of log", round, bytes)
		}
	}
}

// TestSnapshotAfterAWhile: a log that hardly grows is not read from the beginning for ever.
func TestSnapshotAfterAWhile(t *testing.T) {
	fs := vfs.NewMem()
	q, _, dir := open(t, fs)
	proposed(t, q, 0, 1)
	q.cfg.SnapshotEvery = time.Nanosecond
	proposed(t, q, 1, 2)
	closed(t, q, dir)
	if s := files(t, fs, ".snapshot"); len(s) != 1 {
		t.Errorf("%v", s)
	}
}

// TestSnapshotPowerLoss cuts the power before every change of a file: what was answered by then is there, whole, and
// nothing but that and what was under way.
func TestSnapshotPowerLoss(t *testing.T) {
	type cut struct {
		fs       *vfs.MemFS
		answered int
		op       string
	}
	var mu sync.Mutex
	var cuts []cut
	var answered atomic.Int64
	mem, rng := vfs.NewCrashableMem(), rand.New(rand.NewPCG(1, 2))
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			mu.Lock()
			defer mu.Unlock()
			at := int(answered.Load())
			clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[rng.IntN(3)], RNG: rng})
			cuts = append(cuts, cut{clone, at, fmt.Sprint(op.Kind, " ", op.Path)})
		}
		return nil
	}))
	n := 0
	for range 2 {
		q, _, dir := openEvery(t, fs, small)
		for range 12 {
			if err := q.Propose(t.Context(), entry(n)); err != nil {
				t.Fatal(err)
			}
			n++
			answered.Store(int64(n))
			if n%3 == 0 { // some snapshots are written beside what follows
				q.background.Wait()
			}
		}
		closed(t, q, dir)
	}
	for _, c := range cuts {
		q, r, dir, err := tryOpen(c.fs, small)
		if err != nil {
			t.Fatalf("power loss before %s: %v", c.op, err)
		}
		if got := len(r.entries); got < c.answered || got > c.answered+1 || !slices.Equal(r.entries, wanted(got)) {
			t.Fatalf("power loss before %s, with %d answered: %v", c.op, c.answered, r.entries)
		}
		if len(dir.Damage()) > 0 {
			t.Fatalf("power loss before %s: %v", c.op, dir.Damage())
		}
		proposed(t, q, len(r.entries), len(r.entries)+12) // it goes on, over whatever lies there
		closed(t, q, dir)
		if left := files(t, c.fs, "snapshot.tmp"); len(left) > 0 {
			t.Fatalf("power loss before %s leaves %v", c.op, left)
		}
	}
	t.Logf("%d power losses", len(cuts))
}

// TestDamagedSnapshot: a snapshot that is not what was written is named and passed over while there is what it stands for;
// where that is gone, nothing starts. Less than there was never starts.
func TestDamagedSnapshot(t *testing.T) {
	const n = 40
	sample := vfs.NewCrashableMem()
	q, _, dir := openEvery(t, sample, small)
	proposed(t, q, 0, n)
	closed(t, q, dir)
	build := func() *vfs.MemFS {
		return sample.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))})
	}
	snapshots := files(t, sample, ".snapshot")
	former, newest := snapshots[0], snapshots[1]
	content := read(t, sample, newest)
	damages := map[string]func(fs *vfs.MemFS){
		"gone":        func(fs *vfs.MemFS) { remove(t, fs, newest) },
		"empty":       func(fs *vfs.MemFS) { write(t, fs, newest, nil) },
		"another one": func(fs *vfs.MemFS) { write(t, fs, newest, read(t, fs, former)) },
		"longer":      func(fs *vfs.MemFS) { write(t, fs, newest, append(slices.Clone(content), 0)) },
	}
	for i := range content {
		if i%7 == 0 {
			damages[fmt.Sprint("cut at ", i)] = func(fs *vfs.MemFS) { write(t, fs, newest, content[:i]) }
		}
		damages[fmt.Sprint("bit ", i%8, " of byte ", i)] = func(fs *vfs.MemFS) {
			b := slices.Clone(content)
			b[i] ^= 1 << (i % 8)
			write(t, fs, newest, b)
		}
	}
	for what, damage := range damages {
		fs := build()
		damage(fs)
		q, r, dir, err := tryOpen(fs, small)
		if err != nil || !slices.Equal(r.entries, wanted(n)) {
			t.Fatalf("%s: %v %v", what, r.entries, err)
		}
		if named := dir.Damage(); what != "gone" && (len(named) != 1 || !strings.Contains(named[0].Error(), newest)) {
			t.Fatalf("%s: %v", what, named)
		}
		if strings.ContainsAny(what, "0123456789") { // enough of them go on
			closed(t, q, dir)
			continue
		}
		proposed(t, q, n, n+20)
		closed(t, q, dir)
		if again, r, dir := openEvery(t, fs, small); !slices.Equal(r.entries, wanted(n+20)) || len(dir.Damage()) != 0 {
			t.Fatalf("%s, later: %v, %v", what, r.entries, dir.Damage())
		} else {
			closed(t, again, dir)
		}
	}
	for what, damage := range map[string]func(fs *vfs.MemFS){
		"both gone":    func(fs *vfs.MemFS) { remove(t, fs, newest); remove(t, fs, former) },
		"both damaged": func(fs *vfs.MemFS) { write(t, fs, newest, nil); write(t, fs, former, nil) },
		"the log is gone": func(fs *vfs.MemFS) {
			for _, suffix := range []string{".log", ".index", "start"} {
				for _, name := range files(t, fs, suffix) {
					remove(t, fs, name)
				}
			}
		},
	} {
		fs := build()
		damage(fs)
		q, r, dir, err := tryOpen(fs, small)
		if !errors.Is(err, storage.ErrDamaged) && !(err == nil && slices.Equal(r.entries, wanted(n)) && len(dir.Damage()) > 0) {
			t.Errorf("%s: starts with %v (%v)", what, r.entries, err)
		}
		closed(t, q, dir)
	}
}

// TestSnapshotThatFails costs nothing but a longer log: the next one is tried when it is due.
func TestSnapshotThatFails(t *testing.T) {
	for _, errno := range []error{syscall.ENOSPC, syscall.EMFILE} {
		mem := vfs.NewCrashableMem()
		var fail atomic.Bool
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if fail.Load() && strings.HasSuffix(op.Path, "snapshot.tmp") && op.Kind != errorfs.OpRemove {
				return errno
			}
			return nil
		}))
		q, _, dir := openEvery(t, fs, small)
		proposed(t, q, 0, 20)
		before := files(t, mem, ".snapshot")
		fail.Store(true)
		proposed(t, q, 20, 40)
		if after := files(t, mem, ""); !slices.Equal(files(t, mem, ".snapshot"), before) || slices.ContainsFunc(after, func(n string) bool { return strings.HasSuffix(n, ".tmp") }) {
			t.Errorf("%v: %v became %v", errno, before, after)
		}
		_, r, _ := openEvery(t, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))}), small)
		if !slices.Equal(r.entries, wanted(40)) {
			t.Errorf("%v: %v", errno, r.entries)
		}
		fail.Store(false)
		proposed(t, q, 40, 60)
		closed(t, q, dir)
		if after := files(t, mem, ".snapshot"); len(after) != 2 || after[0] <= before[1] {
			t.Errorf("%v: %v became %v", errno, before, after)
		}
	}
}

// slowly is a machine whose snapshots wait to be read.
type slowly struct {
	recorder
	taken, read chan struct{}
}

func (s *slowly) Snapshot() iter.Seq[[]byte] {
	of := s.recorder.Snapshot()
	return func(yield func([]byte) bool) {
		s.taken <- struct{}{}
		<-s.read
		of(yield)
	}
}

// TestSnapshotIsNotWaitedFor: proposals go on while one is written, and it is of the moment at which it was taken.
func TestSnapshotIsNotWaitedFor(t *testing.T) {
	fs := vfs.NewMem()
	dir, err := storage.OpenDir(fs, "data")
	if err != nil {
		t.Fatal(err)
	}
	m := &slowly{taken: make(chan struct{}, 1), read: make(chan struct{})}
	q := NewLocal(dir, Config{SnapshotBytes: 1, Logger: slog.New(slog.DiscardHandler)})
	if err := q.Start(m); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := q.Propose(t.Context(), entry(i)); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			<-m.taken
		}
	}
	close(m.read)
	closed(t, q, dir)
	if s := files(t, fs, ".snapshot"); len(s) != 1 || !strings.Contains(s[0], "00002.snapshot") {
		t.Errorf("%v", s)
	}
	if _, r, _ := open(t, fs); !slices.Equal(r.entries, wanted(10)) {
		t.Errorf("%v", r.entries)
	}
}

func read(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write(b)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, fs vfs.FS, name string) {
	t.Helper()
	if err := fs.Remove(name); err != nil {
		t.Fatal(err)
	}
}
