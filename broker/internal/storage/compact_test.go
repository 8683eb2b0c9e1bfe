package storage

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/leatstream/leat/internal/batch"
	"pgregory.net/rapid"
)

// kv is a record of a compacted log; a nil value is a tombstone.
type kv struct {
	key   string
	value *string
}

func keyed(codec batch.Codec, ts int64, kvs ...kv) []byte {
	b := batch.NewBuilder(codec)
	for i, r := range kvs {
		var value []byte
		if r.value != nil {
			value = []byte(*r.value)
		}
		b.Append(ts+int64(i), []byte(r.key), value, []batch.HeaderKV{{Key: "h", Value: []byte(r.key)}})
	}
	raw, err := b.Build(nil)
	if err != nil {
		panic(err)
	}
	return raw
}

func put(key, value string) kv { return kv{key, &value} }
func del(key string) kv        { return kv{key, nil} }

// seen is a record as a consumer of committed records gets it.
type seen struct {
	offset, ts int64
	key, value string // value "-": a tombstone
}

// consume reads every record up to limit as a consumer does that reads committed.
func consume(l *Log, limit int64) (out []seen, err error) {
	offset, err := l.StartOffset()
	if err != nil {
		return nil, err
	}
	aborted, err := l.Aborted(offset, limit)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(aborted, func(a, b Aborted) int { return int(a.FirstOffset - b.FirstOffset) })
	dropping := map[int64]bool{}
	for offset < limit {
		c, err := l.Read(offset, 500, limit, true)
		if err != nil {
			return nil, err
		}
		raw := make([]byte, c.Len)
		err = c.ReadInto(raw)
		c.Release()
		if err != nil || len(raw) == 0 {
			return out, errors.Join(err, fmt.Errorf("nothing at %d", offset))
		}
		for len(raw) > 0 {
			h, err := batch.ReadHeader(raw)
			if err != nil || h.Size() > len(raw) {
				break // cut off by the size of the read
			}
			b := raw[:h.Size()]
			raw = raw[h.Size():]
			if !batch.CheckCRC(b) {
				return nil, fmt.Errorf("bad CRC at %d", h.BaseOffset)
			}
			offset = h.LastOffset() + 1
			for len(aborted) > 0 && aborted[0].FirstOffset <= h.LastOffset() {
				dropping[aborted[0].ProducerID] = true
				aborted = aborted[1:]
			}
			if h.Control() {
				if m, err := batch.ReadMarker(b); err == nil && !m.Commit {
					delete(dropping, m.ProducerID)
				}
				continue
			}
			if h.Transactional() && dropping[h.ProducerID] {
				continue
			}
			var s batch.Scratch
			if err := batch.Walk(b, batch.Limits{}, &s, func(r *batch.Record) error {
				value := "-"
				if r.Value != nil {
					value = string(r.Value)
				}
				if len(r.Headers) != 1 || string(r.Headers[0].Value) != string(r.Key) {
					return fmt.Errorf("headers %v", r.Headers)
				}
				out = append(out, seen{h.BaseOffset + int64(r.OffsetDelta), h.BaseTimestamp + r.TimestampDelta, string(r.Key), value})
				return nil
			}); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// eager cleans whenever there is something new.
var eager = Compaction{Tombstones: time.Hour, Buffer: 1 << 20}

func mustCompact(t testing.TB, l *Log, c Compaction, at time.Time) {
	t.Helper()
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	l.dir.syncing.Wait()
	if _, err := l.Compact(c, math.MaxInt64, at); err != nil {
		t.Fatal(err)
	}
}

func show(t testing.TB, l *Log) string {
	t.Helper()
	end, err := l.EndOffset()
	if err != nil {
		t.Fatal(err)
	}
	records, err := consume(l, end)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range records {
		out = append(out, fmt.Sprintf("%d:%s=%s", r.offset, r.key, r.value))
	}
	return strings.Join(out, " ")
}

func TestCompaction(t *testing.T) {
	for _, codec := range []batch.Codec{batch.None, batch.Zstd} {
		fs := vfs.NewMem()
		d := openDir(t, fs)
		l := d.OpenLog("t-0", LogConfig{SegmentBytes: 400})
		for i := range 10 {
			mustAppend(t, l, keyed(codec, int64(100*i), put("a", fmt.Sprint(i)), put(fmt.Sprint("k", i%3), fmt.Sprint(i)), del(fmt.Sprint("d", i%2))))
		}
		mustAppend(t, l, keyed(batch.None, 5000, put("a", strings.Repeat("active", 70))))
		mustAppend(t, l, keyed(batch.None, 5001, put("k0", "end")))
		before := logBytes(l)
		mustCompact(t, l, eager, now)
		if after := logBytes(l); after > before-700 {
			t.Errorf("%d bytes, then %d", before, after)
		}
		check := func(l *Log, want string) {
			t.Helper()
			want = strings.ReplaceAll(want, "A", "30:a="+strings.Repeat("active", 70))
			if got := show(t, l); got != want {
				t.Errorf("%s\n got %s\nwant %s", codec, got, want)
			}
		}
		const first = "22:k1=7 25:k2=8 26:d0=- 28:k0=9 29:d1=- A 31:k0=end"
		check(l, first)
		check(openAgain(t, fs), first)
		if off, at, err := l.OffsetForTime(0, 32); off != 22 || at != 701 || err != nil {
			t.Errorf("first record by time: %d at %d %v", off, at, err)
		}
		// A reader of an offset that is gone gets what comes next.
		c, err := l.Read(3, 10, 32, true)
		if err != nil || c.Len == 0 {
			t.Errorf("offset 3: %d bytes %v", c.Len, err)
		}
		c.Release()
		// Tombstones go later; nothing new is needed for that.
		mustCompact(t, l, eager, now.Add(59*time.Minute))
		check(l, first)
		mustCompact(t, l, eager, now.Add(61*time.Minute))
		const second = "22:k1=7 25:k2=8 28:k0=9 A 31:k0=end"
		check(l, second)
		if err := errors.Join(l.Close(), d.Close()); err != nil {
			t.Fatal(err)
		}
		check(openAgain(t, fs), second)
		// The same without the index files: a segment says itself how far it goes.
		names, _ := fs.List("data/t-0")
		for _, n := range names {
			if strings.HasSuffix(n, indexSuffix) {
				_ = fs.Remove("data/t-0/" + n)
			}
		}
		again := openAgain(t, fs)
		check(again, second)
		if a := mustAppend(t, again, keyed(codec, 1, put("x", "y"))); a.BaseOffset != 32 {
			t.Errorf("next offset %d", a.BaseOffset)
		}
	}
}

func logBytes(l *Log) (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		n += s.size()
	}
	return n
}

// TestWhenCompactionIsDue: by the share of new bytes, by age, and never for records that are too young.
func TestWhenCompactionIsDue(t *testing.T) {
	l := openDir(t, vfs.NewMem()).OpenLog("t-0", perSegment)
	add := func(n int, at time.Time) {
		for range n {
			mustAppend(t, l, keyed(batch.None, at.UnixMilli(), put("a", "x")))
		}
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		l.dir.syncing.Wait()
	}
	due := func(c Compaction, stable int64, at time.Time, want bool) {
		t.Helper()
		c.Buffer, c.Tombstones = 1<<20, time.Hour
		if ran, err := l.Compact(c, stable, at); ran != want || err != nil {
			t.Errorf("%+v at %s: %v %v", c, at.Sub(now), ran, err)
		}
	}
	due(Compaction{}, 100, now, false) // nothing there
	add(1, now)
	due(Compaction{}, 100, now, false) // only the active segment
	add(4, now)
	due(Compaction{}, 0, now, false) // nothing is stable
	due(Compaction{MinLag: time.Hour}, 100, now.Add(59*time.Minute), false)
	due(Compaction{DirtyRatio: 0.5, MinLag: time.Hour}, 100, now.Add(60*time.Minute), true)
	if got := fmt.Sprint(bases(l)); got != "[0 4]" && got != "[0 1 2 3 4]" {
		t.Errorf("segments %s", got)
	}
	due(Compaction{}, 100, now, false) // nothing new
	add(1, now)
	due(Compaction{DirtyRatio: 0.9}, 100, now, false)
	due(Compaction{DirtyRatio: 0.9, MaxLag: time.Hour}, 100, now.Add(time.Hour), false)
	due(Compaction{DirtyRatio: 0.9, MaxLag: time.Hour}, 100, now.Add(2*time.Hour), true)
	if l.active().size() != 0 {
		t.Error("the active segment holds records that are too old")
	}
}

// TestUntouchedSegmentsAreNotWrittenAgain: what loses nothing stays the file that it is.
func TestUntouchedSegmentsAreNotWrittenAgain(t *testing.T) {
	l := openDir(t, vfs.NewMem()).OpenLog("t-0", perSegment)
	mustAppend(t, l, keyed(batch.None, 1, put("a", "x")))
	mustAppend(t, l, keyed(batch.None, 1, put("b", "x")))
	mustAppend(t, l, keyed(batch.None, 1, put("c", "x")))
	was := l.segments[0]
	mustCompact(t, l, eager, now)
	if l.segments[0] != was {
		t.Error("the segment was replaced")
	}
}

// TestFullKeyTable: with room for a few keys only, every pass gets on, and in the end all is clean.
func TestFullKeyTable(t *testing.T) {
	l := openDir(t, vfs.NewMem()).OpenLog("t-0", LogConfig{SegmentBytes: 2000})
	for round := range 3 {
		for k := range 200 {
			mustAppend(t, l, keyed(batch.None, 1, put(fmt.Sprint("key-", k), fmt.Sprint(round))))
		}
	}
	mustAppend(t, l, keyed(batch.None, 1, put("end", strings.Repeat("x", 2000))))
	small := eager
	small.Buffer = 64*keySlotBytes + 200
	passes := 0
	for ran := true; ran; passes++ {
		l.dir.syncing.Wait()
		var err error
		if ran, err = l.Compact(small, math.MaxInt64, now); err != nil {
			t.Fatal(err)
		}
	}
	if passes < 5 {
		t.Errorf("%d passes: the table was not bounded", passes)
	}
	got := strings.Fields(show(t, l))
	if len(got) < 201 || len(got) > 230 { // what the last pass could not hold stays in the segments before the active one
		t.Errorf("%d records left", len(got))
	}
	one := eager
	one.Buffer = 1 // not even one key
	mustAppend(t, l, keyed(batch.None, 1, put("end", strings.Repeat("x", 2000))))
	l.dir.syncing.Wait()
	if ran, err := l.Compact(one, math.MaxInt64, now); !ran || err != nil {
		t.Errorf("%v %v", ran, err)
	}
}

// TestKeysWithOneHash: a hash that is the same for all keys makes the table slow, not wrong.
func TestKeysWithOneHash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := newKeyTable(1 << 20)
		buckets := rapid.Uint64Range(1, 3).Draw(t, "hashes")
		table.hash = func(key []byte) uint64 { return uint64(len(key)) % buckets }
		model := map[string]int64{}
		for i := range rapid.IntRange(0, 200).Draw(t, "n") {
			key := fmt.Sprint(rapid.IntRange(0, 120).Draw(t, "key"))
			if !table.put([]byte(key), int64(i), false) {
				t.Fatal("full")
			}
			model[key] = int64(i)
		}
		for k := range 130 {
			want, ok := model[fmt.Sprint(k)]
			if !ok {
				want = -1
			}
			if got := table.get([]byte(fmt.Sprint(k))); got != want {
				t.Fatalf("key %d at %d, want %d", k, got, want)
			}
		}
	})
}

// TestCompactionModel runs random appends, transactions, compactions and restarts against a list of what was written.
// Whatever was compacted: every record that is left is at its offset as it was written; the last committed value of every
// key is there; a key whose last record is a tombstone has no value; what the active segment holds is all there.
func TestCompactionModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewMem()
		d, err := OpenDir(fs, "data")
		if err != nil {
			t.Fatal(err)
		}
		cfg := LogConfig{SegmentBytes: rapid.Int64Range(150, 1500).Draw(t, "segment")}
		l := d.OpenLog("t-0", cfg)
		type written struct {
			seen
			pending int64 // producer whose transaction decides; -1: none
			aborted bool
		}
		var model []written
		type producer struct {
			seq  int32
			open bool
		}
		producers := map[int64]*producer{1: {}, 2: {}}
		clock := now
		stable := func() int64 {
			s, err := l.LastStableOffset(math.MaxInt64)
			if err != nil {
				t.Fatal(err)
			}
			return min(s, int64(len(model)))
		}
		add := func(t *rapid.T, id int64) {
			codec := rapid.SampledFrom([]batch.Codec{batch.None, batch.LZ4}).Draw(t, "codec")
			var kvs []kv
			base := int64(len(model))
			for i := range rapid.IntRange(1, 3).Draw(t, "n") {
				r := put(fmt.Sprint("k", rapid.IntRange(0, 4).Draw(t, "key")), fmt.Sprint("v", len(model)))
				value := *r.value
				if rapid.IntRange(0, 3).Draw(t, "tombstone") == 0 {
					r.value, value = nil, "-"
				}
				kvs = append(kvs, r)
				model = append(model, written{seen{base + int64(i), clock.UnixMilli() + int64(i), r.key, value}, id, false})
			}
			raw := keyed(codec, clock.UnixMilli(), kvs...)
			if id < 0 {
				if a, err := l.Append(raw, 0, clock); err != nil || a.BaseOffset != base {
					t.Fatalf("%+v %v", a, err)
				}
				return
			}
			p := producers[id]
			batch.SetProducer(raw, id, 0, p.seq)
			batch.SetTransactional(raw)
			batch.Seal(raw)
			if a, err := l.AppendClient(raw, 0, base, clock); err != nil || a.BaseOffset != base {
				t.Fatalf("%+v %v", a, err)
			}
			p.seq += int32(len(kvs))
			p.open = true
		}
		t.Repeat(map[string]func(*rapid.T){
			"append":   func(t *rapid.T) { add(t, -1) },
			"transact": func(t *rapid.T) { add(t, rapid.Int64Range(1, 2).Draw(t, "producer")) },
			"end": func(t *rapid.T) {
				id := rapid.Int64Range(1, 2).Draw(t, "producer")
				commit := rapid.Bool().Draw(t, "commit")
				if !producers[id].open {
					t.Skip("no transaction")
				}
				if _, err := l.AppendMarker(batch.Marker{ProducerID: id, Commit: commit}, 1, 0, clock); err != nil {
					t.Fatal(err)
				}
				producers[id].open = false
				for i := range model {
					if model[i].pending == id {
						model[i].pending, model[i].aborted = -1, !commit
					}
				}
				model = append(model, written{seen: seen{offset: int64(len(model)), key: "marker"}, pending: -1, aborted: true})
			},
			"wait": func(t *rapid.T) {
				clock = clock.Add(time.Duration(rapid.IntRange(1, 50).Draw(t, "minutes")) * time.Minute)
			},
			"compact": func(t *rapid.T) {
				if err := l.Sync(); err != nil {
					t.Fatal(err)
				}
				d.syncing.Wait()
				c := eager
				c.Buffer = rapid.SampledFrom([]int{1, 64*keySlotBytes + 6, 1 << 20}).Draw(t, "buffer")
				if _, err := l.Compact(c, stable(), clock); err != nil {
					t.Fatal(err)
				}
			},
			"restart": func(t *rapid.T) {
				if err := errors.Join(l.Close(), d.Close()); err != nil {
					t.Fatal(err)
				}
				if rapid.Bool().Draw(t, "lose indexes") {
					names, _ := fs.List("data/t-0")
					for _, n := range names {
						if strings.HasSuffix(n, indexSuffix) {
							_ = fs.Remove("data/t-0/" + n)
						}
					}
				}
				if d, err = OpenDir(fs, "data"); err != nil {
					t.Fatal(err)
				}
				l = d.OpenLog("t-0", cfg)
			},
			"": func(t *rapid.T) {
				end, err := l.EndOffset()
				if err != nil || end != int64(len(model)) {
					t.Fatalf("end %d of %d: %v", end, len(model), err)
				}
				limit := stable()
				got, err := consume(l, limit)
				if err != nil {
					t.Fatal(err)
				}
				want, has := map[string]string{}, map[string]string{}
				for _, w := range model[:limit] {
					if w.pending >= 0 {
						t.Fatalf("offset %d is stable, but its transaction is open", w.offset)
					}
					if !w.aborted {
						want[w.key] = w.value
					}
				}
				at := int64(-1)
				there := map[int64]bool{}
				for _, r := range got {
					w := model[r.offset]
					if r != w.seen || w.aborted || r.offset <= at {
						t.Fatalf("read %+v after %d, written was %+v", r, at, w)
					}
					at = r.offset
					there[at] = true
					has[r.key] = r.value
				}
				maps.DeleteFunc(want, func(_, v string) bool { return v == "-" })
				maps.DeleteFunc(has, func(_, v string) bool { return v == "-" })
				if !maps.Equal(want, has) {
					t.Fatalf("values %v, want %v", has, want)
				}
				l.mu.Lock()
				active := end
				if len(l.segments) > 0 {
					active = l.active().base
				}
				l.mu.Unlock()
				for _, w := range model[min(active, limit):limit] {
					if !w.aborted && !there[w.offset] {
						t.Fatalf("%+v is gone from the active segment", w)
					}
				}
				for id, p := range producers { // and sequences go on
					known, err := l.Producers(now)
					if err != nil {
						t.Fatal(err)
					}
					i := slices.IndexFunc(known, func(k Producer) bool { return k.ID == id })
					if p.seq > 0 && (i < 0 || known[i].LastSequence() != p.seq-1 || known[i].TxnStart >= 0 != p.open) {
						t.Fatalf("producer %d is at %+v, not %+v", id, known, p)
					}
				}
			},
		})
	})
}

// TestPowerLossWhileCompacting cuts the power before every change of a file during appends and compactions: what was
// durable is there, at its offset, and every key has its last value.
func TestPowerLossWhileCompacting(t *testing.T) {
	mem := vfs.NewCrashableMem()
	type crash struct {
		fs      *vfs.MemFS
		durable int64
		op      string
	}
	var mu sync.Mutex
	var durable int64
	var crashes []crash
	rng := rand.New(rand.NewPCG(7, 8))
	d := openDir(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			mu.Lock()
			defer mu.Unlock()
			for _, percent := range []int{0, 30, 70, 100} {
				n := durable
				crashes = append(crashes, crash{mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}), n, fmt.Sprint(op.Kind, " ", op.Path)})
			}
		}
		return nil
	})))
	cfg := LogConfig{SegmentBytes: 400}
	l := d.OpenLog("t-0", cfg)
	const rounds = 30
	for i := range rounds {
		a := mustAppend(t, l, keyed(batch.None, 1, put(fmt.Sprint("k", i%3), fmt.Sprint(2*i)), put("all", fmt.Sprint(2*i+1))))
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		durable = a.NextOffset
		mu.Unlock()
		if i%7 == 6 {
			mustCompact(t, l, eager, now)
		}
	}
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	for i, c := range crashes {
		d := openDir(t, c.fs)
		l := d.OpenLog("t-0", cfg)
		for range 2 { // and once more after what the first start repaired
			end, err := l.EndOffset()
			if err != nil || end < c.durable {
				t.Fatalf("crash %d before %s: end %d of %d: %v", i, c.op, end, c.durable, err)
			}
			got, err := consume(l, end)
			if err != nil {
				t.Fatalf("crash %d before %s: %v", i, c.op, err)
			}
			has := map[string]int64{}
			for _, r := range got {
				if r.value != fmt.Sprint(r.offset) || r.offset <= has[r.key] && r.offset > 1 {
					t.Fatalf("crash %d before %s: %+v", i, c.op, r)
				}
				has[r.key] = r.offset
			}
			for n := int64(0); n < end; n++ {
				key := "all"
				if n%2 == 0 {
					key = fmt.Sprint("k", n/2%3)
				}
				if has[key] < n {
					t.Fatalf("crash %d before %s: %s is at %d, not %d", i, c.op, key, has[key], n)
				}
			}
			mustCompact(t, l, eager, now)
			if err := errors.Join(l.Close(), d.Close()); err != nil {
				t.Fatal(err)
			}
			d = openDir(t, c.fs)
			l = d.OpenLog("t-0", cfg)
		}
		if err := errors.Join(l.Close(), d.Close()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d crashes", len(crashes))
}

// TestFailuresWhileCompacting lets every single operation of a compaction fail, with a full disk and without file
// descriptors: the log serves all the same, and the next pass does what this one could not.
func TestFailuresWhileCompacting(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EMFILE} {
		for nth := 1; ; nth++ {
			mem := vfs.NewMem()
			var mu sync.Mutex
			armed, count := false, 0
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				mu.Lock()
				defer mu.Unlock()
				if !armed || strings.Contains(op.Path, walDir) || op.Kind.ReadOrWrite() != errorfs.OpIsWrite && op.Kind != errorfs.OpOpen {
					return nil
				}
				if strings.HasPrefix(fmt.Sprint(op.Kind), "OpFileSync") || op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData {
					return nil // a failed sync is another matter
				}
				if count++; count == nth {
					return errno
				}
				return nil
			}))
			d := openDir(t, fs)
			l := d.OpenLog("t-0", LogConfig{SegmentBytes: 300})
			for i := range 12 {
				mustAppend(t, l, keyed(batch.None, 1, put("a", fmt.Sprint(i)), put(fmt.Sprint("k", i%2), fmt.Sprint(i))))
			}
			if err := l.Sync(); err != nil {
				t.Fatal(err)
			}
			d.syncing.Wait()
			mu.Lock()
			armed = true
			mu.Unlock()
			_, err := l.Compact(eager, math.MaxInt64, now)
			mu.Lock()
			armed = false
			done := count < nth
			mu.Unlock()
			check := func(what string, l *Log) {
				t.Helper()
				got := show(t, l)
				if !strings.HasSuffix(got, "22:a=11 23:k1=11") || !strings.Contains(got, ":k0=10") {
					t.Fatalf("%v at operation %d (%v): %s: %s", errno, nth, err, what, got)
				}
			}
			check("at once", l)
			check("after a crash", openAgain(t, mem))
			mustAppend(t, l, keyed(batch.None, 1, put("z", strings.Repeat("z", 300))))
			mustAppend(t, l, keyed(batch.None, 1, put("a", "11"), put("k1", "11")))
			mustCompact(t, l, eager, now)
			if got := show(t, l); strings.Count(got, " ") > 5 {
				t.Fatalf("%v at operation %d: the next pass leaves %s", errno, nth, got)
			}
			names, _ := mem.List("data/t-0")
			for _, n := range names {
				if strings.Contains(n, ".swap") || strings.HasSuffix(n, cleanedSuffix) {
					t.Fatalf("%v at operation %d: %s is left", errno, nth, n)
				}
			}
			if err := errors.Join(l.Close(), d.Close()); err != nil {
				t.Fatal(err)
			}
			if done {
				if nth < 10 {
					t.Fatalf("only %d operations were tried", nth)
				}
				break
			}
		}
	}
}
