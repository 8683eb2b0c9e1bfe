package batch

import (
	"fmt"
	"testing"
)

// TestRewriteKeepsWhatIsKept rewrites batches of every codec and compares each record that stays with what it was.
func TestRewriteKeepsWhatIsKept(t *testing.T) {
	for _, codec := range codecs {
		for _, horizon := range []int64{-1, 5_000_000} {
			raw := sample(t, codec, 10)
			SetBaseOffset(raw, 77)
			SetLeaderEpoch(raw, 3)
			SetProducer(raw, 9, 2, 100)
			Seal(raw)
			var s Scratch
			out, err := Rewrite([]byte("before"), raw, &s, horizon, func(r *Record) bool { return r.OffsetDelta%3 == 1 })
			if err != nil {
				t.Fatal(err)
			}
			out = out[len("before"):]
			was, _ := ReadHeader(raw)
			h, err := ReadHeader(out)
			if err != nil || !CheckCRC(out) || h.Size() != len(out) {
				t.Fatalf("%s: %+v %v", codec, h, err)
			}
			if at, ok := h.DeleteHorizon(); ok != (horizon >= 0) || ok && at != horizon {
				t.Errorf("%s: delete horizon %d %v", codec, at, ok)
			}
			if h.BaseOffset != 77 || h.LastOffset() != was.LastOffset() || h.Count != 3 || h.LeaderEpoch != 3 || h.MaxTimestamp != 1007 ||
				h.ProducerID != 9 || h.ProducerEpoch != 2 || h.BaseSequence != 100 || h.Codec() != codec {
				t.Errorf("%s: %+v", codec, h)
			}
			var got []string
			if err := Walk(out, Limits{}, &s, func(r *Record) error {
				got = append(got, fmt.Sprintf("%d %d %s %d %s", r.OffsetDelta, h.BaseTimestamp+r.TimestampDelta, r.Key, len(r.Value), r.Headers[0].Value))
				return nil
			}); err != nil || fmt.Sprint(got) != "[1 1001 key-1 120 x 4 1004 key-4 120 x 7 1007 key-7 120 x]" {
				t.Errorf("%s: %v %v", codec, got, err)
			}
			// Once more: the horizon that was set stays, whatever is asked.
			again, err := Rewrite(nil, out, &s, 9_000_000, func(*Record) bool { return true })
			if err != nil {
				t.Fatal(err)
			}
			h, _ = ReadHeader(again)
			if at, ok := h.DeleteHorizon(); !ok || horizon >= 0 && at != horizon || h.MaxTimestamp != 1007 {
				t.Errorf("%s: delete horizon %d %v", codec, at, ok)
			}
		}
	}
}

func TestEmpty(t *testing.T) {
	raw := sample(t, Zstd, 10)
	SetProducer(raw, 9, 2, 100)
	SetTransactional(raw)
	SetBaseOffset(raw, 5)
	Seal(raw)
	for _, producer := range []bool{true, false} {
		out, err := Empty(nil, raw, producer)
		if err != nil {
			t.Fatal(err)
		}
		h, err := ReadHeader(out)
		if err != nil || len(out) != HeaderLen || !CheckCRC(out) || h.Count != 0 || h.BaseOffset != 5 || h.LastOffset() != 14 || h.Codec() != None {
			t.Errorf("%+v %v", h, err)
		}
		if (h.ProducerID == 9) != producer || (h.BaseSequence == 100) != producer || h.Transactional() != producer {
			t.Errorf("%+v", h)
		}
		var s Scratch
		if err := Walk(out, Limits{}, &s, func(*Record) error { t.Error("a record"); return nil }); err != nil {
			t.Error(err)
		}
	}
}

// FuzzRewrite: an error, whatever the bytes are, and nothing appended.
func FuzzRewrite(f *testing.F) {
	for _, codec := range codecs {
		f.Add(sample(f, codec, 3))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var s Scratch
		out, err := Rewrite([]byte{1}, raw, &s, 5, func(r *Record) bool { return len(r.Key)%2 == 0 })
		if err != nil && len(out) != 1 {
			t.Error("something was appended in spite of an error")
		}
		if err == nil && !CheckCRC(out[1:]) {
			t.Error("a batch without a right CRC")
		}
	})
}
