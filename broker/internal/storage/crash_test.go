package storage

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/leatstream/leat/internal/batch"
)

var (
	crashSeeds = flag.Int("crash-seeds", 60, "how many random histories with power losses to play")
	crashFirst = flag.Uint64("crash-first", 1, "the seed of the first")
)

// TestCrashSeeds plays random histories of several logs, each with power losses in the middle of whatever goes on:
// appends, syncs, rolls, retention, deletion of records, compaction, scrubs, restarts, recovery itself. What was promised before
// the power went must hold after it.
//
//	go test ./broker/internal/storage -run TestCrashSeeds -crash-seeds 10000
func TestCrashSeeds(t *testing.T) {
	crashes := 0
	for i := range uint64(*crashSeeds) {
		h := &history{seed: *crashFirst + i, rng: rand.New(rand.NewPCG(*crashFirst+i, 77)), clock: now}
		if err := h.play(); err != nil {
			t.Fatalf("seed %d (-crash-first %d -crash-seeds 1): %v\n%s", h.seed, h.seed, err, strings.Join(h.told[max(0, len(h.told)-40):], "\n"))
		}
		crashes += h.crashes
	}
	t.Logf("%d histories, %d power losses", *crashSeeds, crashes)
}

// history is one random sequence of events.
type history struct {
	seed    uint64
	rng     *rand.Rand
	clock   time.Time
	crashes int

	telling sync.Mutex
	told    []string

	mem  *vfs.MemFS
	fs   vfs.FS // nil: mem, on which the power may go
	dir  *Dir
	logs []*logHistory

	small bool // the disk may have no room for a file that says what was deleted

	mu     sync.Mutex // between the events and what the file system is asked for in the background
	armed  int        // operations until the power goes; 0: it stays
	share  int        // of what is not synced by then and reaches the disk all the same, in percent
	chance *rand.Rand // which part
	after  *vfs.MemFS // what was on disk then
	before []promise  // what had been promised by then
}

// promise is what the user of a log was told.
type promise struct{ start, durable int64 }

// logHistory is what was done with a log.
type logHistory struct {
	name      string
	compacted bool
	log       *Log
	cfg       LogConfig
	promise
	records []kv  // by offset
	writer  []int // by offset: 1 if the idempotent producer wrote it
}

func (h *history) tell(format string, args ...any) {
	h.telling.Lock()
	defer h.telling.Unlock()
	h.told = append(h.told, fmt.Sprintf(format, args...))
}

func (h *history) play() error {
	h.mem = vfs.NewCrashableMem()
	for i := range 3 {
		h.logs = append(h.logs, &logHistory{
			name: fmt.Sprint("t-", i), compacted: i > 0, cfg: LogConfig{SegmentBytes: 150 + h.rng.Int64N(1200)},
		})
	}
	if err := h.open(); err != nil {
		return err
	}
	for range 3 {
		h.arm(1 + h.rng.IntN(400))
		for range 20 + h.rng.IntN(60) {
			if err := h.event(); err != nil {
				return err
			}
		}
		if err := h.powerLoss(); err != nil {
			return err
		}
	}
	return h.close()
}

// arm lets the power go before the n-th change of a file from now on.
func (h *history) arm(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.armed, h.after = n, nil
	h.share, h.chance = []int{0, 30, 70, 100}[h.rng.IntN(4)], rand.New(rand.NewPCG(h.seed, uint64(h.crashes)))
}

func (h *history) open() (err error) {
	fs := h.fs
	if fs == nil {
		fs = h.powered(h.mem)
	}
	if h.dir, err = OpenDir(fs, "data"); err != nil {
		return err
	}
	h.dir.files.limit = int64(h.rng.IntN(6))
	for _, l := range h.logs {
		l.log = h.dir.OpenLog(l.name, l.cfg)
	}
	return nil
}

// powered is mem until the power goes.
func (h *history) powered(mem *vfs.MemFS) vfs.FS {
	return errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.armed == 0 || mem != h.mem {
			return nil
		}
		if h.armed--; h.armed == 0 {
			h.cut(fmt.Sprint(op.Kind, " ", op.Path))
		}
		return nil
	}))
}

// cut takes what is on disk now. The caller holds the lock.
func (h *history) cut(where string) {
	h.after = h.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: h.share, RNG: h.chance})
	h.before = h.before[:0]
	for _, l := range h.logs {
		h.before = append(h.before, l.promise)
	}
	h.tell("power loss before %s, %d%% of what was not synced, %v", where, h.share, h.before)
}

func (h *history) promised(l *logHistory, p promise) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.promise = promise{max(l.start, p.start), max(l.durable, p.durable)}
}

func (h *history) event() error {
	l := h.logs[h.rng.IntN(len(h.logs))]
	n := h.rng.IntN(100)
	if n < 60 {
		return h.append(l)
	}
	end, err := l.log.EndOffset()
	if err != nil {
		return err
	}
	switch {
	case n < 80:
		h.tell("sync %s to %d", l.name, end)
		if err := l.log.Sync(); err != nil {
			return err
		}
		h.promised(l, promise{durable: end})
	case n < 90 && l.compacted:
		h.clock = h.clock.Add(time.Duration(h.rng.IntN(90)) * time.Minute)
		c := eager
		c.Buffer = []int{1, 2000, 1 << 20}[h.rng.IntN(3)]
		ran, err := l.log.Compact(c, end, h.clock)
		h.tell("compact %s below %d: %v", l.name, end, ran)
		return err
	case n < 90:
		to := h.rng.Int64N(end + 1)
		h.tell("delete %s before %d of %d", l.name, to, end)
		if err := l.log.DeleteBefore(to); err != nil {
			return err
		}
		start, err := l.log.StartOffset()
		if err != nil {
			return err
		}
		h.promised(l, promise{start, start})
	case n < 95 && !l.compacted:
		h.tell("retain %s", l.name)
		if err := l.log.Retain(Retention{Age: -1, Bytes: h.rng.Int64N(3000)}, end, h.clock); err != nil {
			return err
		}
		start, err := l.log.StartOffset()
		if err != nil {
			return err
		}
		h.promised(l, promise{start, start})
	case n < 97:
		h.tell("restart")
		if err := h.close(); err != nil {
			return err
		}
		if err := h.open(); err != nil {
			return err
		}
		return h.check()
	default:
		h.tell("scrub %s", l.name)
		if err := l.log.Scrub(func(int) error { return nil }); err != nil {
			return err
		}
		return h.check()
	}
	return nil
}

// append adds a batch; every second one is of a producer that counts.
func (h *history) append(l *logHistory) error {
	var kvs []kv
	base := int64(len(l.records))
	for i := range 1 + h.rng.Int64N(3) {
		r := put(fmt.Sprint("k", h.rng.IntN(5)), fmt.Sprint("v", base+i))
		if l.compacted && h.rng.IntN(4) == 0 {
			r.value = nil
		}
		kvs = append(kvs, r)
	}
	raw := keyed(batch.None, h.clock.UnixMilli(), kvs...)
	writer := h.rng.IntN(2)
	var a Appended
	var err error
	if writer == 1 {
		batch.SetProducer(raw, 9, 0, int32(count(l.writer)))
		batch.Seal(raw)
		a, err = l.log.AppendClient(raw, 0, -1, h.clock)
	} else {
		a, err = l.log.Append(raw, 0, h.clock)
	}
	if err != nil || a.BaseOffset != base || a.Repeated {
		return fmt.Errorf("append at %d: %+v %w", base, a, err)
	}
	l.records = append(l.records, kvs...)
	for range kvs {
		l.writer = append(l.writer, writer)
	}
	h.tell("append %d to %s by %d", len(kvs), l.name, writer)
	return nil
}

func count(writer []int) (n int) {
	for _, w := range writer {
		n += w
	}
	return n
}

func (h *history) close() error {
	var errs []error
	for _, l := range h.logs {
		errs = append(errs, l.log.Close())
	}
	return errors.Join(append(errs, h.dir.Close())...)
}

// powerLoss goes on with what was on disk when the power went, and holds it to what had been promised.
func (h *history) powerLoss() error {
	h.mu.Lock()
	if h.after == nil {
		h.cut("nothing")
	}
	after := h.after
	h.armed = 0
	h.mu.Unlock()
	h.crashes++
	if err := h.close(); err != nil { // of the machine without power
		return err
	}
	h.mu.Lock()
	h.mem = after
	for i, l := range h.logs {
		l.promise = h.before[i]
	}
	h.mu.Unlock()
	if h.rng.IntN(2) == 0 { // and once more during the recovery
		h.arm(1 + h.rng.IntN(20))
	}
	if err := h.open(); err != nil {
		return err
	}
	for _, l := range h.logs {
		end, err := l.log.EndOffset()
		if err != nil {
			return err
		}
		if end < l.durable || end > int64(len(l.records)) {
			return fmt.Errorf("%s ends at %d; %d were durable, %d written", l.name, end, l.durable, len(l.records))
		}
	}
	h.mu.Lock()
	again := h.after != after && h.after != nil
	h.armed = 0
	h.mu.Unlock()
	if again {
		return h.powerLoss()
	}
	for _, l := range h.logs {
		end, _ := l.log.EndOffset()
		l.records, l.writer = l.records[:end], l.writer[:end]
	}
	return h.check()
}

// check compares every log with what was written.
func (h *history) check() error {
	for _, l := range h.logs {
		if err := l.check(); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	if found := h.dir.Damage(); len(found) > 0 && !h.small {
		return fmt.Errorf("nothing is rotten, but there is %w", errors.Join(found...))
	}
	return nil
}

func (l *logHistory) check() error {
	start, err := l.log.StartOffset()
	if err != nil {
		return err
	}
	end := int64(len(l.records))
	if got, err := l.log.EndOffset(); err != nil || got != end || start < l.start || start > end {
		return fmt.Errorf("from %d to %d, want from %d to %d: %w", start, got, l.start, end, err)
	}
	got, err := consume(l.log, end)
	if err != nil {
		return err
	}
	at := int64(-1)
	want, has := map[string]string{}, map[string]string{}
	for _, r := range l.records {
		want[r.key] = shown(r)
	}
	for _, r := range got {
		if r.offset <= at || r.key != l.records[r.offset].key || r.value != shown(l.records[r.offset]) {
			return fmt.Errorf("read %+v after %d, written was %s=%s", r, at, l.records[r.offset].key, shown(l.records[r.offset]))
		}
		if !l.compacted && at >= start && r.offset != at+1 {
			return fmt.Errorf("offset %d follows %d", r.offset, at)
		}
		at = r.offset
		has[r.key] = r.value
	}
	if l.compacted {
		gone := func(_, v string) bool { return v == "-" }
		maps.DeleteFunc(want, gone)
		maps.DeleteFunc(has, gone)
		if !maps.Equal(want, has) {
			return fmt.Errorf("values %v, want %v", has, want)
		}
	} else if at < end-1 && start < end {
		return fmt.Errorf("read up to %d of %d", at, end)
	}
	known, err := l.log.Producers(now)
	if err != nil {
		return err
	}
	sequence := int32(-1)
	if i := slices.IndexFunc(known, func(p Producer) bool { return p.ID == 9 }); i >= 0 {
		sequence = known[i].LastSequence()
	}
	if n := count(l.writer); sequence != int32(n-1) {
		return fmt.Errorf("the producer's last sequence is %d of %d", sequence, n)
	}
	if off, _, err := l.log.OffsetForTime(math.MinInt64+1, end); err != nil || len(got) > 0 && off != got[max(0, slices.IndexFunc(got, func(r seen) bool { return r.offset >= start }))].offset {
		return fmt.Errorf("the first record by time is %d: %w", off, err)
	}
	return nil
}

func shown(r kv) string {
	if r.value == nil {
		return "-"
	}
	return *r.value
}
