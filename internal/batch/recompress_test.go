package batch

import (
	"errors"
	"slices"
	"testing"
)

// TestRecompressKeepsAllButTheCodec goes from every codec to every other at every kind of level.
func TestRecompressKeepsAllButTheCodec(t *testing.T) {
	levels := map[Codec][]int{None: {DefaultLevel}, Gzip: {DefaultLevel, -1, 1, 9}, Snappy: {DefaultLevel}, LZ4: {DefaultLevel, 1, 9, 12, 17}, Zstd: {DefaultLevel, -131072, 3, 22}}
	for _, from := range codecs {
		raw := sample(t, from, 50)
		SetProducer(raw, 7, 3, 11)
		SetTransactional(raw)
		SetLogAppendTime(raw, 5000)
		Seal(raw)
		for _, to := range codecs {
			for _, level := range levels[to] {
				var s Scratch
				var walked []int32
				out, err := Recompress([]byte("before"), raw, to, level, Limits{}, &s, func(r *Record) error {
					walked = append(walked, r.OffsetDelta)
					return nil
				})
				if err != nil || len(walked) != 50 || string(out[:6]) != "before" {
					t.Fatalf("%s to %s at %d: %v, %d records", from, to, level, err, len(walked))
				}
				out = out[6:]
				was, _ := ReadHeader(raw)
				is, err := ReadHeader(out)
				if err != nil || is.Size() != len(out) || !CheckCRC(out) || is.Codec() != to {
					t.Errorf("%s to %s at %d: %+v %v", from, to, level, is, err)
				}
				is.CRC, is.BatchLength, is.Attributes = was.CRC, was.BatchLength, is.Attributes&^codecMask|was.Attributes&codecMask
				if is != was {
					t.Errorf("%s to %s at %d: %+v became %+v", from, to, level, was, is)
				}
				if !slices.Equal(plain(t, raw), plain(t, out)) {
					t.Errorf("%s to %s at %d: other records", from, to, level)
				}
			}
		}
	}
}

func plain(t *testing.T, raw []byte) []byte {
	t.Helper()
	var s Scratch
	_, body, err := Records(raw, Limits{}, &s)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestRecompressRefuses(t *testing.T) {
	raw := sample(t, Gzip, 3)
	var s Scratch
	no := errors.New("no")
	if out, err := Recompress([]byte("x"), raw, Zstd, DefaultLevel, Limits{}, &s, func(*Record) error { return no }); !errors.Is(err, no) || string(out) != "x" {
		t.Error(err)
	}
	if _, err := Recompress(nil, raw, Zstd, DefaultLevel, Limits{MaxDecompressed: 100}, &s, func(*Record) error { return nil }); !errors.Is(err, ErrTooBig) {
		t.Error(err)
	}
}
