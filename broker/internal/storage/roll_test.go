package storage

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestOldRecordsShareASegment appends records whose timestamps are a year old, as a backfill does.
func TestOldRecordsShareASegment(t *testing.T) {
	fs := vfs.NewMem()
	l := openDir(t, fs).OpenLog("t-0", LogConfig{SegmentAge: 7 * 24 * time.Hour})
	old := now.Add(-365 * 24 * time.Hour).UnixMilli()
	for i := range 20 {
		mustAppend(t, l, records(t, old+int64(i), "x"))
	}
	if n := len(l.segments); n != 1 {
		t.Errorf("%d segments for 20 batches within 20 ms of each other", n)
	}
	mustAppend(t, l, records(t, old+(8*24*time.Hour).Milliseconds(), "a week later"))
	if n := len(l.segments); n != 2 {
		t.Errorf("%d segments after a week of record time", n)
	}
}

// TestRolledSegmentsAreMarkedWithoutAnybodyWaiting: where flush.messages leaves syncing to the operating system, a start
// after a crash still reads no more than the last segment again.
func TestRolledSegmentsAreMarkedWithoutAnybodyWaiting(t *testing.T) {
	mem := vfs.NewMem()
	d := openDir(t, mem)
	l := d.OpenLog("t-0", LogConfig{SegmentBytes: 100})
	for i := range 3 {
		mustAppend(t, l, records(t, 1, fmt.Sprintf("v%d", i)))
	}
	d.syncing.Wait()
	for _, base := range []int64{0, 1} {
		if _, err := mem.Stat(segmentPath(mem, "data/t-0", base) + indexSuffix); err != nil {
			t.Error(err)
		}
	}
}
