package storage

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/leatstream/leat/internal/batch"
)

// served lists the offsets from the start on that can be read; where one cannot, reading goes on behind it, as somebody
// would who has the damage pointed out.
func served(t testing.TB, l *Log) (offsets []int64) {
	t.Helper()
	start, err := l.StartOffset()
	if err != nil {
		t.Fatal(err)
	}
	end, err := l.EndOffset()
	if err != nil {
		t.Fatal(err)
	}
	for at := start; at < end; {
		c, err := l.Read(at, 1, end, true)
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("offset %d: %v", at, err)
		}
		if err != nil {
			at++
			continue
		}
		raw := make([]byte, c.Len)
		err = c.ReadInto(raw)
		c.Release()
		h, headErr := batch.ReadHeader(raw)
		if err != nil || headErr != nil || h.LastOffset() < at {
			t.Fatalf("offset %d: %d bytes %v %v", at, c.Len, err, headErr)
		}
		if batch.CheckCRC(raw) {
			offsets = append(offsets, h.BaseOffset)
		}
		at = h.LastOffset() + 1
	}
	return offsets
}

// threeSegments is a log of six records in three segments that was closed.
func threeSegments(t testing.TB) *vfs.MemFS {
	fs := vfs.NewMem()
	d := openDir(t, fs)
	l := d.OpenLog("t-0", LogConfig{SegmentBytes: 150})
	for i := range 6 {
		mustAppend(t, l, records(t, int64(i), fmt.Sprint("v", i)))
	}
	if got := fmt.Sprint(bases(l)); got != "[0 2 4]" {
		t.Fatal(got)
	}
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	return fs
}

// TestFilesCutShort cuts each segment of a closed log at every byte: what is left is served, nothing else goes, no offset
// is given twice, and the damage is listed.
func TestFilesCutShort(t *testing.T) {
	size := int64(len(records(t, 1, "v0")))
	for segment, base := range []int64{0, 2, 4} {
		name := segmentPath(vfs.NewMem(), "data/t-0", base) + logSuffix
		for cut := range 2 * size {
			fs := threeSegments(t)
			change(t, fs, name, func(b []byte) []byte { return b[:cut] })
			want := []int64{0, 1, 2, 3, 4, 5}
			want = append(want[:2*segment+int(cut/size)], want[2*segment+2:]...)
			next := int64(6)
			for round := range 3 {
				d := openDir(t, fs)
				l := d.OpenLog("t-0", LogConfig{SegmentBytes: 150})
				if got := served(t, l); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("segment %d cut at %d, round %d: %v, want %v", base, cut, round, got, want)
				}
				if len(d.Damage()) == 0 {
					t.Fatalf("segment %d cut at %d, round %d: no damage is listed", base, cut, round)
				}
				if a := mustAppend(t, l, records(t, 1, "more")); a.BaseOffset != next {
					t.Fatalf("segment %d cut at %d, round %d: the next offset is %d", base, cut, round, a.BaseOffset)
				}
				want, next = append(want, next), next+1
				if err := errors.Join(l.Close(), d.Close()); err != nil {
					t.Fatal(err)
				}
			}
			if info, err := fs.Stat(name); err != nil || info.Size() != cut {
				t.Fatalf("segment %d cut at %d: %v %v", base, cut, info, err)
			}
		}
	}
}

// TestMissingFiles takes away one file of a closed log at a time, or puts a stale one in its place.
func TestMissingFiles(t *testing.T) {
	const all = "[0 1 2 3 4 5]"
	for name, want := range map[string]string{
		"00000000000000000000.log":   "[2 3 4 5]",
		"00000000000000000002.log":   "[0 1 4 5]",
		"00000000000000000004.log":   "[0 1 2 3]",
		"00000000000000000000.index": all,
		"00000000000000000002.index": all,
		"../marks":                   all,
	} {
		fs := threeSegments(t)
		if err := fs.Remove(path.Join("data/t-0", name)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			d := openDir(t, fs)
			l := d.OpenLog("t-0", LogConfig{SegmentBytes: 150})
			if got := served(t, l); fmt.Sprint(got) != want {
				t.Errorf("without %s: %v, want %s", name, got, want)
			}
			if end, err := l.EndOffset(); err != nil || end != 6 {
				t.Errorf("without %s: ends at %d (%v)", name, end, err)
			}
			if found := d.Damage(); (len(found) > 0) != (want != all) {
				t.Errorf("without %s: damage %v", name, found)
			}
			if err := errors.Join(l.Close(), d.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	fs := threeSegments(t)
	if err := fs.RemoveAll("data/t-0"); err != nil {
		t.Fatal(err)
	}
	for round := range int64(2) {
		d := openDir(t, fs)
		l := d.OpenLog("t-0", LogConfig{})
		if a := mustAppend(t, l, records(t, 1, "more")); a.BaseOffset != 6+round {
			t.Errorf("without its directory, round %d: %+v", round, a)
		}
		if got := served(t, l); int64(len(got)) != round+1 || got[0] != 6 || len(d.Damage()) == 0 {
			t.Errorf("without its directory, round %d: %v, %v", round, got, d.Damage())
		}
		if err := errors.Join(l.Close(), d.Close()); err != nil {
			t.Fatal(err)
		}
	}
	stale := threeSegments(t)
	early, err := readFile(stale, "data/marks")
	if err != nil {
		t.Fatal(err)
	}
	d := openDir(t, stale)
	l := d.OpenLog("t-0", LogConfig{})
	for i := range 5 {
		mustAppend(t, l, records(t, 1, fmt.Sprint("later", i)))
	}
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	change(t, stale, "data/marks", func([]byte) []byte { return early })
	if got := served(t, openDir(t, stale).OpenLog("t-0", LogConfig{})); len(got) != 11 {
		t.Errorf("with stale marks: %v", got)
	}
}

// TestTornTails cuts what a crash left at every byte of the last two batches, and fills the rest with zeros, noise, or the
// block before once more: the batches before are there, and the log goes on.
func TestTornTails(t *testing.T) {
	var whole []byte
	for i := range 3 {
		b := records(t, int64(i), fmt.Sprint("v", i))
		batch.SetBaseOffset(b, int64(i))
		whole = append(whole, b...)
	}
	one := len(whole) / 3
	for cut := one; cut <= len(whole); cut++ {
		for fill, tail := range map[string][]byte{
			"nothing": nil, "zeros": make([]byte, 300), "noise": bytes.Repeat([]byte{0xa5}, 300),
			"a block again": whole[3 : one+3], "the first batch again": whole[:one],
		} {
			mem := vfs.NewCrashableMem()
			d := openDir(t, mem)
			l := d.OpenLog("t-0", LogConfig{})
			mustAppend(t, l, records(t, 0, "v0"))
			if err := l.Sync(); err != nil {
				t.Fatal(err)
			}
			fs := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
			left := append(bytes.Clone(whole[:cut]), tail...)
			change(t, fs, "data/t-0/00000000000000000000.log", func([]byte) []byte { return bytes.Clone(left) }) // under the race detector the file system changes what it was given
			want := cut / one
			for want < 3 && bytes.HasPrefix(left, whole[:(want+1)*one]) {
				want++ // the zeros were what stood there
			}
			for round := range 2 {
				d := openDir(t, fs)
				l := d.OpenLog("t-0", LogConfig{})
				got, err := readAll(l, 0, 1000)
				if err != nil || len(got) != want+round || got[want-1] != fmt.Sprint("v", want-1) {
					t.Fatalf("cut at %d, then %s, round %d: %v %v", cut, fill, round, got, err)
				}
				if a := mustAppend(t, l, records(t, 1, "more")); a.BaseOffset != int64(want+round) {
					t.Fatalf("cut at %d, then %s: the next offset is %d", cut, fill, a.BaseOffset)
				}
				if err := errors.Join(l.Close(), d.Close()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// TestFullDisks plays random histories on a disk that is full now and then: at any operation that may need room. Reads go
// on, what was there stays there, deletion works, and when there is room again everything does, without a restart.
func TestFullDisks(t *testing.T) {
	for seed := range uint64(40) {
		h := &history{seed: seed, rng: rand.New(rand.NewPCG(seed, 99)), clock: now, small: true}
		if err := h.fullDisk(); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(h.told[max(0, len(h.told)-30):], "\n"))
		}
	}
}

func (h *history) fullDisk() error {
	var mu sync.Mutex
	full := false
	h.fs = errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if !full || strings.Contains(op.Path, walDir) && op.Kind != errorfs.OpCreate { // whose files take their room at once
			return nil
		}
		switch op.Kind {
		case errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpMkdirAll:
			return syscall.ENOSPC
		}
		return nil
	}))
	set := func(on bool) {
		mu.Lock()
		defer mu.Unlock()
		full = on
	}
	h.logs = []*logHistory{{name: "t-0", cfg: LogConfig{SegmentBytes: 400}}, {name: "t-1", compacted: true, cfg: LogConfig{SegmentBytes: 400}}}
	if err := h.open(); err != nil {
		return err
	}
	for range 6 {
		for range 20 {
			if err := h.event(); err != nil {
				return fmt.Errorf("with room: %w", err)
			}
		}
		set(true)
		h.tell("full")
		for range 10 {
			records, writers := h.logs, [][]int{h.logs[0].writer, h.logs[1].writer}
			lens := []int{len(records[0].records), len(records[1].records)}
			if err := h.event(); err != nil {
				if !errors.Is(err, syscall.ENOSPC) {
					return fmt.Errorf("on a full disk: %w", err)
				}
				for i, l := range h.logs { // it was not appended
					l.records, l.writer = l.records[:lens[i]], writers[i]
				}
			}
			if err := h.check(); err != nil {
				return fmt.Errorf("on a full disk: %w", err)
			}
		}
		for i, l := range h.logs { // to delete needs no room
			if before := bases(l.log); i == 0 && len(before) > 2 {
				// The start cannot be written, however many segments go; that they go is what counts.
				if err := l.log.DeleteBefore(before[2]); err != nil && bases(l.log)[0] == before[0] {
					return fmt.Errorf("deletion on a full disk: %w", err)
				}
			}
		}
		set(false)
		h.tell("room")
	}
	if err := h.check(); err != nil {
		return err
	}
	return h.close()
}
