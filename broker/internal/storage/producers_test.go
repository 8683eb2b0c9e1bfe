package storage

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/internal/batch"
	"pgregory.net/rapid"
)

// sentBatch builds a batch of count records as producer id sends it.
func sentBatch(id int64, epoch int16, seq int32, count int, transactional bool) []byte {
	raw := records(nil, 1, slices.Repeat([]string{"v"}, count)...)
	batch.SetProducer(raw, id, epoch, seq)
	if transactional {
		batch.SetTransactional(raw)
	}
	batch.Seal(raw)
	return raw
}

func TestSequences(t *testing.T) {
	type step struct {
		epoch int16
		seq   int32
		count int
		want  int64 // base offset
		err   error
	}
	for name, steps := range map[string][]step{
		"in order, and again as the first time":  {{0, 0, 3, 0, nil}, {0, 3, 2, 3, nil}, {0, 3, 2, 3, nil}, {0, 0, 3, 0, nil}, {0, 5, 1, 5, nil}},
		"a gap":                                  {{0, 0, 1, 0, nil}, {0, 2, 1, 0, ErrSequence}, {0, 1, 1, 1, nil}},
		"a part of what was sent":                {{0, 0, 3, 0, nil}, {0, 1, 2, 0, ErrSequence}},
		"an unknown producer may begin anywhere": {{4, 77, 1, 0, nil}, {4, 78, 1, 1, nil}},
		"a new epoch begins at 0":                {{0, 0, 1, 0, nil}, {1, 1, 1, 0, ErrSequence}, {1, 0, 1, 1, nil}, {0, 1, 1, 0, ErrProducerEpoch}},
		"the sequence wraps":                     {{0, math.MaxInt32 - 1, 2, 0, nil}, {0, 0, 1, 2, nil}},
		"the sequence wraps inside a batch":      {{0, math.MaxInt32, 3, 0, nil}, {0, 2, 1, 3, nil}, {0, math.MaxInt32, 3, 0, nil}},
		"five batches are remembered": {
			{0, 0, 1, 0, nil}, {0, 1, 1, 1, nil}, {0, 2, 1, 2, nil}, {0, 3, 1, 3, nil}, {0, 4, 1, 4, nil}, {0, 5, 1, 5, nil},
			{0, 1, 1, 1, nil}, {0, 0, 1, 0, ErrSequence},
		},
	} {
		l := openDir(t, vfs.NewMem()).OpenLog("t-0", LogConfig{})
		for i, s := range steps {
			a, err := l.AppendClient(sentBatch(7, s.epoch, s.seq, s.count, false), 0, -1, now)
			if !errors.Is(err, s.err) || err == nil && a.BaseOffset != s.want {
				t.Errorf("%s: step %d: offset %d, %v", name, i, a.BaseOffset, err)
			}
		}
	}
}

// TestAnOpenTransactionBelowTheStart: what is gone holds nobody up below where the log begins, but what is left of it does.
func TestAnOpenTransactionBelowTheStart(t *testing.T) {
	l := openDir(t, vfs.NewMem()).OpenLog("t-0", LogConfig{})
	for seq := range int32(4) {
		if _, err := l.AppendClient(sentBatch(1, 0, seq, 1, true), 0, 0, now); err != nil {
			t.Fatal(err)
		}
	}
	for _, start := range []int64{0, 2, 4} {
		if err := l.DeleteBefore(start); err != nil {
			t.Fatal(err)
		}
		if stable, err := l.LastStableOffset(4); err != nil || stable != start {
			t.Errorf("the log begins at %d, its last stable offset is %d (%v)", start, stable, err)
		}
	}
}

// TestTransactions reads as a script: each line is what happens, and what it leads to.
func TestTransactions(t *testing.T) {
	l := openDir(t, vfs.NewMem()).OpenLog("t-0", LogConfig{})
	high := func() int64 { end, _ := l.EndOffset(); return end }
	data := func(id int64, epoch int16, seq int32, since int64) error {
		_, err := l.AppendClient(sentBatch(id, epoch, seq, 1, true), 0, since, now)
		return err
	}
	end := func(id int64, epoch int16, commit bool, coordinator int32, version int16) error {
		_, err := l.AppendMarker(batch.Marker{ProducerID: id, ProducerEpoch: epoch, Commit: commit, CoordinatorEpoch: coordinator}, version, 0, now)
		return err
	}
	expect := func(what string, err, want error, stable int64, aborted string) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("%s: %v, want %v", what, err, want)
		}
		lso, _ := l.LastStableOffset(high())
		list, _ := l.Aborted(0, lso)
		var got []string
		for _, a := range list {
			got = append(got, fmt.Sprintf("%d:%d-%d", a.ProducerID, a.FirstOffset, a.LastOffset))
		}
		if lso != stable || strings.Join(got, " ") != aborted {
			t.Fatalf("%s: last stable offset %d, want %d; aborted %v, want %q", what, lso, stable, got, aborted)
		}
	}
	expect("a batch that no coordinator knows of", data(1, 0, 0, -1), ErrTxnState, 0, "")
	expect("the first batch of 1", data(1, 0, 0, 0), nil, 0, "")
	expect("the first of 2", data(2, 0, 0, 1), nil, 0, "")
	_, err := l.AppendClient(sentBatch(1, 0, 1, 1, false), 0, -1, now)
	expect("one outside the transaction", err, ErrTxnState, 0, "")
	expect("the second of 1", data(1, 0, 1, -1), nil, 0, "")
	expect("1 commits", end(1, 0, true, 0, 1), nil, 1, "")
	expect("2 is aborted", end(2, 0, false, 0, 1), nil, 5, "2:1-4")
	expect("a batch of 2 that was asked about before the abort", data(2, 0, 1, 4), ErrTxnState, 5, "2:1-4")
	expect("the next transaction of 2", data(2, 0, 1, 5), nil, 5, "2:1-4")
	expect("an older coordinator", end(2, 0, true, -1, 1), ErrCoordinatorFenced, 5, "2:1-4")
	expect("an end with the transaction's own epoch, by the new protocol", end(2, 0, true, 0, 2), ErrProducerEpoch, 5, "2:1-4")
	expect("2 commits", end(2, 1, true, 0, 2), nil, 7, "2:1-4")
	expect("the same end again writes nothing", end(2, 1, true, 0, 2), nil, 7, "2:1-4")
	expect("the fenced producer", data(2, 0, 2, 7), ErrProducerEpoch, 7, "2:1-4")
	expect("an end without records here", end(3, 5, false, 0, 2), nil, 8, "2:1-4")
	if in, err := l.InTransaction(2, 1); in || err != nil {
		t.Errorf("2 is in a transaction: %v %v", in, err)
	}
	expect("one more of 2", data(2, 1, 0, 8), nil, 8, "2:1-4")
	if err := end(2, 2, true, 0, 2); err != nil {
		t.Fatal(err)
	}
	if lso, _ := l.LastStableOffset(9); lso != 8 {
		t.Errorf("the transaction counts as decided before its marker is below the high watermark: %d", lso)
	}
}

// TestProducerStateIsAFunctionOfTheLog: after random work and a power loss, what the log knows of producers and transactions,
// from marks and what follows them, is what reading everything again tells (F3).
func TestProducerStateIsAFunctionOfTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewCrashableMem()
		d, err := OpenDir(fs, "data")
		if err != nil {
			t.Fatal(err)
		}
		cfg := LogConfig{SegmentBytes: rapid.Int64Range(100, 2000).Draw(t, "segment")}
		l := d.OpenLog("t-0", cfg)
		type writer struct {
			epoch int16
			seq   int32
			in    bool
		}
		writers := make([]writer, 4)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			i := rapid.IntRange(0, len(writers)-1).Draw(t, "producer")
			w, id := &writers[i], int64(i)
			count := rapid.IntRange(1, 4).Draw(t, "records")
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1: // even producers are transactional
				end, _ := l.EndOffset()
				if _, err := l.AppendClient(sentBatch(id, w.epoch, w.seq, count, i%2 == 0), 0, end, now); err != nil {
					t.Fatal(err)
				}
				w.seq += int32(count)
				w.in = i%2 == 0
			case 2, 3:
				if i%2 == 1 {
					break
				}
				w.epoch++
				m := batch.Marker{ProducerID: id, ProducerEpoch: w.epoch, Commit: rapid.Bool().Draw(t, "commit")}
				if _, err := l.AppendMarker(m, 2, 0, now); err != nil {
					t.Fatal(err)
				}
				w.seq, w.in = 0, false
			case 4:
				if err := l.Sync(); err != nil {
					t.Fatal(err)
				}
			case 5: // a clean stop
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				before := stateOf(t, l)
				l = d.OpenLog("t-0", cfg)
				if after := stateOf(t, l); before != "" && after != before {
					t.Fatalf("before the stop\n%s\nafter\n%s", before, after)
				}
			}
		}
		live := stateOf(t, l)
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		crash := fs.CrashClone(vfs.CrashCloneCfg{})
		d2, err := OpenDir(crash, "data")
		if err != nil {
			t.Fatal(err)
		}
		if got := stateOf(t, d2.OpenLog("t-0", cfg)); got != live {
			t.Fatalf("live\n%s\nafter the power loss\n%s", live, got)
		}
		if err := d2.Close(); err != nil {
			t.Fatal(err)
		}
		names, err := crash.List("data/t-0")
		for _, n := range names {
			if strings.HasSuffix(n, indexSuffix) {
				err = errors.Join(err, crash.Remove("data/t-0/"+n))
			}
		}
		d3, oerr := OpenDir(crash, "data")
		if err := errors.Join(err, oerr); err != nil && len(names) > 0 {
			t.Fatal(err)
		}
		if got := stateOf(t, d3.OpenLog("t-0", cfg)); got != live {
			t.Fatalf("live\n%s\nread again\n%s", live, got)
		}
	})
}

// stateOf prints what the log knows of producers and transactions, without the broker's clock; "" of a closed log.
func stateOf(t *rapid.T, l *Log) string {
	end, err := l.EndOffset()
	if errors.Is(err, ErrClosed) {
		return ""
	}
	lso, err2 := l.LastStableOffset(end)
	producers, err3 := l.Producers(now)
	aborted, err4 := l.Aborted(0, lso)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "end %d stable %d\n", end, lso)
	for _, p := range producers {
		p.LastSeen, p.lastMarker = 0, 0
		for i := p.n; i < remembered; i++ {
			p.sent[i] = sent{}
		}
		fmt.Fprintf(&b, "%+v\n", p)
	}
	for _, a := range aborted {
		fmt.Fprintf(&b, "%+v\n", a)
	}
	return b.String()
}

func TestOldProducersAreForgotten(t *testing.T) {
	l := openDir(t, vfs.NewMem()).OpenLog("t-0", LogConfig{ProducerExpiry: time.Hour})
	for i := range int64(20000) {
		at := now.Add(time.Duration(i) * time.Second)
		if _, err := l.AppendClient(sentBatch(i, 0, 0, 1, i == 0), 0, 0, at); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(l.writers.known); n > 2*3601 {
		t.Errorf("%d producers are remembered", n)
	}
	known, err := l.Producers(now.Add(20000 * time.Second))
	if err != nil || len(known) != 3601 || known[0].ID != 0 {
		t.Errorf("%d producers are known, the first is %d (its transaction is open): %v", len(known), known[0].ID, err)
	}
}
