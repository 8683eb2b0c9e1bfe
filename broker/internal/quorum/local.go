package quorum

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

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

// Local is a quorum of one: an entry is committed when it is durable here.
type Local struct {
	log *storage.Log

	mu     sync.Mutex
	apply  func(entry [][]byte) error
	broken error
	build  *batch.Builder
	buf    []byte
}

// NewLocal keeps the metadata log in dir.
func NewLocal(dir *storage.Dir) *Local {
	return &Local{log: dir.OpenLog(LogName, storage.LogConfig{}), build: batch.NewBuilder(batch.None)}
}

// Start replays what is there to apply, which Propose calls from then on.
func (q *Local) Start(apply func(entry [][]byte) error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.apply = apply
	end, err := q.log.EndOffset()
	if err != nil {
		return fmt.Errorf("open the metadata log: %w", err)
	}
	at, err := q.log.StartOffset()
	if err != nil {
		return fmt.Errorf("open the metadata log: %w", err)
	}
	// What is not known to be durable may be what a process left in the page cache: nothing is built on it before it is.
	if err := q.log.Sync(); err != nil {
		return fmt.Errorf("sync the metadata log: %w", err)
	}
	for at < end {
		if at, err = q.replay(at, end); err != nil {
			return fmt.Errorf("replay the metadata log at %d: %w", at, err)
		}
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
			return at, batch.ErrCorrupt
		}
		if err := q.applyBatch(b[:h.Size()]); err != nil {
			return at, err
		}
		at, b = h.LastOffset()+1, b[h.Size():]
	}
	if at == from {
		return at, batch.ErrShort
	}
	return at, nil
}

func (q *Local) applyBatch(b []byte) error {
	var entry [][]byte
	var scratch batch.Scratch
	err := batch.Walk(b, batch.Limits{}, &scratch, func(r *batch.Record) error {
		entry = append(entry, append([]byte(nil), r.Value...))
		return nil
	})
	if err != nil {
		return err
	}
	return q.apply(entry)
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
	if err := q.apply(entry); err != nil {
		q.broken = err
		return err
	}
	return nil
}

// Close syncs and closes the log.
func (q *Local) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.broken = ErrClosed
	return q.log.Close()
}
