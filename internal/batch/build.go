package batch

import (
	"encoding/binary"
	"fmt"
)

// Builder encodes one batch at a time. Reset makes it ready for the next with the memory of the last.
type Builder struct {
	codec   Codec
	records []byte
	head    []byte
	count   int32
	base    int64 // timestamp of the first record
	max     int64
}

// NewBuilder returns a builder whose batches are compressed by codec.
func NewBuilder(codec Codec) *Builder { return &Builder{codec: codec} }

// Reset forgets the records.
func (b *Builder) Reset() {
	b.records, b.count, b.base, b.max = b.records[:0], 0, 0, 0
}

// Count is the number of records since the last Reset.
func (b *Builder) Count() int { return int(b.count) }

// Size is the batch in bytes as it would be without compression.
func (b *Builder) Size() int { return HeaderLen + len(b.records) }

// Append adds a record: ts in ms since 1970, nil key or value for null.
func (b *Builder) Append(ts int64, key, value []byte, headers []HeaderKV) {
	size := bytesLen(key) + bytesLen(value) + varintLen(int64(len(headers)))
	for _, h := range headers {
		size += varintLen(int64(len(h.Key))) + len(h.Key) + bytesLen(h.Value)
	}
	b.open(ts, size)
	b.records = appendBytes(b.records, key)
	b.records = appendBytes(b.records, value)
	b.records = binary.AppendVarint(b.records, int64(len(headers)))
	for _, h := range headers {
		b.records = binary.AppendVarint(b.records, int64(len(h.Key)))
		b.records = append(b.records, h.Key...)
		b.records = appendBytes(b.records, h.Value)
	}
}

// AppendRaw adds a record that Walk gave, with its key, value and headers copied as one span of bytes.
func (b *Builder) AppendRaw(ts int64, rec *Record) {
	b.open(ts, len(rec.tail))
	b.records = append(b.records, rec.tail...)
}

// open writes what precedes the key: length, attributes, timestamp and offset deltas.
func (b *Builder) open(ts int64, tail int) {
	if b.count == 0 {
		b.base, b.max = ts, ts
	}
	b.max = max(b.max, ts)
	delta, offset := ts-b.base, int64(b.count)
	b.records = binary.AppendVarint(b.records, int64(1+varintLen(delta)+varintLen(offset)+tail))
	b.records = append(b.records, 0)
	b.records = binary.AppendVarint(b.records, delta)
	b.records = binary.AppendVarint(b.records, offset)
	b.count++
}

// Build appends the batch to dst, sealed, with base offset 0 and no producer. The builder keeps its records.
func (b *Builder) Build(dst []byte) ([]byte, error) {
	if b.count == 0 {
		return dst, fmt.Errorf("%w: a batch needs a record", ErrCorrupt)
	}
	if len(b.head) == 0 {
		b.head = make([]byte, HeaderLen)
	}
	at := len(dst)
	dst = append(dst, b.head...)
	dst, err := compress(dst, b.codec, DefaultLevel, b.records)
	if err != nil {
		return dst[:at], err
	}
	out := dst[at:]
	be := binary.BigEndian
	be.PutUint32(out[atLength:], uint32(len(out)-lengthEnd))
	be.PutUint32(out[atLeaderEpoch:], ^uint32(0))
	out[atMagic] = 2
	be.PutUint16(out[atAttributes:], uint16(b.codec))
	be.PutUint32(out[atLastDelta:], uint32(b.count-1))
	be.PutUint64(out[atBaseTimestamp:], uint64(b.base))
	be.PutUint64(out[atMaxTimestamp:], uint64(b.max))
	SetProducer(out, -1, -1, -1)
	be.PutUint32(out[atCount:], uint32(b.count))
	Seal(out)
	return dst, nil
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

func bytesLen(b []byte) int {
	if b == nil {
		return varintLen(-1)
	}
	return varintLen(int64(len(b))) + len(b)
}

// varintLen is the size of v as a zig-zag varint.
func varintLen(v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	n := 1
	for u >= 0x80 {
		u >>= 7
		n++
	}
	return n
}
