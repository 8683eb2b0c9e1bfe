package batch

import (
	"encoding/binary"
)

// Rewrite appends the batch at the start of src to dst with only those records that keep accepts. Offsets, sequence,
// producer, epoch and codec stay as they are: a batch may be left without records. horizon, if not negative, becomes the
// batch's delete horizon (KIP-534); one that is there already stays.
func Rewrite(dst, src []byte, s *Scratch, horizon int64, keep func(*Record) bool) ([]byte, error) {
	h, err := ReadHeader(src)
	if err != nil {
		return dst, err
	}
	base := h.BaseTimestamp
	_, has := h.DeleteHorizon()
	if horizon >= 0 && !has {
		base = horizon
		h.Attributes |= attrDeleteHorizon
	}
	var count int32
	latest := int64(-1)
	s.kept = s.kept[:0]
	err = Walk(src, Limits{}, s, func(r *Record) error {
		if !keep(r) {
			return nil
		}
		ts := h.BaseTimestamp + r.TimestampDelta
		count, latest = count+1, max(latest, ts)
		s.kept = appendRecord(s.kept, ts-base, int64(r.OffsetDelta), r.tail)
		return nil
	})
	if err != nil {
		return dst, err
	}
	if h.LogAppendTime() {
		latest = h.MaxTimestamp
	}
	return finish(dst, src, h, base, latest, count, s.kept)
}

// Empty appends the batch at the start of src without its records: with its sequences as its producer's last batch if
// producer, else only to hold its offsets.
func Empty(dst, src []byte, producer bool) ([]byte, error) {
	h, err := ReadHeader(src)
	if err != nil {
		return dst, err
	}
	if !producer {
		h.Attributes, h.ProducerID, h.ProducerEpoch, h.BaseSequence = 0, -1, -1, -1
	}
	return finish(dst, src, h, -1, -1, 0, nil)
}

// finish appends a batch with src's header where h has no say, and records.
func finish(dst, src []byte, h Header, base, latest int64, count int32, records []byte) ([]byte, error) {
	at := len(dst)
	dst = append(dst, src[:HeaderLen]...)
	codec := h.Codec()
	if count == 0 {
		codec = None
		h.Attributes &^= codecMask | attrDeleteHorizon
	}
	dst, err := compress(dst, codec, DefaultLevel, records)
	if err != nil {
		return dst[:at], err
	}
	out := dst[at:]
	be := binary.BigEndian
	be.PutUint32(out[atLength:], uint32(len(out)-lengthEnd))
	be.PutUint16(out[atAttributes:], uint16(h.Attributes))
	be.PutUint64(out[atBaseTimestamp:], uint64(base))
	be.PutUint64(out[atMaxTimestamp:], uint64(latest))
	SetProducer(out, h.ProducerID, h.ProducerEpoch, h.BaseSequence)
	be.PutUint32(out[atCount:], uint32(count))
	Seal(out)
	return dst, nil
}

// appendRecord appends a record whose bytes from the key on are tail.
func appendRecord(dst []byte, timestampDelta, offsetDelta int64, tail []byte) []byte {
	dst = binary.AppendVarint(dst, int64(1+varintLen(timestampDelta)+varintLen(offsetDelta)+len(tail)))
	dst = append(dst, 0)
	dst = binary.AppendVarint(dst, timestampDelta)
	dst = binary.AppendVarint(dst, offsetDelta)
	return append(dst, tail...)
}
