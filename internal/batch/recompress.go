package batch

import "encoding/binary"

// Recompress walks the batch at the start of b as Walk does, and appends it to dst with its records compressed by another
// codec, sealed. Offsets, timestamps, headers, the producer's fields and the other attributes stay.
func Recompress(dst, b []byte, codec Codec, level int, lim Limits, scratch *Scratch, fn func(*Record) error) ([]byte, error) {
	h, body, err := Records(b, lim, scratch)
	if err != nil {
		return dst, err
	}
	if err := walk(h, body, scratch, fn); err != nil {
		return dst, err
	}
	at := len(dst)
	dst, err = compress(append(dst, b[:HeaderLen]...), codec, level, body)
	if err != nil {
		return dst[:at], err
	}
	out, be := dst[at:], binary.BigEndian
	be.PutUint32(out[atLength:], uint32(len(out)-lengthEnd))
	be.PutUint16(out[atAttributes:], uint16(h.Attributes)&^codecMask|uint16(codec))
	Seal(out)
	return dst, nil
}
