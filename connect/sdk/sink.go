package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/internal/batch"
)

// SinkTask is what a sink is told when it opens.
type SinkTask struct {
	Connector string       // its name in the user's YAML
	Log       *slog.Logger // reaches the runtime's log
	Stdout    *os.File     // the user's
}

// Writer is an open sink. Its methods are called one at a time.
type Writer interface {
	// Write takes the records of one partition, in order. When it returns nil they are durable in the target, or
	// will be after Flush if there is one. A classed error from Batch.Each belongs to its record; any other
	// error to the whole batch.
	Write(ctx context.Context, b *Batch) error
	// Close releases the target. What was not flushed is not acknowledged.
	Close() error
}

// Flusher is a Writer whose records are durable only after Flush. An error restarts the task.
type Flusher interface {
	Flush(ctx context.Context) error
}

// Resumer is a Writer that keeps offsets in its target.
type Resumer interface {
	// Resume returns the offset that the target wants next, or -1 if it knows nothing of the partition.
	Resume(ctx context.Context, topic string, partition int32) (int64, error)
}

// Batch is records of one partition.
type Batch struct {
	Topic     string
	Partition int32
	First     int64 // no record has a lower offset
	Next      int64 // no record has this or a higher offset; offsets in between may be missing

	frame    []byte
	scratch  *batch.Scratch
	verdicts []*proto.Verdict
}

// recordError says at which record Each ended.
type recordError struct {
	offset int64
	err    error
}

func (e *recordError) Error() string { return fmt.Sprintf("offset %d: %v", e.offset, e.err) }
func (e *recordError) Unwrap() error { return e.err }

// Each calls fn for each record in order; the record is valid only during the call. Poison and ErrDuplicate are
// noted as the record's verdict and Each goes on; any other error ends it and is to be returned from Write: the
// records before count as written, the runtime comes back with this one.
func (b *Batch) Each(fn func(r *Record) error) error {
	lim := batch.Limits{MaxDecompressed: batch.DefaultMaxDecompressed}
	rest := b.frame
	for len(rest) > 0 {
		h, err := batch.ReadHeader(rest)
		if err == nil && h.Size() > len(rest) {
			err = batch.ErrShort
		}
		if err != nil {
			return Fatal("sdk.frame", err, "the log or the runtime handed out a damaged batch")
		}
		one := rest[:h.Size()]
		rest = rest[h.Size():]
		if h.Control() {
			continue
		}
		r := Record{Topic: b.Topic, Partition: b.Partition}
		var stop error
		err = batch.Walk(one, lim, b.scratch, func(raw *batch.Record) error {
			r.Offset = h.BaseOffset + int64(raw.OffsetDelta)
			if r.Offset < b.First || r.Offset >= b.Next {
				return nil
			}
			r.Timestamp = h.BaseTimestamp + raw.TimestampDelta
			if h.LogAppendTime() {
				r.Timestamp = h.MaxTimestamp
			}
			r.Key, r.Value, r.Headers = raw.Key, raw.Value, raw.Headers
			stop = b.judge(r.Offset, fn(&r))
			return stop
		})
		if stop != nil {
			return stop
		}
		if err != nil {
			return Fatal("sdk.frame", err, "the log or the runtime handed out a damaged batch")
		}
	}
	return nil
}

func (b *Batch) judge(offset int64, err error) error {
	if err == nil {
		return nil
	}
	c := classify(err)
	switch c.class {
	case proto.Class_CLASS_POISON, proto.Class_CLASS_DUPLICATE:
		b.verdicts = append(b.verdicts, verdict(offset, c))
		return nil
	}
	return &recordError{offset, err}
}

func verdict(offset int64, c *classed) *proto.Verdict {
	return &proto.Verdict{Offset: offset, Class: c.class, Code: c.code, Message: c.Error(), RetryAfterMs: c.after.Milliseconds()}
}

// result says how far a Write got: the next offset, and what ended it there.
func (b *Batch) result(err error) (int64, []*proto.Verdict) {
	if err == nil {
		return b.Next, b.verdicts
	}
	at := b.First
	var re *recordError
	if errors.As(err, &re) {
		at = re.offset
		err = re.err
	} else {
		b.verdicts = nil // the whole batch comes again
	}
	c := classify(err)
	if c.class == proto.Class_CLASS_POISON || c.class == proto.Class_CLASS_DUPLICATE {
		c.class, c.hint = proto.Class_CLASS_FATAL, "the connector gave a verdict on a record outside Batch.Each"
	}
	return at, append(b.verdicts, verdict(at, c))
}
