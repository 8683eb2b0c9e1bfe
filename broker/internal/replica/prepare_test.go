package replica

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/internal/batch"
	"pgregory.net/rapid"
)

type rec struct {
	ago time.Duration
	key string // none: ""
}

func timed(t *testing.T, codec batch.Codec, recs ...rec) []byte {
	t.Helper()
	b := batch.NewBuilder(codec)
	for _, r := range recs {
		var key []byte
		if r.key != "" {
			key = []byte(r.key)
		}
		at := now.Add(-r.ago).UnixMilli()
		if r.ago < 0 && r.key == "never" {
			at = -1
		}
		b.Append(at, key, []byte("v"), nil)
	}
	raw, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestRecordsAreRefusedOneByOne: which records, and why, as Kafka tells it.
func TestRecordsAreRefusedOneByOne(t *testing.T) {
	bounded := defaults
	bounded.TimestampBefore = time.Minute
	compacted := defaults
	compacted.Compacted = true
	both := bounded
	both.Compacted = true
	stamped := both
	stamped.LogAppendTime = true
	many := make([]rec, 150)
	for _, c := range []struct {
		name    string
		cfg     Config
		recs    []rec
		kind    error
		message string
		indexes string
	}{
		{"old ones", bounded, []rec{{0, "k"}, {time.Hour, "k"}, {2 * time.Minute, ""}}, ErrInvalidTime, "invalid timestamp", "[1 2]"},
		{"one of the future", bounded, []rec{{-2 * time.Hour, "k"}, {0, "k"}}, ErrInvalidTime, "invalid timestamp", "[0]"},
		{"without a time", bounded, []rec{{-1, "never"}}, nil, "", ""},
		{"without keys", compacted, []rec{{0, ""}, {0, "k"}, {time.Hour, ""}}, ErrInvalidRecord, "due to 2 record errors in total, and only showing the first three errors at most: [RecordError(batchIndex=0, message='Compacted topic cannot accept message without key'), RecordError(batchIndex=2", "[0 2]"},
		{"both", both, []rec{{0, ""}, {time.Hour, ""}}, ErrInvalidTime, "invalid timestamp", "[0 1]"},
		{"the broker's time counts", stamped, []rec{{time.Hour, "k"}}, nil, "", ""},
		{"many", compacted, many, ErrInvalidRecord, "due to 150 record errors", "100"},
	} {
		for _, codec := range []batch.Codec{batch.None, batch.Zstd} {
			p := manager(t, vfs.NewMem()).Open(ID{}, 0, c.cfg)
			_, err := produce(p, timed(t, codec, c.recs...), -1)
			var refused *RecordsError
			if c.kind == nil {
				if err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
				continue
			}
			if !errors.Is(err, c.kind) || !errors.As(err, &refused) || !strings.Contains(refused.Message, c.message) {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			var indexes []int32
			for _, r := range refused.Records {
				indexes = append(indexes, r.Index)
			}
			if got := fmt.Sprint(indexes); got != c.indexes && fmt.Sprint(len(indexes)) != c.indexes {
				t.Errorf("%s: records %s", c.name, got)
			}
			if end, err := p.EndOffset(); end != 0 || err != nil {
				t.Errorf("%s: the log ends at %d, %v", c.name, end, err)
			}
		}
	}
}

// TestTopicsCompressTheirWay: whatever producers send, in whatever topic, is stored as the topic has it and reads the same.
func TestTopicsCompressTheirWay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := defaults
		cfg.Compression = &Compression{Codec: batch.Codec(rapid.IntRange(0, 4).Draw(rt, "topic's")), Level: batch.DefaultLevel}
		cfg.LogAppendTime = rapid.Bool().Draw(rt, "append time")
		cfg.Compacted = rapid.Bool().Draw(rt, "compacted")
		p := manager(t, vfs.NewMem()).Open(ID{}, 0, cfg)
		var want []string
		for range rapid.IntRange(1, 4).Draw(rt, "batches") {
			var recs []rec
			for i := range rapid.IntRange(1, 5).Draw(rt, "records") {
				recs = append(recs, rec{time.Duration(i) * time.Second, "k"})
				at := now.Add(-time.Duration(i) * time.Second).UnixMilli()
				if cfg.LogAppendTime {
					at = now.UnixMilli()
				}
				want = append(want, fmt.Sprintf("%d at %d", len(want), at))
			}
			raw := timed(t, batch.Codec(rapid.IntRange(0, 4).Draw(rt, "producer's")), recs...)
			if _, err := produce(p, raw, -1); err != nil {
				rt.Fatal(err)
			}
		}
		read, err := p.Read(0, 1<<20, true, false)
		if err != nil {
			rt.Fatal(err)
		}
		defer read.Chunk.Release()
		stored := make([]byte, read.Chunk.Len)
		if err := read.Chunk.ReadInto(stored); err != nil {
			rt.Fatal(err)
		}
		var got []string
		var s batch.Scratch
		for len(stored) > 0 {
			h, err := batch.ReadHeader(stored)
			if err != nil || h.Codec() != cfg.Compression.Codec || !batch.CheckCRC(stored[:h.Size()]) {
				rt.Fatalf("%+v %v", h, err)
			}
			if err := batch.Walk(stored[:h.Size()], batch.Limits{}, &s, func(r *batch.Record) error {
				at := h.BaseTimestamp + r.TimestampDelta
				if h.LogAppendTime() {
					at = h.MaxTimestamp
				}
				got = append(got, fmt.Sprintf("%d at %d", h.BaseOffset+int64(r.OffsetDelta), at))
				return nil
			}); err != nil {
				rt.Fatal(err)
			}
			stored = stored[h.Size():]
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			rt.Fatalf("read %v, want %v", got, want)
		}
	})
}

// TestCompressedAnewItMustFit: what a producer squeezed under the limit may be above it as the topic wants it.
func TestCompressedAnewItMustFit(t *testing.T) {
	cfg := defaults
	cfg.MaxMessageBytes, cfg.Compression = 1000, &Compression{Codec: batch.None}
	b := batch.NewBuilder(batch.Gzip)
	b.Append(now.UnixMilli(), nil, make([]byte, 2000), nil)
	raw, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := manager(t, vfs.NewMem()).Open(ID{}, 0, cfg)
	if _, err := produce(p, raw, -1); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

// TestFlushes: what nobody waits for still gets to the disk, by number and by age.
func TestFlushes(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		n    int
	}{
		{"by number", Config{FlushMessages: 5}, 3},
		{"by age", Config{FlushAge: time.Millisecond}, 1},
	} {
		fs := vfs.NewCrashableMem()
		c.cfg.MaxMessageBytes = 1 << 20
		p := manager(t, fs).Open(ID{}, 0, c.cfg)
		for range c.n {
			if _, err := produce(p, build(t, batch.None, "a", "b"), -1); err != nil {
				t.Fatal(err)
			}
		}
		for end := time.Now().Add(3 * time.Minute); ; time.Sleep(time.Millisecond) {
			if durable, err := p.log.DurableOffset(); err != nil || durable == int64(2*c.n) {
				break
			} else if time.Now().After(end) {
				t.Errorf("%s: durable up to %d", c.name, durable)
				break
			}
		}
	}
}
