package sdk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/internal/batch"
)

func emit(t *Task, from, to int) error {
	claim, err := OpenClaim[int](t, "c")
	if err != nil {
		return err
	}
	for i := from; i < to; i++ {
		if err := claim.Emit(Record{Value: fmt.Append(nil, i)}, i+1); err != nil {
			return err
		}
	}
	return nil
}

func TestNothingIsSentWithoutCredit(t *testing.T) {
	h := startSource(t, func(_ context.Context, t *Task) error {
		t.linger = time.Hour // batches are cut by their size alone
		return emit(t, 0, 2500)
	})
	h.nothing()
	h.credit(100, 0)
	h.nothing()
	h.credit(0, 1)
	b := h.batch() // larger than the bytes that were left: it passes once
	if b.GetSeq() != 1 || string(b.GetPosition()) != fmt.Sprint(b.GetCount()) || b.GetCount() > maxBatchRecords {
		t.Fatalf("%d records, seq %d, position %s", b.GetCount(), b.GetSeq(), b.GetPosition())
	}
	h.credit(0, 5)
	h.nothing() // bytes are overdrawn
	h.credit(b.Cost(), 0)
	total := b.GetCount()
	for seq := uint64(2); total < 2500; seq++ {
		b = h.batch()
		total += b.GetCount()
		if b.GetSeq() != seq || string(b.GetPosition()) != fmt.Sprint(total) {
			t.Fatalf("seq %d, position %s after %d records", b.GetSeq(), b.GetPosition(), total)
		}
		h.credit(1<<20, 1)
	}
	if h.next().GetDone() == nil {
		t.Fatal("not done")
	}
	h.stop()
	if h.next().GetDrained() == nil {
		t.Fatal("not drained")
	}
	h.close()
}

func TestCreditIsNeverOverdrawnByMoreThanABatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCredit()
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // take gives up at once instead of waiting
		var bytes, batches int64
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "give") {
				b, n := rapid.Int64Range(0, 100).Draw(t, "bytes"), rapid.Int64Range(0, 3).Draw(t, "batches")
				c.give(b, n)
				bytes, batches = bytes+b, batches+n
				continue
			}
			cost := rapid.Int64Range(0, 200).Draw(t, "cost")
			err := c.take(ctx, cost)
			if allowed := bytes > 0 && batches > 0; allowed != (err == nil) {
				t.Fatalf("take with %d bytes and %d batches: %v", bytes, batches, err)
			}
			if err == nil {
				bytes, batches = bytes-cost, batches-1
			}
		}
	})
}

func TestDeliverReturnsWhenALaterBatchIsAcknowledged(t *testing.T) {
	delivered := make(chan int, 3)
	h := startSource(t, func(ctx context.Context, t *Task) error {
		claim, err := OpenClaim[int](t, "c")
		if err != nil {
			return err
		}
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				if claim.Deliver(ctx, Record{Value: []byte("x")}, i) == nil {
					delivered <- i
				}
			})
		}
		wg.Wait()
		return nil
	})
	h.credit(1<<20, 10)
	last, count := uint64(0), 0
	for count < 3 {
		b := h.batch()
		last, count = b.GetSeq(), count+int(b.GetCount())
	}
	if len(delivered) != 0 {
		t.Fatal("delivered before the ack")
	}
	h.ack("c", last) // cumulative: it stands for those before
	for range 3 {
		<-delivered
	}
	if h.next().GetDone() == nil {
		t.Fatal("not done")
	}
	h.stop()
	h.next()
	h.close()
}

func TestBatchIsSentAfterTheLinger(t *testing.T) {
	h := startSource(t, func(ctx context.Context, t *Task) error {
		if err := emit(t, 0, 1); err != nil {
			return err
		}
		<-ctx.Done()
		return ErrStopping
	})
	h.credit(1<<20, 10)
	if b := h.batch(); b.GetCount() != 1 {
		t.Fatalf("%d records", b.GetCount())
	}
	h.stop()
	if h.next().GetDrained() == nil {
		t.Fatal("not drained")
	}
	h.close()
}

func TestStopDrainsWhatWasEmittedAndRefusesMore(t *testing.T) {
	after, emitted := make(chan error, 1), make(chan struct{})
	h := startSource(t, func(ctx context.Context, t *Task) error {
		t.linger = time.Hour
		if err := emit(t, 0, 10); err != nil {
			return err
		}
		close(emitted)
		<-ctx.Done()
		after <- emit(t, 10, 11)
		return ctx.Err()
	})
	<-emitted
	h.stop() // with no credit yet: the batch waits for it
	if err := <-after; !errors.Is(err, ErrStopping) {
		t.Errorf("Emit after the stop: %v", err)
	}
	h.credit(1<<20, 1)
	if b := h.batch(); b.GetCount() != 10 || string(b.GetPosition()) != "10" {
		t.Errorf("%d records, position %s", b.GetCount(), b.GetPosition())
	}
	if h.next().GetDrained() == nil {
		t.Error("not drained")
	}
	h.close()
}

func TestCaughtUpIsSaidOnceAndAfterTheRecords(t *testing.T) {
	h := startSource(t, func(_ context.Context, t *Task) error {
		t.linger = time.Hour
		for round := range 2 {
			if err := emit(t, round, round+1); err != nil {
				return err
			}
			for range 3 {
				if err := t.CaughtUp(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	h.credit(1<<20, 10)
	for range 2 {
		h.batch()
		if h.next().GetCaughtUp() == nil {
			t.Fatal("not caught up")
		}
	}
	if h.next().GetDone() == nil {
		t.Fatal("not done")
	}
	h.stop()
	h.next()
	h.close()
}

func TestRejectionsSkipsAndReleases(t *testing.T) {
	h := startSource(t, func(_ context.Context, t *Task) error {
		t.linger = time.Hour
		claim, err := OpenClaim[string](t, "c")
		if err != nil {
			return err
		}
		return errors.Join(
			claim.Reject(Rejection{Value: make([]byte, 1<<20), Origin: "x:1", Code: "bad", Message: "why"}, "1"),
			claim.Emit(Record{Value: make([]byte, MaxRecord+1)}, "2"),
			claim.Skip("3"), claim.Flush(), t.Release("c"),
		)
	})
	h.credit(1<<20, 10)
	b := h.batch()
	if b.GetCount() != 0 || len(b.GetFrame()) != 0 || string(b.GetPosition()) != `"3"` || len(b.GetRejected()) != 2 {
		t.Fatalf("%v", b.GetCount())
	}
	if r := b.GetRejected()[0]; len(r.GetValue()) != proto.MaxRejected || r.GetOrigin() != "x:1" || r.GetCode() != "bad" {
		t.Errorf("%s %s %d", r.GetOrigin(), r.GetCode(), len(r.GetValue()))
	}
	if r := b.GetRejected()[1]; r.GetCode() != "sdk.record-too-large" {
		t.Errorf("%s", r.GetCode())
	}
	if h.next().GetRelease().GetClaim() != "c" {
		t.Error("not released")
	}
	if h.next().GetDone() == nil {
		t.Error("not done")
	}
	h.stop()
	h.next()
	h.close()
}

func TestLargeRecordTravelsAlone(t *testing.T) {
	h := startSource(t, func(_ context.Context, t *Task) error {
		t.linger = time.Hour
		claim, err := OpenClaim[int](t, "c")
		if err != nil {
			return err
		}
		return errors.Join(
			claim.Emit(Record{Value: make([]byte, 100)}, 1),
			claim.Emit(Record{Value: make([]byte, maxBatchBytes)}, 2),
			claim.Emit(Record{Value: make([]byte, 100)}, 3),
		)
	})
	h.credit(1<<30, 10)
	for want := 1; want <= 3; want++ {
		if b := h.batch(); b.GetCount() != 1 || string(b.GetPosition()) != fmt.Sprint(want) {
			t.Errorf("batch %d: %d records, position %s", want, b.GetCount(), b.GetPosition())
		}
	}
	h.next()
	h.stop()
	h.next()
	h.close()
}

func TestErrorsAndPanicsAreFailures(t *testing.T) {
	for name, c := range map[string]struct {
		run   func() error
		class proto.Class
		says  string
	}{
		"plain":     {func() error { return errors.New("no route") }, proto.Class_CLASS_TRANSIENT, "no route"},
		"transient": {func() error { return TransientAfter(errors.New("busy"), time.Minute) }, proto.Class_CLASS_TRANSIENT, "busy"},
		"fatal":     {func() error { return fmt.Errorf("table: %w", Fatal("x.y", errors.New("gone"), "make it")) }, proto.Class_CLASS_FATAL, "table: gone"},
		"poison":    {func() error { return Poison("p", errors.New("one record")) }, proto.Class_CLASS_TRANSIENT, "one record"},
		"panic":     {func() error { panic("oh") }, proto.Class_CLASS_TRANSIENT, "panicked: oh"},
	} {
		t.Run(name, func(t *testing.T) {
			h := startSource(t, func(context.Context, *Task) error { return c.run() })
			f := h.next().GetFailure()
			if f.GetClass() != c.class || !strings.Contains(f.GetMessage(), c.says) {
				t.Errorf("%v", f)
			}
			h.close()
		})
	}
}

func TestFramesAreRecordBatches(t *testing.T) {
	h := startSource(t, func(_ context.Context, t *Task) error {
		t.linger = time.Hour
		claim, err := OpenClaim[int](t, "c")
		if err != nil {
			return err
		}
		return errors.Join(
			claim.Emit(Record{Key: []byte("k"), Value: nil, Timestamp: 5, Headers: []Header{{Key: "h", Value: nil}}}, 1),
			claim.Emit(Record{Key: nil, Value: []byte{}, Timestamp: 3}, 2),
		)
	})
	h.credit(1<<20, 10)
	frame := h.batch().GetFrame()
	head, err := batch.ReadHeader(frame)
	if err != nil || !batch.CheckCRC(frame) || head.Count != 2 || head.BaseOffset != 0 || head.ProducerID != -1 || head.MaxTimestamp != 5 {
		t.Fatalf("%+v %v", head, err)
	}
	h.next()
	h.stop()
	h.next()
	h.close()
}

func TestEmitAllocatesNothingPerRecord(t *testing.T) {
	task := newTask(&proto.OpenRequest{})
	task.running, task.stream = t.Context(), t.Context()
	task.send = func(*proto.SourceMessage) error { return nil }
	task.credit.give(1<<60, 1<<60)
	claim, err := OpenClaim[int64](task, "c")
	if err != nil {
		t.Fatal(err)
	}
	r, n := Record{Key: []byte("key"), Value: make([]byte, 100), Timestamp: 1}, int64(0)
	perThousand := testing.AllocsPerRun(20, func() {
		for range 1000 {
			n++
			if err := claim.Emit(r, n); err != nil {
				t.Fatal(err)
			}
		}
	})
	if perThousand > 100 {
		t.Errorf("%v allocations for 1000 records", perThousand)
	}
}
