package replica

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/leatstream/leat/internal/batch"
)

// Compression is how a topic wants its batches.
type Compression struct {
	Codec batch.Codec
	Level int
}

// RecordError is what is wrong with one record of a batch.
type RecordError struct {
	Index   int32 // in the batch
	Message string
}

// RecordsError refuses a batch because of some of its records. errors.Is finds its Kind.
type RecordsError struct {
	Kind    error
	Message string
	Records []RecordError // the first maxRecordErrors
}

// maxRecordErrors bounds what is told of one batch.
const maxRecordErrors = 100

func (e *RecordsError) Error() string { return e.Message }
func (e *RecordsError) Unwrap() error { return e.Kind }

// workshop is memory to look into batches and to make new ones.
type workshop struct {
	scratch batch.Scratch
	out     []byte
}

// keepOut is the largest batch whose memory is kept for the next.
const keepOut = 4 << 20

var workshops = sync.Pool{New: func() any { return new(workshop) }}

func (w *workshop) giveBack() {
	if cap(w.out) > keepOut {
		w.out = nil
	}
	workshops.Put(w)
}

// prepare checks a producer's batch and makes it what the topic wants. The result may be in w, which the caller gives back
// when it no longer needs it; nil: it is b itself.
func prepare(b []byte, cfg *Config, now time.Time) (ready []byte, w *workshop, err error) {
	h, err := check(b, cfg)
	if err != nil {
		return nil, nil, err
	}
	other := cfg.Compression != nil && h.Codec() != cfg.Compression.Codec
	measured := cfg.MaxDecompressed > 0 && h.Codec() != batch.None
	if other || measured || cfg.Compacted || timesMatter(h, cfg, now) {
		w = workshops.Get().(*workshop)
		if b, err = w.inspect(b, other, cfg, now); err != nil {
			w.giveBack()
			return nil, nil, err
		}
		if !other {
			w.giveBack()
			w = nil
		}
	}
	if cfg.LogAppendTime {
		stampTime(b, now.UnixMilli())
	}
	return b, w, nil
}

// timesMatter tells whether records have to be looked at for their time.
func timesMatter(h batch.Header, cfg *Config, now time.Time) bool {
	return !cfg.LogAppendTime && (cfg.TimestampBefore > 0 || cfg.TimestampAfter > 0 && h.MaxTimestamp > now.Add(cfg.TimestampAfter).UnixMilli())
}

// inspect looks at every record, and makes the batch anew if it is to be compressed in another way.
func (w *workshop) inspect(b []byte, other bool, cfg *Config, now time.Time) ([]byte, error) {
	h, _ := batch.ReadHeader(b) // checked
	rules := rules{cfg: cfg, base: h.BaseTimestamp}
	rules.oldest, rules.newest = cfg.times(now)
	most := cfg.mostDecompressed()
	err := batch.Within(b, most, &w.scratch, func(limits batch.Limits) (err error) {
		if other {
			w.out, err = batch.Recompress(w.out[:0], b, cfg.Compression.Codec, cfg.Compression.Level, limits, &w.scratch, rules.look)
			return err
		}
		return batch.Walk(b, limits, &w.scratch, rules.look)
	})
	if other {
		b = w.out
	}
	switch {
	case errors.Is(err, batch.ErrTooBig):
		return nil, fmt.Errorf("%w: its records are more than %d bytes before compression, which max.decompressed.message.bytes and max.message.bytes allow", ErrInvalidRecord, most)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	case !cfg.LogAppendTime && cfg.TimestampAfter > 0 && h.MaxTimestamp > rules.newest && rules.count == 0:
		return nil, fmt.Errorf("%w: the batch claims the time %d, which none of its records has", ErrInvalidTime, h.MaxTimestamp)
	case rules.count > 0:
		return nil, rules.verdict()
	case len(b) > cfg.MaxMessageBytes:
		return nil, fmt.Errorf("%w: %d bytes after it was compressed anew, max.message.bytes is %d", ErrTooLarge, len(b), cfg.MaxMessageBytes)
	}
	return b, nil
}

// times are the bounds of records' times, ms since 1970.
func (c *Config) times(now time.Time) (oldest, newest int64) {
	oldest, newest = -1<<63, 1<<63-1
	if c.LogAppendTime {
		return oldest, newest
	}
	if c.TimestampBefore > 0 {
		oldest = now.Add(-c.TimestampBefore).UnixMilli()
	}
	if c.TimestampAfter > 0 {
		newest = now.Add(c.TimestampAfter).UnixMilli()
	}
	return oldest, newest
}

// mostDecompressed bounds what a batch may become in memory: what the topic says, but no more than 64 times what it takes.
func (c *Config) mostDecompressed() int {
	most := 64 * c.MaxMessageBytes
	if c.MaxDecompressed > 0 {
		most = min(most, c.MaxDecompressed)
	}
	return min(most, batch.DefaultMaxDecompressed)
}

// rules are what every record of a batch is held to.
type rules struct {
	cfg            *Config
	base           int64
	oldest, newest int64

	count   int
	badTime bool
	errs    []RecordError
}

const noTimestamp = -1

func (r *rules) look(rec *batch.Record) error {
	index := rec.OffsetDelta
	if at := r.base + rec.TimestampDelta; at != noTimestamp && (at < r.oldest || at > r.newest) {
		r.badTime = true
		r.note(index, fmt.Sprintf("Timestamp %d of message with offset %d is out of range. The timestamp should be within [%d, %d]", at, index, r.oldest, r.newest))
		return nil
	}
	if r.cfg.Compacted && rec.Key == nil {
		r.note(index, "Compacted topic cannot accept message without key")
	}
	return nil
}

func (r *rules) note(index int32, message string) {
	if r.count++; len(r.errs) < maxRecordErrors {
		r.errs = append(r.errs, RecordError{index, message})
	}
}

// verdict is worded as Kafka's.
func (r *rules) verdict() error {
	if r.badTime {
		return &RecordsError{ErrInvalidTime, "One or more records have been rejected due to invalid timestamp", r.errs}
	}
	text := fmt.Sprintf("One or more records have been rejected due to %d record errors in total, and only showing the first three errors at most: [", r.count)
	for i, e := range r.errs[:min(len(r.errs), 3)] {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("RecordError(batchIndex=%d, message='%s')", e.Index, e.Message)
	}
	return &RecordsError{ErrInvalidRecord, text + "]", r.errs}
}
