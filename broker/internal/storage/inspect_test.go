package storage

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/internal/batch"
)

// filled is a directory with one log of two segments, closed: 0000…000.log and the one in which offset 20 is.
func filled(t *testing.T) (fs *vfs.MemFS, first, second string) {
	t.Helper()
	fs = vfs.NewMem()
	d := openDir(t, fs)
	l := d.OpenLog("log", LogConfig{SegmentBytes: 3000})
	for i := range 40 {
		raw := records(t, int64(i), fmt.Sprintf("%d %s", i, strings.Repeat("x", 100)))
		if _, err := l.Append(raw, 0, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	names, err := fs.List("data/log")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, n := range names {
		if base, ok := segmentBase(n); ok && base == 0 {
			first = "data/log/" + n
		} else if ok && second == "" {
			second = "data/log/" + n
		}
	}
	return fs, first, second
}

// change rewrites a file.
func change(t *testing.T, fs vfs.FS, name string, how func([]byte) []byte) {
	t.Helper()
	raw, err := readFile(fs, name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(how(raw)); err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func TestInspectFindsWhatIsWrong(t *testing.T) {
	batchLen := len(records(t, 0, fmt.Sprintf("%d %s", 3, strings.Repeat("x", 100))))
	for name, tc := range map[string]struct {
		damage func(t *testing.T, fs vfs.FS, first, second string)
		want   string
	}{
		"nothing": {func(*testing.T, vfs.FS, string, string) {}, ""},
		"a bit of a durable record": {func(t *testing.T, fs vfs.FS, first, _ string) {
			change(t, fs, first, func(b []byte) []byte { b[3*batchLen+80] ^= 1; return b })
		}, fmt.Sprintf("rot 00000000000000000000.log at %d offset 3", 3*batchLen)},
		"an offset": {func(t *testing.T, fs vfs.FS, first, _ string) {
			change(t, fs, first, func(b []byte) []byte { b[3*batchLen] ^= 1; return b })
		}, fmt.Sprintf("rot 00000000000000000000.log at %d offset 3", 3*batchLen)},
		"a file cut short": {func(t *testing.T, fs vfs.FS, first, _ string) {
			change(t, fs, first, func(b []byte) []byte { return b[:5*batchLen] })
		}, fmt.Sprintf("index 00000000000000000000.index at 0 offset 0\nrot 00000000000000000000.log at %d offset 5", 5*batchLen)},
		"a torn tail": {func(t *testing.T, fs vfs.FS, _, _ string) {
			names, _ := fs.List("data/log")
			var last string
			for _, n := range names {
				if strings.HasSuffix(n, logSuffix) {
					last = max(last, n)
				}
			}
			change(t, fs, "data/log/"+last, func(b []byte) []byte { return append(b, "half a batch"...) })
		}, "torn tail"},
		"zeros at the end": {func(t *testing.T, fs vfs.FS, _, second string) {
			change(t, fs, second, func(b []byte) []byte { return append(b, make([]byte, 100000)...) })
		}, ""},
		"a segment gone": {func(t *testing.T, fs vfs.FS, _, second string) {
			if err := fs.Remove(second); err != nil {
				t.Fatal(err)
			}
		}, "gap log at 0 offset"},
		"the first segment gone": {func(t *testing.T, fs vfs.FS, first, _ string) {
			if err := fs.Remove(first); err != nil {
				t.Fatal(err)
			}
		}, "gap log at 0 offset 0"},
		"a start file damaged": {func(t *testing.T, fs vfs.FS, _, _ string) {
			if err := writeFile(fs, "data/log/start", []byte("nowhere")); err != nil {
				t.Fatal(err)
			}
		}, "start start at 0 offset 0"},
		"an index damaged": {func(t *testing.T, fs vfs.FS, first, _ string) {
			change(t, fs, strings.TrimSuffix(first, logSuffix)+indexSuffix, func(b []byte) []byte { b[9] ^= 4; return b })
		}, "index 00000000000000000000.index at 0 offset 0"},
		"set aside before": {func(t *testing.T, fs vfs.FS, _, _ string) {
			f, err := fs.Create("data/log/00000000000000000000-77.torn", vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
		}, "set aside 00000000000000000000-77.torn at 0 offset 0"},
	} {
		t.Run(name, func(t *testing.T) {
			fs, first, second := filled(t)
			tc.damage(t, fs, first, second)
			in, err := Inspect(fs, "data", true, Visitor{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range in.Faults {
				got = append(got, fmt.Sprintf("%s %s at %d offset %d", f.Kind, f.File, f.Pos, f.Offset))
			}
			if all := strings.Join(got, "\n"); tc.want == "" && all != "" || !strings.HasPrefix(all, tc.want) || strings.Count(all, "\n") > strings.Count(tc.want, "\n") {
				t.Errorf("found:\n%s\nwant:\n%s", all, tc.want)
			}
		})
	}
}

// TestInspectReadsOnAfterRot: what lies behind a damaged range is looked at as well, from the next place in the index on.
func TestInspectReadsOnAfterRot(t *testing.T) {
	fs := vfs.NewMem()
	d := openDir(t, fs)
	l := d.OpenLog("log", LogConfig{})
	for i := range 100 {
		if _, err := l.Append(records(t, int64(i), strings.Repeat("x", 10_000)), 0, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	change(t, fs, "data/log/00000000000000000000.log", func(b []byte) []byte {
		b[5000] ^= 1
		b[800_000] ^= 1
		return b
	})
	read := 0
	in, err := Inspect(fs, "data", true, Visitor{Batch: func(_ string, b []byte) error {
		if !batch.CheckCRC(b) {
			return io.ErrUnexpectedEOF
		}
		read++
		return nil
	}})
	if err != nil || len(in.Faults) != 2 || in.Faults[0].Kind != Rot || in.Faults[1].Kind != Rot || read < 80 || read > 98 {
		t.Errorf("%d batches, %+v (%v)", read, in, err)
	}
}

func TestInspectChangesNothingAndKeepsOut(t *testing.T) {
	fs, _, _ := filled(t)
	before := fs.String()
	if _, err := Inspect(fs, "data", true, Visitor{}); err != nil {
		t.Fatal(err)
	}
	if fs.String() != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, fs.String())
	}
	d := openDir(t, fs)
	defer d.Close()
	if _, err := Inspect(fs, "data", true, Visitor{}); !errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
	if _, err := Inspect(fs, "missing", true, Visitor{}); err == nil {
		t.Fatal("a directory that is not there")
	}
}
