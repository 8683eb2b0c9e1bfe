package replica

import (
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/leatstream/leat/internal/batch"
)

// disk makes nothing durable while it is held, and fails to once it is broken.
type disk struct {
	mu     sync.Mutex
	free   chan struct{} // closed: syncs go on
	broken bool
}

func newDisk() *disk {
	d := &disk{free: make(chan struct{})}
	close(d.free)
	return d
}

func (d *disk) hold() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	free := make(chan struct{})
	d.free = free
	return sync.OnceFunc(func() { close(free) })
}

func (d *disk) breakDown() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = true
}

func (d *disk) fs(fs vfs.FS) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		default:
			return nil
		}
		d.mu.Lock()
		free, broken := d.free, d.broken
		d.mu.Unlock()
		<-free
		if broken {
			return io.ErrUnexpectedEOF
		}
		return nil
	}))
}

// shown is what a consumer gets from offset 0 on.
func shown(t *testing.T, p *Partition, committed bool) Read {
	t.Helper()
	r, err := p.Read(0, 1<<20, true, committed)
	if err != nil {
		t.Fatal(err)
	}
	r.Chunk.Release()
	return r
}

// TestUnsyncedIsNotShown: with acks=1 a record is acknowledged when it is written, with acks=all when it is durable; no
// consumer sees either before.
func TestUnsyncedIsNotShown(t *testing.T) {
	d := newDisk()
	p := manager(t, d.fs(vfs.NewMem())).Open(ID{}, 0, defaults)
	if _, err := produce(p, build(t, batch.None, "before"), -1); err != nil {
		t.Fatal(err)
	}
	news := make(signal, 1)
	p.Subscribe(news, 0)
	release := d.hold()
	defer release()
	if _, err := produce(p, build(t, batch.None, "a"), 1); err != nil {
		t.Fatal(err)
	}
	durable := make(chan error, 1)
	p.Append(build(t, batch.None, "b"), -1, NotAsked, now, func(_ Result, err error) { durable <- err })
	if r := shown(t, p, false); r.HighWatermark != 1 || r.LastStable != 1 || r.Chunk.Next > 1 {
		t.Errorf("shown before it is durable: %+v", r)
	}
	select {
	case err := <-durable:
		t.Errorf("acks=all is answered before it is durable: %v", err)
	case <-news:
		t.Error("there is news before anything is durable")
	default:
	}
	release()
	if err := <-durable; err != nil {
		t.Fatal(err)
	}
	<-news
	if r := shown(t, p, false); r.HighWatermark != 3 || r.Chunk.Next != 3 {
		t.Errorf("%+v", r)
	}
}

// TestWhatTheDiskLosesIsNotShown: after a failed sync nobody is told that a record is there, and no consumer gets it.
func TestWhatTheDiskLosesIsNotShown(t *testing.T) {
	d := newDisk()
	p := manager(t, d.fs(vfs.NewMem())).Open(ID{}, 0, defaults)
	if _, err := produce(p, build(t, batch.None, "before"), -1); err != nil {
		t.Fatal(err)
	}
	release := d.hold()
	d.breakDown()
	if _, err := produce(p, build(t, batch.None, "a"), 1); err != nil {
		t.Fatal(err)
	}
	settled := make(chan struct{})
	go func() {
		p.Settle()
		close(settled)
	}()
	release()
	<-settled
	if hw, _ := p.HighWatermark(); hw != 1 {
		t.Errorf("high watermark %d", hw)
	}
	if _, err := produce(p, build(t, batch.None, "b"), -1); err == nil {
		t.Error("acknowledged")
	}
}

// TestFlushMessagesLeavesItToTheSystem: where the topic does not ask for the disk, what is written is shown at once, and
// the disk is asked after so many records.
func TestFlushMessagesLeavesItToTheSystem(t *testing.T) {
	fs := vfs.NewCrashableMem()
	lazy := defaults
	lazy.Durable, lazy.FlushMessages = false, 3
	p := manager(t, fs).Open(ID{}, 0, lazy)
	news := make(signal, 1)
	p.Subscribe(news, 0)
	for i := range int64(3) {
		acknowledged := false
		if untold := p.Append(build(t, batch.None, "a"), -1, NotAsked, now, func(_ Result, err error) { acknowledged = err == nil }); !untold {
			t.Error("who appended is not asked to tell")
		}
		if r := shown(t, p, false); !acknowledged || r.HighWatermark != i+1 || r.Chunk.Next != i+1 {
			t.Fatalf("%+v, acknowledged: %v", r, acknowledged)
		}
		p.Tell()
		<-news
		if durable, err := p.log.DurableOffset(); i < 2 && (durable != 0 || err != nil) {
			t.Errorf("after %d records %d are durable: %v", i+1, durable, err)
		}
	}
	await(t, "three records are durable", func() bool { n, err := p.log.DurableOffset(); return n == 3 && err == nil })
}

// TestFlushAgeAsksForTheDisk: the same after a time.
func TestFlushAgeAsksForTheDisk(t *testing.T) {
	lazy := defaults
	lazy.Durable, lazy.FlushAge = false, time.Millisecond
	p := manager(t, vfs.NewMem()).Open(ID{}, 0, lazy)
	for i := range int64(2) { // the timer is set again
		if _, err := produce(p, build(t, batch.None, "a"), -1); err != nil {
			t.Fatal(err)
		}
		await(t, "the record is durable", func() bool { n, err := p.log.DurableOffset(); return n == i+1 && err == nil })
	}
}

func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never comes that %s", what)
		}
	}
}

// inTransaction is a batch of producer 7.
func inTransaction(t *testing.T, sequence int32, keys ...string) []byte {
	t.Helper()
	b := build(t, batch.None, keys...)
	batch.SetTransactional(b)
	batch.SetProducer(b, 7, 0, sequence)
	batch.Seal(b)
	return b
}

// TestCommittedReadersSeeDecidedTransactions: nothing from an open one on, and then which were aborted.
func TestCommittedReadersSeeDecidedTransactions(t *testing.T) {
	p := manager(t, vfs.NewMem()).Open(ID{}, 0, defaults)
	appendOpen := func(b []byte) {
		t.Helper()
		since, err := p.EndOffset()
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		p.Append(b, -1, since, now, func(_ Result, err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if _, err := produce(p, build(t, batch.None, "plain"), -1); err != nil {
		t.Fatal(err)
	}
	if p.InTransaction(7, 0) {
		t.Error("in a transaction before its first record")
	}
	appendOpen(inTransaction(t, 0, "a", "b"))
	if !p.InTransaction(7, 0) || p.InTransaction(7, 1) || p.InTransaction(8, 0) {
		t.Error("who is in a transaction")
	}
	if r := shown(t, p, true); r.HighWatermark != 3 || r.LastStable != 1 || r.Chunk.Next != 1 || len(r.Aborted) != 0 {
		t.Errorf("open: %+v", r)
	}
	if r := shown(t, p, false); r.Chunk.Next != 3 || r.Aborted != nil {
		t.Errorf("open, for who reads everything: %+v", r)
	}
	if r, err := p.Read(3, 1<<20, true, true); err != nil || r.Chunk.Len != 0 {
		t.Errorf("between the last stable offset and the end there is nothing yet: %+v, %v", r, err)
	}
	if _, err := p.Read(4, 1<<20, true, true); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("beyond the end: %v", err)
	}
	if off, _, err := p.OffsetForTime(now.UnixMilli(), true); off != 0 || err != nil {
		t.Errorf("by time: %d, %v", off, err)
	}
	if stable, err := p.LastStableOffset(); stable != 1 || err != nil {
		t.Errorf("last stable offset %d, %v", stable, err)
	}
	done := make(chan error, 1)
	p.AppendMarker(Marker{ProducerID: 7}, now, func(_ Result, err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if r := shown(t, p, true); r.LastStable != 4 || r.Chunk.Next != 4 || len(r.Aborted) != 1 || r.Aborted[0].FirstOffset != 1 {
		t.Errorf("aborted: %+v", r)
	}
	if r := shown(t, p, false); r.Aborted != nil {
		t.Errorf("aborted, for who reads everything: %+v", r)
	}
}

// TestRepeatedBatchesAreAnsweredAsTheFirstTime: with its offset and its time, and nothing is counted twice.
func TestRepeatedBatchesAreAnsweredAsTheFirstTime(t *testing.T) {
	cfg := defaults
	cfg.LogAppendTime = true
	p := manager(t, vfs.NewMem()).Open(ID{}, 0, cfg)
	made := func() []byte {
		b := build(t, batch.None, "a", "b")
		batch.SetProducer(b, 7, 0, 0)
		batch.Seal(b)
		return b
	}
	first, err := produce(p, made(), -1)
	if err != nil {
		t.Fatal(err)
	}
	var again Result
	done := make(chan error, 1)
	p.Append(made(), -1, NotAsked, now.Add(time.Hour), func(r Result, err error) { again = r; done <- err })
	if err := <-done; err != nil || again != first {
		t.Errorf("%+v after %+v: %v", again, first, err)
	}
	if n, bytes := p.Traffic().ReceivedRecords.Load(), p.Traffic().ReceivedBytes.Load(); n != 2 || bytes != int64(len(made())) {
		t.Errorf("%d records of %d bytes are counted", n, bytes)
	}
}

// TestRecordsAreDeletedUpToTheHighWatermark: also what was acknowledged without being durable (acks=1), and not more.
func TestRecordsAreDeletedUpToTheHighWatermark(t *testing.T) {
	cfg := defaults
	cfg.Deletable = true
	p := manager(t, vfs.NewMem()).Open(ID{}, 0, cfg)
	for range 3 {
		if _, err := produce(p, build(t, batch.None, "a"), 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, offset := range []int64{-2, 4} {
		if _, err := p.DeleteBefore(offset); !errors.Is(err, ErrOutOfRange) {
			t.Errorf("before %d: %v", offset, err)
		}
	}
	news := make(signal, 1)
	p.Subscribe(news, 0)
	if start, err := p.DeleteBefore(2); start != 2 || err != nil {
		t.Errorf("starts at %d, %v", start, err)
	}
	<-news
	if start, err := p.DeleteBefore(AllCommitted); start != 3 || err != nil {
		t.Errorf("starts at %d, %v", start, err)
	}
	p.Configure(defaults)
	if _, err := p.DeleteBefore(AllCommitted); !errors.Is(err, ErrNotDeletable) {
		t.Errorf("of a topic that is only compacted: %v", err)
	}
}

// TestTheLargestBatchIsTaken: bounds are the last that is allowed.
func TestTheLargestBatchIsTaken(t *testing.T) {
	b := build(t, batch.None, "a")
	exact, tight := defaults, defaults
	exact.MaxMessageBytes = len(b)
	tight.MaxMessageBytes = len(b) - 1
	for _, c := range []struct {
		cfg  Config
		want error
	}{{exact, nil}, {tight, ErrTooLarge}} {
		if _, err := produce(manager(t, vfs.NewMem()).Open(ID{}, 0, c.cfg), b, -1); !errors.Is(err, c.want) {
			t.Errorf("%d bytes where %d are allowed: %v", len(b), c.cfg.MaxMessageBytes, err)
		}
	}
}

// TestWhoUnsubscribedIsNotTold: and who subscribed after there was news is told that there was.
func TestWhoUnsubscribedIsNotTold(t *testing.T) {
	p := manager(t, vfs.NewMem()).Open(ID{}, 0, defaults)
	gone, here := make(signal, 1), make(signal, 1)
	known := shown(t, p, false).News
	p.Subscribe(gone, known)
	p.Unsubscribe(gone)
	if p.Subscribe(here, known) {
		t.Error("news before there was any")
	}
	if _, err := produce(p, build(t, batch.None, "a"), -1); err != nil {
		t.Fatal(err)
	}
	<-here
	if len(gone) != 0 {
		t.Error("told who had gone")
	}
	if !p.Subscribe(gone, known) {
		t.Error("what came before the subscription is missed")
	}
}
