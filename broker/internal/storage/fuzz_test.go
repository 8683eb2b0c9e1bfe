package storage

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"
	"time"

	"github.com/leatstream/leat/internal/batch"
)

// sums puts right checksums at the ends of the parts of b.
func sums(b []byte, ends ...int) []byte {
	from := 0
	for _, end := range ends {
		binary.BigEndian.PutUint32(b[end-4:], crc32.Checksum(b[from:end-4], castagnoli))
		from = end
	}
	return b
}

// FuzzDecodeIndex gives index files whose checksums are right: each is refused, or is what is written again.
func FuzzDecodeIndex(f *testing.F) {
	x := newIndex(7)
	x.add(7, 9, 100, 70, 1)
	x.add(10, 12, 90, indexInterval, 2)
	x.aborted, x.producers = []Aborted{{ProducerID: 1, FirstOffset: 7, LastOffset: 9}}, []byte("producers")
	f.Add(x.encode())
	empty := newIndex(0)
	f.Add(empty.encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		b := slices.Clone(raw)
		if len(b) >= indexFixed {
			if summary, rest := indexSizes(b); summary <= int64(len(b)) {
				sums(b, int(summary))
				if summary+rest == int64(len(b)) {
					sums(b[summary:], int(rest))
				}
			}
		}
		_, _ = decodeSummary(b)
		x, err := decodeIndex(b)
		if err != nil {
			return
		}
		if again := x.encode(); !bytes.Equal(again, b) {
			t.Fatalf("%x was read and is written as %x", b, again)
		}
		x.before(0)
		x.within(1<<20, 1<<20)
		x.beforeTime(0)
	})
}

// FuzzDecodeMarks gives the file of marks with a checksum that is right.
func FuzzDecodeMarks(f *testing.F) {
	x := newIndex(7)
	f.Add(encodeMarks(map[string]marked{"t-0": {7, x.encode()}, "t-1": {0, nil}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b := slices.Clone(raw)
		if len(b) >= 4 {
			sums(b, len(b))
		}
		known, ok := decodeMarks(b)
		if !ok {
			return
		}
		size := 0
		for log, m := range known {
			size += len(log) + len(m.raw)
			_, _ = decodeIndex(m.raw)
		}
		if size > len(b) {
			t.Fatalf("%d bytes of marks in %d", size, len(b))
		}
	})
}

// FuzzDecodeProducers gives what an index file says of producers: it is refused, or as much as its bytes have room for, and
// can go on.
func FuzzDecodeProducers(f *testing.F) {
	ps := newProducers()
	ps.add(&batch.Header{ProducerID: 1, ProducerEpoch: 2, BaseSequence: 3, Count: 1, BaseOffset: 5, Attributes: 1 << 4}, 1000)
	f.Add(ps.encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		ps, err := decodeProducers(raw)
		if err != nil {
			return
		}
		if len(ps.known) > len(raw)/producerFixed {
			t.Fatalf("%d producers in %d bytes", len(ps.known), len(raw))
		}
		for id := range ps.known {
			h := batch.Header{ProducerID: id, BaseSequence: 1, Count: 1}
			if _, err := ps.check(&h, fromClient, 0); err == nil {
				ps.add(&h, 2000)
			}
			ps.end(batch.Marker{ProducerID: id, ProducerEpoch: 1}, 9, 3000)
		}
		ps.stable(1 << 40)
		ps.lastStable(1 << 40)
		ps.expire(time.UnixMilli(1<<40), time.Hour)
		if again, err := decodeProducers(ps.encode()); err != nil || len(again.known) != len(ps.known) {
			t.Fatalf("what it became cannot be read again: %v", err)
		}
	})
}
