package storage

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/internal/batch"
)

// TestTimeIsFoundBehindAHeaderThatLies: a client's largest timestamp need not be that of any record.
func TestTimeIsFoundBehindAHeaderThatLies(t *testing.T) {
	l := openDir(t, vfs.NewMem()).OpenLog("t-0", LogConfig{})
	lie := records(t, 10, "a")
	lie[35+7], lie[35+6] = 0xe8, 0x03 // max timestamp 1000
	batch.Seal(lie)
	mustAppend(t, l, lie)
	mustAppend(t, l, records(t, 500, "b"))
	if off, at, err := l.OffsetForTime(400, 2); off != 1 || at != 500 || err != nil {
		t.Errorf("%d %d %v", off, at, err)
	}
}

// TestMaxTimeBelowTheLimit: the latest record is not committed yet; the answer is the latest that is.
func TestMaxTimeBelowTheLimit(t *testing.T) {
	l := openDir(t, vfs.NewMem()).OpenLog("t-0", LogConfig{})
	mustAppend(t, l, records(t, 10, "a"))
	mustAppend(t, l, records(t, 500, "b"))
	if off, at, err := l.MaxTime(1); off != 0 || at != 10 || err != nil {
		t.Errorf("%d %d %v", off, at, err)
	}
}
