package batch

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestMarkerRoundTrip(t *testing.T) {
	for _, m := range []Marker{{7, 3, true, 0}, {1 << 40, 32767, false, 12}, {0, 0, true, -1}} {
		raw := AppendMarker([]byte("before"), m, 1234)[len("before"):]
		if !CheckCRC(raw) {
			t.Error("CRC does not match")
		}
		got, err := ReadMarker(raw)
		if err != nil || got != m {
			t.Errorf("read %+v, %v; wrote %+v", got, err, m)
		}
		// Kafka's own forms of key and value, by another decoder.
		var s Scratch
		if err := Walk(raw, Limits{}, &s, func(r *Record) error {
			var k kmsg.ControlRecordKey
			var v kmsg.EndTxnMarker
			if err := errors.Join(k.ReadFrom(r.Key), v.ReadFrom(r.Value)); err != nil {
				return err
			}
			if (k.Type == kmsg.ControlRecordKeyTypeCommit) != m.Commit || v.CoordinatorEpoch != m.CoordinatorEpoch {
				t.Errorf("kmsg reads %v, %v", k, v)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}

func TestDamagedMarkersAreErrors(t *testing.T) {
	raw := AppendMarker(nil, Marker{ProducerID: 1, Commit: true}, 1)
	for i := HeaderLen; i < len(raw); i++ {
		for _, v := range []byte{0x00, 0x7f, 0xff} {
			b := append([]byte(nil), raw...)
			b[i] = v
			_, _ = ReadMarker(b) // must not panic
		}
		if _, err := ReadMarker(raw[:i]); err == nil {
			t.Errorf("cut at %d: no error", i)
		}
	}
	b := NewBuilder(None)
	b.Append(1, []byte("key"), []byte("value"), nil)
	data, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMarker(data); !errors.Is(err, ErrNoMarker) {
		t.Errorf("a batch of records: %v", err)
	}
}
