package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/storage"
	"github.com/leatstream/leat/internal/batch"
)

// LogName is the metadata log's name in its directory.
const LogName = "cluster-metadata"

// leaderEpoch is the term of a quorum that has only ever had one leader.
const leaderEpoch = 0

// readBytes is how much of the log is replayed at a time.
const readBytes = 1 << 20

// ErrClosed says that the quorum has stopped.
var ErrClosed = errors.New("the metadata log is closed")

// Config says when a snapshot is taken.
type Config struct {
	SnapshotBytes int64         // of the log since the last one
	SnapshotEvery time.Duration // since the last one, when there is something new; 0: that does not matter
	Logger        *slog.Logger  // is told of those that fail
}

// Local is a quorum of one: an entry is committed when it is durable here.
type Local struct {
	cfg Config
	log *storage.Log

	mu      sync.Mutex
	machine meta.Machine
	broken  error
	build   *batch.Builder
	buf     []byte

	snapshot   int64     // offset of the last one that is known to be whole
	since      int64     // bytes of the log after the last one that was begun
	began      time.Time // when the first of them came
	writing    bool
	background sync.WaitGroup
}

// segmentsPerSnapshot bounds what lies in the log and is in the former snapshot: segments go whole.
const segmentsPerSnapshot = 4

// NewLocal keeps the metadata log in dir.
func NewLocal(dir *storage.Dir, cfg Config) *Local {
	log := dir.OpenLog(LogName, storage.LogConfig{SegmentBytes: max(cfg.SnapshotBytes/segmentsPerSnapshot, 1)})
	return &Local{cfg: cfg, log: log, build: batch.NewBuilder(batch.None), snapshot: storage.NoSnapshot}
}

// Start restores the newest snapshot and applies what came after it. m is what Propose applies to from then on.
func (q *Local) Start(m meta.Machine) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.machine = m
	end, err := q.log.EndOffset()
	if err != nil {
		return fmt.Errorf("open the metadata log: %w", err)
	}
	start, err := q.log.StartOffset()
	if err != nil {
		return fmt.Errorf("open the metadata log: %w", err)
	}
	// What is not known to be durable may be what a process left in the page cache: nothing is built on it before it is.
	if err := q.log.Sync(); err != nil {
		return fmt.Errorf("sync the metadata log: %w", err)
	}
	if err := q.restore(); err != nil {
		return fmt.Errorf("read a snapshot of the metadata log: %w", err)
	}
	at := max(q.snapshot, 0)
	if at < start || at > end {
		return fmt.Errorf("%w: the metadata log has the offsets %d to %d, and the snapshot before it ends at %d", storage.ErrDamaged, start, end, at)
	}
	for at < end {
		if at, err = q.replay(at, end); err != nil {
			return fmt.Errorf("replay the metadata log at %d: %w", at, err)
		}
	}
	q.began = time.Now()
	return nil
}

// restore takes the newest snapshot that is whole.
func (q *Local) restore() error {
	all, err := q.log.Snapshots()
	if err != nil {
		return err
	}
	for _, offset := range all {
		records, err := q.log.ReadSnapshot(offset)
		if errors.Is(err, storage.ErrDamaged) {
			q.cfg.Logger.Error("a snapshot of the metadata log is damaged; the one before it is used", "error", err)
			continue
		}
		if err != nil {
			return err
		}
		q.snapshot = offset
		return q.machine.Restore(offset, records)
	}
	return nil
}

// replay applies the next batches and returns the offset after them.
func (q *Local) replay(at, end int64) (int64, error) {
	chunk, err := q.log.Read(at, readBytes, end, true)
	if err != nil {
		return at, err
	}
	defer chunk.Release()
	b := make([]byte, chunk.Len)
	if err := chunk.ReadInto(b); err != nil {
		return at, err
	}
	from := at
	for len(b) > 0 {
		h, err := batch.ReadHeader(b)
		if err != nil || h.Size() > len(b) {
			break // cut off by the size of the read
		}
		if !batch.CheckCRC(b[:h.Size()]) || h.BaseOffset != at { // the checksum leaves the offset out
			return at, fmt.Errorf("%w: %w", storage.ErrDamaged, batch.ErrCorrupt)
		}
		entry, err := Entry(b[:h.Size()])
		if err == nil {
			err = q.machine.Apply(entry)
		}
		if err != nil {
			return at, err
		}
		q.since += int64(h.Size())
		at, b = h.LastOffset()+1, b[h.Size():]
	}
	if at == from {
		return at, fmt.Errorf("%w: %w", storage.ErrDamaged, batch.ErrShort)
	}
	return at, nil
}

// Entry is what a batch of the metadata log holds.
func Entry(b []byte) ([][]byte, error) {
	var entry [][]byte
	var scratch batch.Scratch
	err := batch.Walk(b, batch.Limits{}, &scratch, func(r *batch.Record) error {
		entry = append(entry, append([]byte(nil), r.Value...))
		return nil
	})
	return entry, err
}

// Propose writes entry as one batch, waits until it is durable, and applies it. When ctx ends first, whether the entry
// is committed is decided all the same: the wait for a disk has no way out that would keep the order.
func (q *Local) Propose(ctx context.Context, entry [][]byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := errors.Join(ctx.Err(), q.broken); err != nil {
		return err
	}
	now := time.Now()
	q.build.Reset()
	for _, record := range entry {
		q.build.Append(now.UnixMilli(), nil, record, nil)
	}
	var err error
	if q.buf, err = q.build.Build(q.buf[:0]); err != nil {
		return err
	}
	at, err := q.log.Append(q.buf, leaderEpoch, now)
	if err != nil {
		return err
	}
	durable := make(chan error, 1)
	q.log.WhenDurable(at.NextOffset, func(err error) { durable <- err })
	if err := <-durable; err != nil {
		q.broken = err // the entry may or may not be there after a restart: nothing can follow it
		return err
	}
	if err := q.machine.Apply(entry); err != nil {
		q.broken = err
		return err
	}
	if q.since == 0 {
		q.began = now
	}
	q.since += int64(len(q.buf))
	q.snapshotIfDue(at.NextOffset)
	return nil
}

// snapshotIfDue has a snapshot of what is before offset written, beside whatever comes. One that fails is tried again when
// the next is due. The caller holds the lock, and has applied what is before offset.
func (q *Local) snapshotIfDue(offset int64) {
	large := q.since >= q.cfg.SnapshotBytes
	old := q.cfg.SnapshotEvery > 0 && time.Since(q.began) >= q.cfg.SnapshotEvery
	if q.writing || !large && !old {
		return
	}
	q.writing, q.since = true, 0
	former, records := q.snapshot, q.machine.Snapshot()
	q.background.Go(func() {
		err := q.log.WriteSnapshot(offset, former, records)
		if err != nil {
			q.cfg.Logger.Error("a snapshot of the metadata log cannot be written; the log stays as it is until the next one", "error", err)
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.writing = false; err == nil {
			q.snapshot = offset
		}
	})
}

// Close waits for a snapshot under way, and syncs and closes the log.
func (q *Local) Close() error {
	q.mu.Lock()
	q.broken = ErrClosed
	q.mu.Unlock()
	q.background.Wait()
	return q.log.Close()
}
