package storage

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/internal/batch"
)

// forgetIndexes removes the index files of a log that is closed.
func forgetIndexes(t testing.TB, fs vfs.FS) {
	t.Helper()
	names, err := fs.List("data/t-0")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasSuffix(n, indexSuffix) {
			if err := fs.Remove("data/t-0/" + n); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestLastSequenceOutlivesItsRecords: the last batch of a producer stays, without records, so that the log alone tells how
// its sequences go on; those of a producer that is forgotten go.
func TestLastSequenceOutlivesItsRecords(t *testing.T) {
	fs := vfs.NewMem()
	d := openDir(t, fs)
	l := d.OpenLog("t-0", perSegment)
	for id := range int64(2) {
		for seq := range int32(3) {
			raw := keyed(batch.None, 1, put("a", fmt.Sprint(id)))
			batch.SetProducer(raw, id, 4, seq)
			batch.Seal(raw)
			at := now
			if id == 0 {
				at = now.Add(-48 * time.Hour)
			}
			if _, err := l.AppendClient(raw, 0, -1, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustAppend(t, l, keyed(batch.None, 1, put("a", "last")))
	mustAppend(t, l, keyed(batch.None, 1, put("b", "active")))
	l.mu.Lock()
	l.writers.expire(now, 24*time.Hour)
	l.mu.Unlock()
	mustCompact(t, l, eager, now)
	if got := show(t, l); got != "6:a=last 7:b=active" {
		t.Error(got)
	}
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	forgetIndexes(t, fs)
	l = openAgain(t, fs)
	known, err := l.Producers(now)
	if err != nil || len(known) != 1 || known[0].ID != 1 || known[0].Epoch != 4 || known[0].LastSequence() != 2 {
		t.Errorf("%+v %v", known, err)
	}
}

// TestMarkersStayAsLongAsTheyAreNeeded: the marker of an aborted transaction outlives its records by a pass and the time
// for tombstones, and its entry for consumers goes with it.
func TestMarkersStayAsLongAsTheyAreNeeded(t *testing.T) {
	fs := vfs.NewMem()
	l := openDir(t, fs).OpenLog("t-0", perSegment)
	for i, commit := range []bool{false, true} {
		raw := keyed(batch.None, 1, put("a", fmt.Sprint(i)))
		batch.SetProducer(raw, 9, int16(i), 0)
		batch.SetTransactional(raw)
		batch.Seal(raw)
		end, _ := l.EndOffset()
		if _, err := l.AppendClient(raw, 0, end, now); err != nil {
			t.Fatal(err)
		}
		if _, err := l.AppendMarker(batch.Marker{ProducerID: 9, ProducerEpoch: int16(i), Commit: commit}, 1, 0, now); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, l, keyed(batch.None, 1, put("a", "new"), put("b", "new"))) // 4 and 5
	mustAppend(t, l, keyed(batch.None, 1, put("x", "active")))
	l.mu.Lock()
	l.writers.expire(now.AddDate(100, 0, 0), time.Hour)
	l.mu.Unlock()
	for i, c := range []struct {
		at      time.Duration
		dirty   bool // something new makes the pass due
		batches string
		aborted int
	}{
		{0, false, "[1m 3m 4 6]", 1},              // the records have gone
		{0, true, "[1m 3m 4 6 7]", 1},             // the markers were found without any
		{time.Minute, true, "[1m 3m 4 6 7 8]", 1}, // and stay for a while
		{2 * time.Hour, false, "[4 6 7 8]", 0},
	} {
		mustCompact(t, l, eager, now.Add(c.at))
		var got []string
		for _, s := range l.segments {
			_ = s.walk(0, s.x.size, func(h batch.Header, _ int64) bool {
				switch {
				case h.Control():
					got = append(got, fmt.Sprint(h.BaseOffset, "m"))
				case h.Count > 0:
					got = append(got, fmt.Sprint(h.BaseOffset))
				}
				return true
			})
		}
		if aborted, err := l.Aborted(0, 100); err != nil || len(aborted) != c.aborted || fmt.Sprint(got) != c.batches {
			t.Errorf("pass %d: batches %v, want %s, aborted %v %v", i, got, c.batches, aborted, err)
		}
		if i < 2 {
			mustAppend(t, l, keyed(batch.None, 1, put(fmt.Sprint("x", i), "active")))
		}
	}
}

// TestDamageStopsNothingButItself: a segment that cannot be read stays as it is, older values and tombstones included;
// the others are compacted.
func TestDamageStopsNothingButItself(t *testing.T) {
	fs := vfs.NewMem()
	d := openDir(t, fs)
	l := d.OpenLog("t-0", perSegment)
	for i := range 3 {
		mustAppend(t, l, keyed(batch.None, 1, put("a", fmt.Sprint(i))))
	}
	mustAppend(t, l, keyed(batch.None, 1, del("a")))
	mustAppend(t, l, keyed(batch.None, 1, put("b", "x")))
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	size, _ := fs.Stat("data/t-0/00000000000000000001.log")
	flip(t, fs, "data/t-0/00000000000000000001.log", int(size.Size())*8-20)
	d = openDir(t, fs)
	l = d.OpenLog("t-0", perSegment)
	mustCompact(t, l, eager, now)
	mustCompact(t, l, eager, now.Add(2*time.Hour))
	if got := fmt.Sprint(bases(l)); got != "[0 1 2 3 4]" {
		t.Errorf("segments %s", got)
	}
	if first := l.segments[0].size(); first != batch.HeaderLen {
		t.Errorf("%d bytes are left of what could be read", first)
	}
	if info, err := fs.Stat("data/t-0/00000000000000000001.log"); err != nil || info.Size() != size.Size() {
		t.Errorf("the damaged file: %v %v", info, err)
	}
	c, err := l.Read(3, 100, 5, true)
	if err != nil || c.Next != 4 {
		t.Errorf("the tombstone must stay while an older value may: %+v %v", c, err)
	}
	c.Release()
}
