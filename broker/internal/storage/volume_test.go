package storage

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestSizeIsToldWithoutLoading: closed and opened again, a log is as large as before, and stays unread.
func TestSizeIsToldWithoutLoading(t *testing.T) {
	mem := vfs.NewMem()
	d := openDir(t, mem)
	l := d.OpenLog("t-0", LogConfig{SegmentBytes: 100})
	if size, err := l.Size(); size != 0 || err != nil {
		t.Errorf("before the first record: %d %v", size, err)
	}
	want := 0
	for i := range 4 {
		b := records(t, 1, fmt.Sprintf("v%d", i))
		mustAppend(t, l, b)
		want += len(b)
	}
	if size, err := l.Size(); size != int64(want) || err != nil {
		t.Errorf("%d %v, not %d", size, err, want)
	}
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	d = openDir(t, mem)
	l = d.OpenLog("t-0", LogConfig{SegmentBytes: 100})
	if size, err := l.Size(); size != int64(want) || err != nil || l.loaded {
		t.Errorf("after: %d %v, not %d; loaded: %v", size, err, want, l.loaded)
	}
}

func TestVolumeOfADisk(t *testing.T) {
	d, err := OpenDir(vfs.Default, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if v := d.Volume(); v.Total <= 0 || v.Usable <= 0 || v.Usable > v.Total || v.Offline != nil {
		t.Errorf("%+v", v)
	}
}
