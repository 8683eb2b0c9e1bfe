package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

var codecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

func sample(t testing.TB, codec Codec, n int) []byte {
	t.Helper()
	b := NewBuilder(codec)
	for i := range n {
		b.Append(1000+int64(i), fmt.Appendf(nil, "key-%d", i), bytes.Repeat([]byte("value "), 20), []HeaderKV{{"h", []byte("x")}, {"null", nil}})
	}
	out, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestKmsgReadsWhatBuilderWrites compares with an independent reader of the format.
func TestKmsgReadsWhatBuilderWrites(t *testing.T) {
	for _, codec := range codecs {
		raw := sample(t, codec, 3)
		var rb kmsg.RecordBatch
		if err := rb.ReadFrom(raw); err != nil {
			t.Fatal(err)
		}
		if rb.NumRecords != 3 || rb.LastOffsetDelta != 2 || rb.FirstTimestamp != 1000 || rb.MaxTimestamp != 1002 || rb.Magic != 2 {
			t.Errorf("%s: header %+v", codec, rb)
		}
		if !CheckCRC(raw) {
			t.Errorf("%s: bad CRC", codec)
		}
		var s Scratch
		_, plain, err := Records(raw, Limits{}, &s)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			var r kmsg.Record
			size, n := kmsgVarint(plain)
			if err := r.ReadFrom(plain[:n+size]); err != nil {
				t.Fatal(err)
			}
			plain = plain[n+size:]
			if want := fmt.Sprintf("key-%d", i); string(r.Key) != want || len(r.Headers) != 2 || r.Headers[1].Value != nil {
				t.Errorf("%s: record %d is %+v", codec, i, r)
			}
		}
	}
}

func kmsgVarint(b []byte) (size, n int) {
	var u uint
	for shift := 0; ; shift += 7 {
		c := b[n]
		n++
		u |= uint(c&0x7f) << shift
		if c < 0x80 {
			return int(u >> 1), n
		}
	}
}

type plainRecord struct {
	ts         int64
	key, value []byte
	headers    []HeaderKV
}

// TestRoundTrip builds, walks, splices and walks again: what comes out is what went in.
func TestRoundTrip(t *testing.T) {
	maybeBytes := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 40).Filter(func(b []byte) bool { return b != nil }))
	rapid.Check(t, func(t *rapid.T) {
		codec := rapid.SampledFrom(codecs).Draw(t, "codec")
		in := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) plainRecord {
			r := plainRecord{ts: rapid.Int64Range(-5, 1<<41).Draw(t, "ts"), key: maybeBytes.Draw(t, "key"), value: maybeBytes.Draw(t, "value")}
			for range rapid.IntRange(0, 3).Draw(t, "headers") {
				r.headers = append(r.headers, HeaderKV{rapid.StringN(0, 5, 20).Draw(t, "name"), maybeBytes.Draw(t, "header")})
			}
			return r
		}), 1, 20).Draw(t, "records")

		b, splice := NewBuilder(codec), NewBuilder(None)
		for _, r := range in {
			b.Append(r.ts, r.key, r.value, r.headers)
		}
		raw, err := b.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		h, err := ReadHeader(raw)
		if err != nil || h.Size() != len(raw) || int(h.Count) != len(in) || h.Codec() != codec {
			t.Fatalf("header %+v, %v", h, err)
		}
		compare(t, raw, in, func(ts int64, r *Record) { splice.AppendRaw(ts, r) })
		spliced, err := splice.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, spliced, in, func(int64, *Record) {})
	})
}

func compare(t *rapid.T, raw []byte, want []plainRecord, each func(int64, *Record)) {
	var s Scratch
	h, _ := ReadHeader(raw)
	i := 0
	err := Walk(raw, Limits{}, &s, func(r *Record) error {
		w := want[i]
		if int(r.OffsetDelta) != i || h.BaseTimestamp+r.TimestampDelta != w.ts || !same(r.Key, w.key) || !same(r.Value, w.value) || len(r.Headers) != len(w.headers) {
			t.Fatalf("record %d is %+v, want %+v", i, r, w)
		}
		for j, kv := range r.Headers {
			if kv.Key != w.headers[j].Key || !same(kv.Value, w.headers[j].Value) {
				t.Fatalf("header %d is %+v, want %+v", j, kv, w.headers[j])
			}
		}
		each(w.ts, r)
		i++
		return nil
	})
	if err != nil || i != len(want) {
		t.Fatalf("walked %d of %d: %v", i, len(want), err)
	}
}

func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// TestJavaSnappyFraming reads the block framing that Java clients write.
func TestJavaSnappyFraming(t *testing.T) {
	plain := bytes.Repeat([]byte("some text "), 100)
	block, err := compress(nil, Snappy, DefaultLevel, plain)
	if err != nil {
		t.Fatal(err)
	}
	framed := append([]byte{}, xerial...)
	framed = append(framed, 0, 0, 0, 1, 0, 0, 0, 1)
	for range 2 {
		framed = append(framed, 0, 0, byte(len(block)>>8), byte(len(block)))
		framed = append(framed, block...)
	}
	got, err := decompress(nil, Snappy, framed, 1<<20)
	if err != nil || !bytes.Equal(got, append(plain, plain...)) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestDecompressionIsBounded(t *testing.T) {
	for _, codec := range codecs[1:] {
		b := NewBuilder(codec)
		b.Append(0, nil, make([]byte, 8<<20), nil)
		raw, err := b.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		var s Scratch
		err = Walk(raw, Limits{MaxDecompressed: 1 << 20}, &s, func(*Record) error { return nil })
		if !errors.Is(err, ErrTooBig) && !(codec == Snappy && errors.Is(err, ErrCorrupt)) {
			t.Errorf("%s: %v", codec, err)
		}
	}
}

func TestPatchingKeepsCRC(t *testing.T) {
	raw := sample(t, None, 2)
	SetBaseOffset(raw, 1<<40)
	SetLeaderEpoch(raw, 7)
	h, err := ReadHeader(raw)
	if err != nil || h.BaseOffset != 1<<40 || h.LeaderEpoch != 7 || h.LastOffset() != 1<<40+1 || !CheckCRC(raw) {
		t.Fatalf("%+v %v", h, err)
	}
	SetProducer(raw, 9, 1, 5)
	SetLogAppendTime(raw, 77)
	if CheckCRC(raw) {
		t.Error("producer and time are covered by the CRC, yet it still fits")
	}
	Seal(raw)
	h, err = ReadHeader(raw)
	if err != nil || !CheckCRC(raw) || h.ProducerID != 9 || h.BaseSequence != 5 || h.MaxTimestamp != 77 || !h.LogAppendTime() {
		t.Fatalf("%+v %v", h, err)
	}
}

func TestNoAllocationPerRecord(t *testing.T) {
	raw := sample(t, None, 1000)
	plain := NewBuilder(None)
	var s Scratch
	key, value := []byte("k"), make([]byte, 100)
	walk := func() {
		plain.Reset()
		if err := Walk(raw, Limits{}, &s, func(r *Record) error {
			if r.Headers = nil; r.OffsetDelta >= 0 {
				plain.AppendRaw(5, r)
			}
			plain.Append(5, key, value, nil)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	walk()
	if got := testing.AllocsPerRun(10, walk); got > 10 { // header names are those of the record before
		t.Errorf("%v allocations for 1000 records", got)
	}
	bare := NewBuilder(None)
	for range 1000 {
		bare.Append(1, key, value, nil)
	}
	raw, _ = bare.Build(nil)
	if got := testing.AllocsPerRun(10, walk); got > 1 {
		t.Errorf("%v allocations for 1000 records without headers", got)
	}
}

// FuzzWalk feeds damaged batches: an error or a walk, bounded in memory, never a panic.
func FuzzWalk(f *testing.F) {
	for _, codec := range codecs {
		f.Add(sample(f, codec, 3))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var s Scratch
		_ = Walk(raw, Limits{MaxDecompressed: 1 << 20}, &s, func(r *Record) error {
			if len(r.Key)+len(r.Value) > len(r.Raw) {
				t.Errorf("a record larger than itself")
			}
			return nil
		})
		runtime.ReadMemStats(&after)
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(64*len(raw)+24<<20); got > limit {
			t.Errorf("%d bytes allocated for %d bytes of input", got, len(raw))
		}
	})
}

func BenchmarkWalk(b *testing.B) {
	raw := sample(b, None, 1000)
	var s Scratch
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if err := Walk(raw, Limits{}, &s, func(*Record) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	bld := NewBuilder(None)
	value := make([]byte, 229)
	b.SetBytes(229)
	for b.Loop() {
		bld.Append(1, nil, value, nil)
		if bld.Count() == 1000 {
			bld.Reset()
		}
	}
}

// FuzzPayload puts any bytes, compressed with each codec or claimed to be, behind a header that is right: no claim of a
// stream costs more memory than the limit, and what can be walked has as many records as it says and is measured as long.
func FuzzPayload(f *testing.F) {
	const limit = 1 << 20
	raw := sample(f, None, 3)
	for _, codec := range codecs {
		f.Add(uint8(codec), int32(3), raw[HeaderLen:], true)
		f.Add(uint8(codec), int32(2), sample(f, codec, 3)[HeaderLen:], false)
		f.Add(uint8(codec), int32(1), bytes.Repeat([]byte{0}, 2<<20), true) // more than the limit
	}
	f.Fuzz(func(t *testing.T, codec uint8, count int32, payload []byte, whole bool) {
		codec %= 5
		if whole {
			var err error
			if payload, err = compress(nil, Codec(codec), DefaultLevel, payload); err != nil {
				t.Fatal(err)
			}
		}
		b := append(slices.Clone(raw[:HeaderLen]), payload...)
		be := binary.BigEndian
		be.PutUint32(b[atLength:], uint32(len(b)-lengthEnd))
		be.PutUint16(b[atAttributes:], uint16(codec))
		be.PutUint32(b[atCount:], uint32(count))
		Seal(b)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var s Scratch
		records, size := int32(0), 0
		err := Walk(b, Limits{MaxDecompressed: limit}, &s, func(r *Record) error {
			records++
			size += len(r.Raw)
			return nil
		})
		measured, merr := Measure(b, limit)
		runtime.ReadMemStats(&after)
		if got, may := after.TotalAlloc-before.TotalAlloc, uint64(64*len(b)+40*limit+24<<20); got > may {
			t.Errorf("%d bytes allocated for %d bytes of %s", got, len(b), Codec(codec))
		}
		if err == nil && (records != count || size > limit && codec != 0 || merr != nil || measured != size) {
			t.Errorf("%d records of %d bytes, announced %d, measured %d (%v)", records, size, count, measured, merr)
		}
	})
}
