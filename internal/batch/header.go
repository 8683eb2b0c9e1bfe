package batch

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// HeaderLen is the size of a batch that holds no records, in bytes.
const HeaderLen = 61

// lengthEnd is where batchLength starts to count: after baseOffset and batchLength themselves.
const lengthEnd = 12

// crcEnd is the first byte that the CRC covers: base offset and leader epoch lie before it and may be patched freely.
const crcEnd = 21

// Byte positions in the header.
const (
	atBaseOffset    = 0
	atLength        = 8
	atLeaderEpoch   = 12
	atMagic         = 16
	atCRC           = 17
	atAttributes    = 21
	atLastDelta     = 23
	atBaseTimestamp = 27
	atMaxTimestamp  = 35
	atProducerID    = 43
	atProducerEpoch = 51
	atBaseSequence  = 53
	atCount         = 57
)

// Attribute bits.
const (
	codecMask         = 0x07
	attrLogAppendTime = 1 << 3
	attrTransactional = 1 << 4
	attrControl       = 1 << 5
	attrDeleteHorizon = 1 << 6
)

// What can be wrong with the bytes of a batch.
var (
	ErrShort   = errors.New("record batch is cut short")
	ErrMagic   = errors.New("record batch is not of magic 2")
	ErrCorrupt = errors.New("record batch is corrupt")
	ErrTooBig  = errors.New("record batch decompresses to more than is allowed")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header is the fixed part of a record batch v2.
type Header struct {
	BaseOffset      int64
	BatchLength     int32 // bytes after this field
	LeaderEpoch     int32
	Magic           int8
	CRC             uint32
	Attributes      int16
	LastOffsetDelta int32
	BaseTimestamp   int64 // ms since 1970
	MaxTimestamp    int64 // ms since 1970
	ProducerID      int64 // -1: none
	ProducerEpoch   int16
	BaseSequence    int32
	Count           int32
}

// ReadHeader reads the header at the start of b and checks what can be checked without the rest:
// magic 2, a length that holds a header, counts that are not negative. b may be longer or shorter than the batch.
func ReadHeader(b []byte) (Header, error) {
	if len(b) < HeaderLen {
		return Header{}, ErrShort
	}
	be := binary.BigEndian
	h := Header{
		BaseOffset:      int64(be.Uint64(b[atBaseOffset:])),
		BatchLength:     int32(be.Uint32(b[atLength:])),
		LeaderEpoch:     int32(be.Uint32(b[atLeaderEpoch:])),
		Magic:           int8(b[atMagic]),
		CRC:             be.Uint32(b[atCRC:]),
		Attributes:      int16(be.Uint16(b[atAttributes:])),
		LastOffsetDelta: int32(be.Uint32(b[atLastDelta:])),
		BaseTimestamp:   int64(be.Uint64(b[atBaseTimestamp:])),
		MaxTimestamp:    int64(be.Uint64(b[atMaxTimestamp:])),
		ProducerID:      int64(be.Uint64(b[atProducerID:])),
		ProducerEpoch:   int16(be.Uint16(b[atProducerEpoch:])),
		BaseSequence:    int32(be.Uint32(b[atBaseSequence:])),
		Count:           int32(be.Uint32(b[atCount:])),
	}
	switch {
	case h.Magic != 2:
		return h, fmt.Errorf("%w: magic %d", ErrMagic, h.Magic)
	case h.BatchLength < HeaderLen-lengthEnd:
		return h, fmt.Errorf("%w: length %d", ErrCorrupt, h.BatchLength)
	case h.Count < 0 || h.LastOffsetDelta < 0:
		return h, fmt.Errorf("%w: %d records, last offset delta %d", ErrCorrupt, h.Count, h.LastOffsetDelta)
	}
	return h, nil
}

// Size is the whole batch in bytes, header included.
func (h Header) Size() int { return lengthEnd + int(h.BatchLength) }

// LastOffset is the offset of the batch's last record.
func (h Header) LastOffset() int64 { return h.BaseOffset + int64(h.LastOffsetDelta) }

// Codec is the compression of the records.
func (h Header) Codec() Codec { return Codec(h.Attributes & codecMask) }

// Transactional tells whether the batch belongs to a transaction.
func (h Header) Transactional() bool { return h.Attributes&attrTransactional != 0 }

// Control tells whether the batch holds a marker instead of records.
func (h Header) Control() bool { return h.Attributes&attrControl != 0 }

// LogAppendTime tells whether MaxTimestamp was set by the broker.
func (h Header) LogAppendTime() bool { return h.Attributes&attrLogAppendTime != 0 }

// DeleteHorizon is when compaction may drop the batch's tombstones, or the batch itself if it is a marker, in ms since 1970
// (KIP-534). ok is false where that was not decided yet.
func (h Header) DeleteHorizon() (at int64, ok bool) {
	return h.BaseTimestamp, h.Attributes&attrDeleteHorizon != 0
}

// CheckCRC reports whether b, exactly one batch, has the CRC that its header names.
func CheckCRC(b []byte) bool {
	return len(b) >= HeaderLen && binary.BigEndian.Uint32(b[atCRC:]) == crc32.Checksum(b[crcEnd:], castagnoli)
}

// ReadCRC is CheckCRC of the batch with header h that r is at the start of, and reads past it. It holds no more than r does:
// a length that is not what it was costs no memory.
func ReadCRC(r *bufio.Reader, h *Header) (bool, error) {
	if _, err := r.Discard(crcEnd); err != nil {
		return false, err
	}
	sum := uint32(0)
	for rest := h.Size() - crcEnd; rest > 0; {
		b, err := r.Peek(min(rest, r.Size()))
		if len(b) == 0 {
			return false, err
		}
		sum = crc32.Update(sum, castagnoli, b)
		rest -= len(b)
		if _, err := r.Discard(len(b)); err != nil {
			return false, err
		}
	}
	return sum == h.CRC, nil
}

// Seal writes the CRC of b, exactly one batch.
func Seal(b []byte) {
	binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[crcEnd:], castagnoli))
}

// SetBaseOffset patches the base offset, which the CRC does not cover.
func SetBaseOffset(b []byte, offset int64) {
	binary.BigEndian.PutUint64(b[atBaseOffset:], uint64(offset))
}

// SetTransactional marks the batch as part of its producer's transaction. Seal it afterwards.
func SetTransactional(b []byte) {
	be := binary.BigEndian
	be.PutUint16(b[atAttributes:], be.Uint16(b[atAttributes:])|attrTransactional)
}

// SetLeaderEpoch patches the leader epoch, which the CRC does not cover.
func SetLeaderEpoch(b []byte, epoch int32) {
	binary.BigEndian.PutUint32(b[atLeaderEpoch:], uint32(epoch))
}

// SetProducer stamps an idempotent producer's identity; Seal is due afterwards.
func SetProducer(b []byte, id int64, epoch int16, sequence int32) {
	binary.BigEndian.PutUint64(b[atProducerID:], uint64(id))
	binary.BigEndian.PutUint16(b[atProducerEpoch:], uint16(epoch))
	binary.BigEndian.PutUint32(b[atBaseSequence:], uint32(sequence))
}

// SetLogAppendTime marks the batch as timed by the broker, in ms since 1970; Seal is due afterwards.
func SetLogAppendTime(b []byte, ts int64) {
	attr := binary.BigEndian.Uint16(b[atAttributes:]) | attrLogAppendTime
	binary.BigEndian.PutUint16(b[atAttributes:], attr)
	binary.BigEndian.PutUint64(b[atMaxTimestamp:], uint64(ts))
}
