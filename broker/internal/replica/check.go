package replica

import (
	"errors"
	"fmt"
	"math"

	"github.com/leatstream/leat/internal/batch"
)

// What a producer can get wrong; each maps to a Kafka error.
var (
	ErrCorrupt       = errors.New("corrupt message")
	ErrMagic         = errors.New("unsupported message format")
	ErrInvalidRecord = errors.New("invalid record")
	ErrInvalidTime   = errors.New("invalid timestamp")
	ErrTooLarge      = errors.New("message too large")
	ErrBatchTooLarge = errors.New("batch larger than a segment")
)

// check holds a producer's batch to those of Kafka's rules (LogValidator) that the header and the CRC can tell.
func check(b []byte, cfg *Config) (batch.Header, error) {
	if len(b) == 0 {
		return batch.Header{}, fmt.Errorf("%w: there is no batch", ErrInvalidRecord)
	}
	h, err := batch.ReadHeader(b)
	switch {
	case errors.Is(err, batch.ErrMagic):
		return h, fmt.Errorf("%w: %w", ErrMagic, err)
	case err != nil:
		return h, fmt.Errorf("%w: %w", ErrCorrupt, err)
	case h.Size() > len(b):
		return h, fmt.Errorf("%w: %w", ErrCorrupt, batch.ErrShort)
	case h.Size() < len(b):
		return h, fmt.Errorf("%w: a produce request holds one batch a partition", ErrInvalidRecord)
	case len(b) > cfg.MaxMessageBytes:
		return h, fmt.Errorf("%w: %d bytes, max.message.bytes is %d", ErrTooLarge, len(b), cfg.MaxMessageBytes)
	case int64(len(b)) > cfg.segmentBytes():
		return h, fmt.Errorf("%w: %d bytes, segment.bytes is %d", ErrBatchTooLarge, len(b), cfg.segmentBytes())
	case !batch.CheckCRC(b):
		return h, fmt.Errorf("%w: CRC does not match", ErrCorrupt)
	case h.Count == 0 || h.LastOffsetDelta != h.Count-1:
		return h, fmt.Errorf("%w: %d records but last offset delta %d", ErrInvalidRecord, h.Count, h.LastOffsetDelta)
	case int64(h.Count) > mostRecords(h):
		return h, fmt.Errorf("%w: %d bytes cannot hold %d records", ErrInvalidRecord, len(b), h.Count)
	case h.BaseOffset != 0:
		return h, fmt.Errorf("%w: base offset %d, a producer's batch begins at 0", ErrInvalidRecord, h.BaseOffset)
	case h.Control():
		return h, fmt.Errorf("%w: a client may not write control batches", ErrInvalidRecord)
	case h.ProducerID >= 0 && h.BaseSequence < 0:
		return h, fmt.Errorf("%w: producer id without a sequence", ErrInvalidRecord)
	case h.Codec() > batch.Zstd:
		return h, fmt.Errorf("%w: %s", ErrCorrupt, h.Codec())
	case h.LogAppendTime():
		return h, fmt.Errorf("%w: only the broker stamps append time", ErrInvalidTime)
	}
	return h, nil
}

// minRecord is the size of a record without key, value and headers: seven fields of a byte each.
const minRecord = 7

// mostRecords bounds how many records a batch can hold. A batch that claims more would burn offsets, and no consumer
// would get past it.
func mostRecords(h batch.Header) int64 {
	if h.Codec() == batch.None {
		return int64(h.Size()-batch.HeaderLen) / minRecord
	}
	return batch.DefaultMaxDecompressed / minRecord
}

// segmentBytes is how large a segment may grow.
func (c *Config) segmentBytes() int64 {
	if c.Log.SegmentBytes == 0 {
		return math.MaxInt64 // whoever opened the partition did not say
	}
	return c.Log.SegmentBytes
}

func stampTime(b []byte, ts int64) {
	batch.SetLogAppendTime(b, ts)
	batch.Seal(b)
}
