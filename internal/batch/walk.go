package batch

import (
	"encoding/binary"
	"fmt"
)

// HeaderKV is a header of one record. A nil Value is null.
type HeaderKV struct {
	Key   string
	Value []byte
}

// Record is one record inside a batch. Key and Value are nil where null.
type Record struct {
	OffsetDelta    int32
	TimestampDelta int64
	Key            []byte
	Value          []byte
	Headers        []HeaderKV
	Raw            []byte // the encoded record with its length varint
	tail           []byte // from the key's length to the end: what does not depend on the batch
}

// Limits bound what Walk may do for one batch.
type Limits struct {
	MaxDecompressed int // bytes of records after decompression; 0: DefaultMaxDecompressed
}

// DefaultMaxDecompressed bounds the records of one batch after decompression, in bytes.
const DefaultMaxDecompressed = 128 << 20

// Scratch is memory that Walk reuses between batches. The zero value is ready.
type Scratch struct {
	plain   []byte
	headers []HeaderKV
	rec     Record
	kept    []byte // records of a batch that is being rewritten
}

// reserve makes room for n decompressed bytes, and the one that says that there are no more.
func (s *Scratch) reserve(n int) {
	if cap(s.plain) <= n {
		s.plain = make([]byte, 0, n+1)
	}
}

// trim forgets memory beyond keep bytes.
func (s *Scratch) trim(keep int) {
	if cap(s.plain) > keep {
		s.plain = nil
	}
	if cap(s.kept) > keep {
		s.kept = nil
	}
}

// Measure is how many bytes the records of b have after decompression, up to limit, beyond which it is ErrTooBig. It costs
// time, but no memory.
func Measure(b []byte, limit int) (int, error) {
	h, err := ReadHeader(b)
	switch {
	case err != nil:
		return 0, err
	case len(b) < h.Size():
		return 0, ErrShort
	case h.Codec() == None:
		return h.Size() - HeaderLen, nil
	}
	return measure(h.Codec(), b[HeaderLen:h.Size()], limit)
}

// Records returns the encoded records of b, decompressed into scratch when needed.
func Records(b []byte, lim Limits, scratch *Scratch) (Header, []byte, error) {
	h, err := ReadHeader(b)
	if err != nil {
		return h, nil, err
	}
	if len(b) < h.Size() {
		return h, nil, ErrShort
	}
	body := b[HeaderLen:h.Size()]
	if h.Codec() != None {
		limit := lim.MaxDecompressed
		if limit == 0 {
			limit = DefaultMaxDecompressed
		}
		if scratch.plain, err = decompress(scratch.plain, h.Codec(), body, limit); err != nil {
			return h, nil, err
		}
		body = scratch.plain
	}
	return h, body, nil
}

// Walk calls fn for every record of the batch at the start of b. The record, its slices included, is valid only during
// the call. An error of fn ends the walk and is returned.
func Walk(b []byte, lim Limits, scratch *Scratch, fn func(*Record) error) error {
	h, body, err := Records(b, lim, scratch)
	if err != nil {
		return err
	}
	return walk(h, body, scratch, fn)
}

func walk(h Header, body []byte, scratch *Scratch, fn func(*Record) error) error {
	rec := &scratch.rec
	for i := range h.Count {
		n, err := parseRecord(rec, body, scratch)
		if err != nil {
			return fmt.Errorf("record %d of %d: %w", i, h.Count, err)
		}
		body = body[n:]
		if err := fn(rec); err != nil {
			return err
		}
	}
	if len(body) != 0 {
		return fmt.Errorf("%w: %d bytes after the last record", ErrCorrupt, len(body))
	}
	return nil
}

// parseRecord reads the record at the start of b and returns its size.
func parseRecord(rec *Record, b []byte, scratch *Scratch) (int, error) {
	size, n := binary.Varint(b)
	if n <= 0 || size < 0 || size > int64(len(b)-n) {
		return 0, fmt.Errorf("%w: record length", ErrCorrupt)
	}
	end := n + int(size)
	c := cursor{b: b[n:end]}
	c.byte() // attributes: unused by Kafka
	rec.TimestampDelta = c.varint()
	rec.OffsetDelta = int32(c.varint())
	rec.Raw = b[:end]
	rec.tail = c.b
	rec.Key = c.bytes()
	rec.Value = c.bytes()
	count := c.varint()
	if c.bad || count < 0 || count > int64(len(c.b)) { // a header takes two bytes at least
		return 0, fmt.Errorf("%w: record fields", ErrCorrupt)
	}
	last := scratch.headers // of the record before, which mostly has the same names
	headers := scratch.headers[:0]
	for i := range int(count) {
		key := c.bytes()
		if key == nil {
			c.bad = true
		}
		name := ""
		if i < len(last) && last[i].Key == string(key) {
			name = last[i].Key
		} else {
			name = string(key)
		}
		headers = append(headers, HeaderKV{Key: name, Value: c.bytes()})
		if c.bad {
			break
		}
	}
	scratch.headers = headers
	rec.Headers = headers
	if c.bad || len(c.b) != 0 {
		return 0, fmt.Errorf("%w: record fields", ErrCorrupt)
	}
	return end, nil
}

// cursor reads fields and remembers that one was damaged.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) byte() {
	if len(c.b) == 0 {
		c.bad = true
		return
	}
	c.b = c.b[1:]
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

// bytes reads a length and as many bytes; -1 is null.
func (c *cursor) bytes() []byte {
	n := c.varint()
	if n == -1 {
		return nil
	}
	if n < 0 || n > int64(len(c.b)) {
		c.bad, c.b = true, nil
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}
