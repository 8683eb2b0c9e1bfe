package storage

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestScrubFindsRot: whatever byte of a closed or active segment turns, Scrub says where, though nobody has read it.
func TestScrubFindsRot(t *testing.T) {
	size := len(records(t, 1, "v0"))
	for segment, base := range []int64{0, 2, 4} {
		name := fmt.Sprintf("data/t-0/%020d.log", base)
		for at := range 2 * size {
			if at%size >= 12 && at%size < 16 {
				continue // the leader epoch, which nothing covers
			}
			fs := threeSegments(t)
			change(t, fs, name, func(b []byte) []byte { b[at] ^= 4; return b })
			d := openDir(t, fs)
			l := d.OpenLog("t-0", LogConfig{SegmentBytes: 150})
			read := 0
			if err := l.Scrub(func(n int) error { read += n; return nil }); err != nil {
				t.Fatal(err)
			}
			where := fmt.Sprintf("offset %d in %s", 2*segment+at/size, name)
			if at%size == 7 {
				continue // the checksum leaves the offset out: one that still rises, inside the segment, is not seen
			}
			if found := d.Damage(); len(found) != 1 || !strings.Contains(found[0].Error(), where) {
				t.Fatalf("byte %d of %s: %v", at, name, found)
			}
			if read < 5*size {
				t.Fatalf("%d bytes read of %d", read, 6*size)
			}
			if err := errors.Join(l.Close(), d.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestScrubReadsTheActiveSegment: what is durable of it by the write-ahead log alone is read as well, what is not is left.
func TestScrubReadsTheActiveSegment(t *testing.T) {
	fs := vfs.NewMem()
	l := openWAL(t, fs, walMemoryBytes).OpenLog("t-0", LogConfig{})
	raw := records(t, 1, "v0")
	mustAppend(t, l, raw)
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, raw)
	for _, turned := range []int{1, 0} {
		change(t, fs, "data/t-0/00000000000000000000.log", func(b []byte) []byte { b[(turned+1)*len(raw)-2] ^= 4; return b })
		if err := l.Scrub(func(int) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if found := l.dir.Damage(); len(found) != 1-turned {
			t.Errorf("batch %d turned: %v", turned, found)
		}
	}
}

// TestScrubEnds when it is told to, and finds nothing where nothing is wrong.
func TestScrubEnds(t *testing.T) {
	d := openDir(t, threeSegments(t))
	l := d.OpenLog("t-0", LogConfig{SegmentBytes: 150})
	mustAppend(t, l, records(t, 1, "not durable yet"))
	if err := l.Scrub(func(int) error { return nil }); err != nil || len(d.Damage()) > 0 {
		t.Error(err, d.Damage())
	}
	stop, calls := errors.New("stop"), 0
	if err := l.Scrub(func(int) error { calls++; return stop }); !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
