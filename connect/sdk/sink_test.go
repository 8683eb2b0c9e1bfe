package sdk

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/internal/batch"
)

// frame is n records from offset base on.
func frame(t *testing.T, base int64, n int) []byte {
	t.Helper()
	b := batch.NewBuilder(batch.None)
	for range n {
		b.Append(1, nil, []byte("v"), nil)
	}
	out, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	batch.SetBaseOffset(out, base)
	return out
}

func (h sinkHost) batch(partition int32, base int64, n int, rewind bool) {
	h.send(&proto.SinkMessage{Body: &proto.SinkMessage_Batch{Batch: &proto.SinkBatch{
		From: &proto.TopicPartition{Topic: "t", Partition: partition}, FirstOffset: base, NextOffset: base + int64(n), Frame: frame(h.t, base, n), Rewind: rewind,
	}}})
}

// answer skips credit.
func (h sinkHost) answer() *proto.SinkControl {
	h.t.Helper()
	for {
		if m := h.next(); m.GetCredit() == nil {
			return m
		}
	}
}

func (h sinkHost) stop() {
	h.t.Helper()
	h.send(&proto.SinkMessage{Body: &proto.SinkMessage_Stop{Stop: &proto.Stop{}}})
	if m := h.answer(); m.GetDrained() == nil {
		h.t.Fatalf("not drained: %v", m)
	}
	h.close()
}

func TestOneFlushForAllThatWaits(t *testing.T) {
	w := &flushingWriter{recordingWriter{block: make(chan struct{})}}
	h := startSink(t, w)
	h.assign(0)
	h.assign(1)
	for i := range int64(10) {
		h.batch(int32(i%2), i, 1, false)
	}
	for range 10 {
		w.block <- struct{}{}
	}
	seen := map[int32]int64{}
	for seen[0] < 9 || seen[1] < 10 {
		a := h.answer().GetAck()
		if a == nil || a.GetNextOffset() <= seen[a.GetFrom().GetPartition()] {
			t.Fatalf("%v after %v", a, seen)
		}
		seen[a.GetFrom().GetPartition()] = a.GetNextOffset()
	}
	w.mu.Lock()
	if w.flushes >= 10 || w.flushes == 0 {
		t.Errorf("%d flushes for 10 batches", w.flushes)
	}
	w.mu.Unlock()
	close(w.block)
	h.stop()
}

func TestTransientStopsThePartitionUntilTheHostRewinds(t *testing.T) {
	failing := true
	w := &recordingWriter{}
	w.fail = func(r *Record) error {
		switch {
		case r.Offset == 1:
			return Poison("bad", errors.New("one of them"))
		case r.Offset == 2 && failing:
			return TransientAfter(errors.New("busy"), 3*time.Second)
		case r.Offset == 3:
			return ErrDuplicate
		}
		return nil
	}
	h := startSink(t, w)
	h.assign(0)
	h.batch(0, 0, 4, false)
	a := h.answer().GetAck()
	if v := a.GetVerdicts(); a.GetNextOffset() != 2 || len(v) != 2 || v[0].GetOffset() != 1 || v[0].GetClass() != proto.Class_CLASS_POISON ||
		v[1].GetOffset() != 2 || v[1].GetClass() != proto.Class_CLASS_TRANSIENT || v[1].GetRetryAfterMs() != 3000 {
		t.Fatalf("%v", a)
	}
	h.batch(0, 4, 2, false) // was under way: dropped
	w.mu.Lock()
	failing = false
	w.mu.Unlock()
	h.batch(0, 2, 4, true)
	a = h.answer().GetAck()
	if v := a.GetVerdicts(); a.GetNextOffset() != 6 || len(v) != 1 || v[0].GetClass() != proto.Class_CLASS_DUPLICATE {
		t.Fatalf("%v", a)
	}
	if want := []int64{0, 2, 4, 5}; !slices.Equal(w.offsets, want) {
		t.Errorf("written %v, want %v", w.offsets, want)
	}
	h.stop()
}

type failingWriter struct{ err error }

func (w failingWriter) Write(context.Context, *Batch) error { return w.err }
func (w failingWriter) Close() error                        { return nil }

func TestWholeBatchFailures(t *testing.T) {
	for _, c := range []struct {
		err   error
		class proto.Class
	}{
		{errors.New("down"), proto.Class_CLASS_TRANSIENT},
		{Fatal("x", errors.New("no table"), "make one"), proto.Class_CLASS_FATAL},
		{Poison("x", errors.New("which?")), proto.Class_CLASS_FATAL},
	} {
		h := startSink(t, failingWriter{c.err})
		h.assign(0)
		h.batch(0, 7, 3, false)
		a := h.answer().GetAck()
		if v := a.GetVerdicts(); a.GetNextOffset() != 7 || len(v) != 1 || v[0].GetOffset() != 7 || v[0].GetClass() != c.class {
			t.Errorf("%v: %v", c.err, a)
		}
		h.stop()
	}
}

type resumingWriter struct{ recordingWriter }

func (w *resumingWriter) Resume(context.Context, string, int32) (int64, error) { return 42, nil }

func TestCreditComesBackAndResumeIsAsked(t *testing.T) {
	w := &resumingWriter{}
	h := startSink(t, w)
	if next := h.assign(0); next != 42 {
		t.Errorf("resume at %d", next)
	}
	f := frame(t, 0, 3)
	h.batch(0, 42, 3, false)
	h.batch(1, 0, 3, false) // not ours: costs and comes back, without an ack
	var bytes int64
	batches := int32(0)
	for batches < 2 {
		if c := h.next().GetCredit(); c != nil {
			bytes, batches = bytes+c.GetBytes(), batches+c.GetBatches()
		}
	}
	if bytes != int64(2*len(f)) {
		t.Errorf("%d bytes came back of %d", bytes, 2*len(f))
	}
	h.stop()
}

func TestDrainDoesNotWaitForAStuckWriteForEver(t *testing.T) {
	w := &recordingWriter{block: make(chan struct{})}
	h := startSink(t, w)
	h.assign(0)
	h.batch(0, 0, 1, false)
	h.send(&proto.SinkMessage{Body: &proto.SinkMessage_Stop{Stop: &proto.Stop{DeadlineMs: 40}}})
	if f := h.answer().GetFailure(); f.GetClass() != proto.Class_CLASS_TRANSIENT {
		t.Errorf("%v", f)
	}
	h.close()
}

func TestControlBatchesAreSkipped(t *testing.T) {
	control := frame(t, 5, 1)
	control[22] |= 1 << 5 // attributes: control
	batch.Seal(control)
	w := &recordingWriter{}
	h := startSink(t, w)
	h.assign(0)
	h.send(&proto.SinkMessage{Body: &proto.SinkMessage_Batch{Batch: &proto.SinkBatch{
		From: &proto.TopicPartition{Topic: "t"}, FirstOffset: 3, NextOffset: 7, Frame: slices.Concat(frame(t, 2, 3), control, frame(t, 6, 2)),
	}}})
	if a := h.answer().GetAck(); a.GetNextOffset() != 7 {
		t.Errorf("%v", a)
	}
	if want := []int64{3, 4, 6}; !slices.Equal(w.offsets, want) {
		t.Errorf("written %v, want %v", w.offsets, want)
	}
	h.stop()
}
