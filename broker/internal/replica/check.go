package replica

import (
	"errors"
	"fmt"
	"time"

	"github.com/leatstream/leat/internal/batch"
)

// What a producer can get wrong; each maps to a Kafka error.
var (
	ErrCorrupt       = errors.New("corrupt message")
	ErrMagic         = errors.New("unsupported message format")
	ErrInvalidRecord = errors.New("invalid record")
	ErrInvalidTime   = errors.New("invalid timestamp")
	ErrTooLarge      = errors.New("message too large")
)

// check holds a producer's batch to Kafka's rules (LogValidator). It looks at the header and the CRC; records are only
// walked where a rule needs it.
func check(b []byte, cfg *Config, now time.Time) error {
	h, err := batch.ReadHeader(b)
	switch {
	case errors.Is(err, batch.ErrMagic):
		return fmt.Errorf("%w: %w", ErrMagic, err)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case h.Size() > len(b):
		return fmt.Errorf("%w: %w", ErrCorrupt, batch.ErrShort)
	case h.Size() < len(b):
		return fmt.Errorf("%w: a produce request holds one batch a partition", ErrInvalidRecord)
	case len(b) > cfg.MaxMessageBytes:
		return fmt.Errorf("%w: %d bytes, max.message.bytes is %d", ErrTooLarge, len(b), cfg.MaxMessageBytes)
	case !batch.CheckCRC(b):
		return fmt.Errorf("%w: CRC does not match", ErrCorrupt)
	case h.Count == 0 || h.LastOffsetDelta != h.Count-1:
		return fmt.Errorf("%w: %d records but last offset delta %d", ErrInvalidRecord, h.Count, h.LastOffsetDelta)
	case int64(h.Count) > mostRecords(h):
		return fmt.Errorf("%w: %d bytes cannot hold %d records", ErrInvalidRecord, len(b), h.Count)
	case h.Control():
		return fmt.Errorf("%w: a client may not write control batches", ErrInvalidRecord)
	case h.ProducerID >= 0 && h.BaseSequence < 0:
		return fmt.Errorf("%w: producer id without a sequence", ErrInvalidRecord)
	case h.Codec() > batch.Zstd:
		return fmt.Errorf("%w: %s", ErrCorrupt, h.Codec())
	case h.LogAppendTime():
		return fmt.Errorf("%w: only the broker stamps append time", ErrInvalidTime)
	case !cfg.LogAppendTime && cfg.TimestampAfter > 0 && h.MaxTimestamp > now.Add(cfg.TimestampAfter).UnixMilli():
		return fmt.Errorf("%w: %d is more than %s ahead of the broker's clock", ErrInvalidTime, h.MaxTimestamp, cfg.TimestampAfter)
	case cfg.Compacted:
		return checkKeys(b, cfg)
	}
	return nil
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

func checkKeys(b []byte, cfg *Config) error {
	var s batch.Scratch
	err := batch.Walk(b, batch.Limits{MaxDecompressed: 64 * cfg.MaxMessageBytes}, &s, func(r *batch.Record) error {
		if r.Key == nil {
			return fmt.Errorf("%w: record %d has no key, which a compacted topic needs", ErrInvalidRecord, r.OffsetDelta)
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrInvalidRecord) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

func stampTime(b []byte, ts int64) {
	batch.SetLogAppendTime(b, ts)
	batch.Seal(b)
}
