package replica

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/storage"
	"github.com/leatstream/leat/internal/batch"
)

var now = time.UnixMilli(1_700_000_000_000)

func manager(t *testing.T, fs vfs.FS) *Manager {
	t.Helper()
	d, err := storage.OpenDir(fs, "data")
	if err != nil {
		t.Fatal(err)
	}
	return NewManager(d)
}

var defaults = Config{MaxMessageBytes: 1 << 20, Durable: true, TimestampAfter: time.Hour}

func build(t *testing.T, codec batch.Codec, keys ...string) []byte {
	t.Helper()
	b := batch.NewBuilder(codec)
	for _, k := range keys {
		var key []byte
		if k != "" {
			key = []byte(k)
		}
		b.Append(now.UnixMilli(), key, []byte("v"), nil)
	}
	raw, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func produce(p *Partition, b []byte, acks int16) (Result, error) {
	type answer struct {
		Result
		error
	}
	done := make(chan answer, 2)
	p.Append(b, acks, NotAsked, now, func(r Result, err error) { done <- answer{r, err} })
	a := <-done
	return a.Result, a.error
}

type signal chan struct{}

func (s signal) PartitionChanged() {
	select {
	case s <- struct{}{}:
	default:
	}
}

func TestAcknowledgedIsVisibleAndSurvivesPowerLoss(t *testing.T) {
	fs := vfs.NewCrashableMem()
	m := manager(t, fs)
	p := m.Open(ID{Partition: 1}, 0, defaults)
	news := make(signal, 1)
	p.Subscribe(news, 0)
	for i := range 5 {
		r, err := produce(p, build(t, batch.None, "a", "b"), -1)
		if err != nil || r.BaseOffset != int64(2*i) {
			t.Fatalf("%+v %v", r, err)
		}
		<-news
		if hw, _ := p.HighWatermark(); hw != int64(2*i+2) {
			t.Fatalf("high watermark %d", hw)
		}
		crashed := manager(t, fs.CrashClone(vfs.CrashCloneCfg{})).Open(ID{Partition: 1}, 0, defaults)
		if hw, err := crashed.HighWatermark(); err != nil || hw != int64(2*i+2) {
			t.Fatalf("after power loss: %d %v", hw, err)
		}
	}
}

// TestTheEndIsSettledBeforeItIsTold: where a producer with acks=1 was answered, the end that it asks for has its record.
func TestTheEndIsSettledBeforeItIsTold(t *testing.T) {
	p := manager(t, vfs.NewMem()).Open(ID{}, 0, defaults)
	p.Settle() // an empty partition keeps nobody
	for i := range int64(100) {
		if _, err := produce(p, build(t, batch.None, "a"), 1); err != nil {
			t.Fatal(err)
		}
		p.Settle()
		if hw, err := p.HighWatermark(); err != nil || hw != i+1 {
			t.Fatalf("%d records: high watermark %d, %v", i+1, hw, err)
		}
	}
}

func TestProducersMistakesAreNamed(t *testing.T) {
	patch := func(f func([]byte)) []byte {
		b := build(t, batch.None, "a", "b")
		f(b)
		batch.Seal(b)
		return b
	}
	flip := build(t, batch.Zstd, "a")
	flip[len(flip)-1] ^= 1
	two := append(build(t, batch.None, "a"), build(t, batch.None, "b")...)
	late := batch.NewBuilder(batch.None)
	late.Append(now.Add(2*time.Hour).UnixMilli(), nil, nil, nil)
	future, _ := late.Build(nil)
	compacted := defaults
	compacted.Compacted = true
	small := defaults
	small.MaxMessageBytes = 50
	tiny, flat := defaults, defaults
	tiny.Log.SegmentBytes = 70
	flat.MaxDecompressed = 10
	for _, c := range []struct {
		name string
		b    []byte
		cfg  Config
		want error
	}{
		{"empty", nil, defaults, ErrInvalidRecord},
		{"a base offset of its own", patch(func(b []byte) { b[7] = 5 }), defaults, ErrInvalidRecord},
		{"a header that claims a later time", patch(func(b []byte) { b[35] = 1 }), defaults, ErrInvalidTime},
		{"larger than a segment", build(t, batch.None, "a", "b"), tiny, ErrBatchTooLarge},
		{"more than may be decompressed", build(t, batch.Gzip, "a", "b"), flat, ErrInvalidRecord},
		{"uncompressed it may be more", build(t, batch.None, "a", "b"), flat, nil},
		{"short", build(t, batch.None, "a")[:65], defaults, ErrCorrupt},
		{"bit flip", flip, defaults, ErrCorrupt},
		{"old magic", patch(func(b []byte) { b[16] = 1 }), defaults, ErrMagic},
		{"two batches", two, defaults, ErrInvalidRecord},
		{"no records", patch(func(b []byte) { b[60] = 0 }), defaults, ErrInvalidRecord},
		{"control", patch(func(b []byte) { b[22] |= 1 << 5 }), defaults, ErrInvalidRecord},
		{"append time by client", patch(func(b []byte) { b[22] |= 1 << 3 }), defaults, ErrInvalidTime},
		{"producer without sequence", patch(func(b []byte) { batch.SetProducer(b, 7, 0, -1) }), defaults, ErrInvalidRecord},
		{"future", future, defaults, ErrInvalidTime},
		{"too large", build(t, batch.None, "a"), small, ErrTooLarge},
		{"no key in a compacted topic", build(t, batch.LZ4, "a", ""), compacted, ErrInvalidRecord},
		{"keys in a compacted topic", build(t, batch.LZ4, "a", "b"), compacted, nil},
	} {
		p := manager(t, vfs.NewMem()).Open(ID{}, 0, c.cfg)
		if _, err := produce(p, c.b, -1); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestLogAppendTime(t *testing.T) {
	cfg := defaults
	cfg.LogAppendTime = true
	p := manager(t, vfs.NewMem()).Open(ID{}, 0, cfg)
	r, err := produce(p, build(t, batch.Gzip, "a"), -1)
	if err != nil || r.LogAppendTime != now.UnixMilli() {
		t.Fatalf("%+v %v", r, err)
	}
	read, err := p.Read(0, 1000, true, false)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, read.Chunk.Len)
	if err := read.Chunk.ReadInto(raw); err != nil || !batch.CheckCRC(raw) {
		t.Errorf("the batch on disk has a wrong CRC (%v)", err)
	}
	read.Chunk.Release()
	if off, at, err := p.OffsetForTime(now.UnixMilli(), false); off != 0 || at != now.UnixMilli() || err != nil {
		t.Errorf("%d %d %v", off, at, err)
	}
}

func TestDeletedPartitionAnswers(t *testing.T) {
	m := manager(t, vfs.NewMem())
	p := m.Open(ID{}, 0, defaults)
	if _, err := produce(p, build(t, batch.None, "a"), -1); err != nil {
		t.Fatal(err)
	}
	news := make(signal, 1)
	p.Subscribe(news, 0)
	if err := m.Delete(ID{}); err != nil {
		t.Fatal(err)
	}
	<-news
	if _, err := produce(p, build(t, batch.None, "a"), -1); !errors.Is(err, ErrGone) {
		t.Errorf("append: %v", err)
	}
	if _, err := p.Read(0, 10, true, false); !errors.Is(err, ErrGone) {
		t.Errorf("read: %v", err)
	}
	for what, err := range asked(p) {
		if !errors.Is(err, ErrGone) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if m.Get(ID{}) != nil {
		t.Error("still there")
	}
}

// asked is what questions to a partition fail with.
func asked(p *Partition) map[string]error {
	out := map[string]error{}
	_, out["start"] = p.StartOffset()
	_, out["end"] = p.EndOffset()
	_, out["stable"] = p.LastStableOffset()
	_, out["size"] = p.Size()
	_, out["producers"] = p.Producers(time.Now())
	_, _, out["time"] = p.OffsetForTime(0, true)
	_, _, out["largest time"] = p.MaxTime(true)
	_, _, out["epoch"] = p.EpochEnd(0)
	return out
}

// TestClosedIsNotDeleted: a broker that stops must not let anybody believe that a partition is gone: a transaction would be
// complete without its marker.
func TestClosedIsNotDeleted(t *testing.T) {
	m := manager(t, vfs.NewMem())
	p := m.Open(ID{}, 0, defaults)
	if _, err := produce(p, build(t, batch.None, "a"), -1); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	failed := asked(p)
	p.AppendMarker(Marker{ProducerID: 1}, now, func(_ Result, err error) { failed["marker"] = err })
	for what, err := range failed {
		if !errors.Is(err, storage.ErrClosed) || errors.Is(err, ErrGone) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestReadBeyondTheEndIsOutOfRange(t *testing.T) {
	p := manager(t, vfs.NewMem()).Open(ID{}, 3, defaults)
	if _, err := p.Read(1, 10, true, false); !errors.Is(err, ErrOutOfRange) {
		t.Error(err)
	}
	if r, err := p.Read(0, 10, true, false); err != nil || r.Chunk.Len != 0 {
		t.Error(r, err)
	}
	for epoch, want := range map[int32]error{-1: nil, 3: nil, 2: ErrEpochOld, 4: ErrEpochFuture} {
		if err := p.CheckEpoch(epoch); !errors.Is(err, want) {
			t.Errorf("epoch %d: %v", epoch, err)
		}
	}
	if e, end, err := p.EpochEnd(3); fmt.Sprint(e, end, err) != "3 0 <nil>" {
		t.Error(e, end, err)
	}
}
