package api

import (
	"encoding/binary"

	"github.com/leatstream/leat/broker/internal/meta"
)

// reader reads the fields of a hand-written codec and remembers that one was damaged. Strings and bytes are views of b.
type reader struct {
	b        []byte
	flexible bool
	bad      bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) i8() int8 {
	if b := r.take(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (r *reader) i16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) i32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) i64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *reader) uvarint() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > 1<<31-1 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

// shortString is a string with a length of two bytes, in the header of every version; null is empty.
func (r *reader) shortString() string {
	n := int(r.i16())
	if n < 0 {
		return ""
	}
	return string(r.take(n))
}

// str is a string; null is empty.
func (r *reader) str() string {
	if !r.flexible {
		return r.shortString()
	}
	return string(r.take(max(r.uvarint()-1, 0)))
}

// bytes is a byte array; nil where null.
func (r *reader) bytes() []byte {
	n := 0
	if r.flexible {
		n = r.uvarint() - 1
	} else {
		n = int(r.i32())
	}
	if n < 0 {
		return nil
	}
	return r.take(n)
}

// array is the length of an array whose elements take at least size bytes each; null is 0.
func (r *reader) array(size int) int {
	n := 0
	if r.flexible {
		n = r.uvarint() - 1
	} else {
		n = int(r.i32())
	}
	if n > len(r.b)/size {
		r.bad, r.b = true, nil
		return 0
	}
	return max(n, 0)
}

func (r *reader) topicID() (id meta.TopicID) {
	copy(id[:], r.take(len(id)))
	return id
}

// tags reads tagged fields, and calls fn with those that there are.
func (r *reader) tags(fn func(tag int, value *reader)) {
	if !r.flexible {
		return
	}
	for range r.uvarint() {
		tag := r.uvarint()
		value := r.take(r.uvarint())
		if r.bad {
			return
		}
		if fn != nil {
			fn(tag, &reader{b: value, flexible: true})
		}
	}
}

// writer appends the fields of a hand-written codec.
type writer struct {
	b        []byte
	flexible bool
}

func (w *writer) i16(v int16) { w.b = binary.BigEndian.AppendUint16(w.b, uint16(v)) }
func (w *writer) i32(v int32) { w.b = binary.BigEndian.AppendUint32(w.b, uint32(v)) }
func (w *writer) i64(v int64) { w.b = binary.BigEndian.AppendUint64(w.b, uint64(v)) }

// length is that of an array or of bytes.
func (w *writer) length(n int) {
	if w.flexible {
		w.b = binary.AppendUvarint(w.b, uint64(n+1))
	} else {
		w.i32(int32(n))
	}
}

func (w *writer) str(s string) {
	if w.flexible {
		w.b = binary.AppendUvarint(w.b, uint64(len(s)+1))
	} else {
		w.i16(int16(len(s)))
	}
	w.b = append(w.b, s...)
}

// nullable is a string that is null where empty.
func (w *writer) nullable(s string) {
	switch {
	case s != "":
		w.str(s)
	case w.flexible:
		w.b = append(w.b, 0)
	default:
		w.i16(-1)
	}
}

// noTags ends a structure without tagged fields.
func (w *writer) noTags() {
	if w.flexible {
		w.b = append(w.b, 0)
	}
}
