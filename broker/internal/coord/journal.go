package coord

import (
	"fmt"
	"sync"

	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/broker/internal/storage"
	"github.com/leatstream/leat/internal/batch"
)

// loadBytes is how much of the log is read at once.
const loadBytes = 1 << 20

// record is a key and a value for an internal topic; a nil value removes the key.
type record struct{ key, value []byte }

// journal is one partition of an internal topic: what a shard writes in the order of its events, and reads back once.
// Who appends holds a lock of his own over it.
type journal struct {
	*replica.Partition
	cfg     *Config
	topic   string
	builder *batch.Builder
}

func newJournal(cfg *Config, topic string, p *replica.Partition) journal {
	return journal{Partition: p, cfg: cfg, topic: topic, builder: batch.NewBuilder(batch.None)}
}

// append places records as one batch, changed by stamp if there is one. done is called once, when they are durable or
// could not be written, and never before settle, which the caller calls after giving back the lock. err tells that they
// have no place in the log.
func (j *journal) append(records []record, stamp func(b []byte), done func(base int64, err error)) (settle func(), err error) {
	now := j.cfg.Clock()
	j.builder.Reset()
	for _, r := range records {
		j.builder.Append(now.UnixMilli(), r.key, r.value, nil)
	}
	raw, err := j.builder.Build(nil)
	if err != nil {
		return func() { done(-1, err) }, err
	}
	if stamp != nil {
		stamp(raw)
	}
	o := &outcome{done: done}
	j.AppendOwn(raw, now, func(res replica.Result, err error) { o.answer(res.BaseOffset, err) })
	return o.settle, o.failed()
}

// outcome holds back what became of an append until who appended has given back the lock.
type outcome struct {
	done func(base int64, err error)

	mu                sync.Mutex
	settled, answered bool
	base              int64
	err               error
}

func (o *outcome) answer(base int64, err error) {
	o.mu.Lock()
	o.base, o.err, o.answered = base, err, true
	now := o.settled
	o.mu.Unlock()
	if now {
		o.done(base, err)
	}
}

func (o *outcome) settle() {
	o.mu.Lock()
	o.settled = true
	now := o.answered
	o.mu.Unlock()
	if now {
		o.done(o.base, o.err)
	}
}

func (o *outcome) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// replay calls each with every record, and marker, if there is one, with every end of a transaction, in the order of the log.
func (j *journal) replay(each func(h *batch.Header, r *batch.Record), marker func(m batch.Marker)) error {
	end, err := j.HighWatermark()
	if err != nil {
		return err
	}
	offset, err := j.StartOffset()
	if err != nil {
		return err
	}
	var scratch batch.Scratch
	for offset < end {
		read, err := j.Read(offset, loadBytes, true, false)
		if err != nil {
			return err
		}
		raw := make([]byte, read.Chunk.Len)
		err = read.Chunk.ReadInto(raw)
		read.Chunk.Release()
		if err != nil {
			return err
		}
		from := offset
		for len(raw) >= batch.HeaderLen {
			h, err := batch.ReadHeader(raw)
			if err != nil {
				return err
			}
			if h.Size() > len(raw) {
				break
			}
			if h.Control() {
				if m, err := batch.ReadMarker(raw[:h.Size()]); err == nil && marker != nil {
					marker(m)
				}
			} else if err := batch.Walk(raw, batch.Limits{}, &scratch, func(r *batch.Record) error {
				each(&h, r)
				return nil
			}); err != nil {
				return fmt.Errorf("%s at offset %d: %w", j.topic, h.BaseOffset, err)
			}
			offset, raw = h.LastOffset()+1, raw[h.Size():]
		}
		if offset == from {
			return fmt.Errorf("%s at offset %d: %w", j.topic, offset, storage.ErrDamaged)
		}
	}
	return nil
}
