package replica

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/leatstream/leat/broker/internal/storage"
	"github.com/leatstream/leat/internal/batch"
)

// TestPowerLossLosesNothingAcknowledged cuts the power before every write to the file system while two partitions are
// appended to. What acks=all was told, and what a consumer was shown, must be there.
func TestPowerLossLosesNothingAcknowledged(t *testing.T) {
	mem := vfs.NewCrashableMem()
	type crash struct {
		fs   *vfs.MemFS
		seen [2]int64
		op   string
	}
	var mu sync.Mutex
	var seen [2]int64
	var crashes []crash
	rng := rand.New(rand.NewPCG(3, 4))
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			mu.Lock()
			defer mu.Unlock()
			for _, percent := range []int{0, 50, 100} {
				before := seen // what was promised by now must be in a copy made after
				crashes = append(crashes, crash{mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}), before, fmt.Sprint(op.Kind, " ", op.Path)})
			}
		}
		return nil
	}))
	cfg := defaults
	cfg.Log = storage.LogConfig{SegmentBytes: 300}
	note := func(i int, p *Partition, next int64) {
		hw, err := p.HighWatermark()
		if err != nil || hw < next {
			t.Errorf("high watermark %d after %d was acknowledged: %v", hw, next, err)
		}
		mu.Lock()
		seen[i] = max(seen[i], hw)
		mu.Unlock()
	}
	m := manager(t, fs)
	var both sync.WaitGroup
	for i := range 2 {
		both.Go(func() {
			p := m.Open(ID{Partition: int32(i)}, 0, cfg)
			for n := range 20 {
				acks := int16(-1)
				if n%4 == 0 {
					acks = 1
				}
				r, err := produce(p, build(t, batch.None, "a", "b"), acks)
				if err != nil {
					t.Error(err)
					return
				}
				if acks == -1 {
					note(i, p, r.BaseOffset+2)
				} else {
					note(i, p, 0)
				}
			}
		})
	}
	both.Wait()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	all := slices.Clone(crashes) // a mark may still be on its way to the disk
	mu.Unlock()
	if len(all) < 200 {
		t.Fatalf("only %d crashes: the injector does not see the operations", len(all))
	}
	for n, c := range all {
		m := manager(t, c.fs)
		for i := range 2 {
			p := m.Open(ID{Partition: int32(i)}, 0, cfg)
			hw, err := p.HighWatermark()
			if err != nil || hw < c.seen[i] {
				t.Fatalf("crash %d before %s: partition %d: %d were promised, %d are there: %v", n, c.op, i, c.seen[i], hw, err)
			}
			for at := int64(0); at < hw; {
				r, err := p.Read(at, 1, true, false)
				if err != nil || r.Chunk.Len == 0 {
					t.Fatalf("crash %d before %s: partition %d offset %d of %d: %v", n, c.op, i, at, hw, err)
				}
				raw := make([]byte, r.Chunk.Len)
				err = r.Chunk.ReadInto(raw)
				r.Chunk.Release()
				h, herr := batch.ReadHeader(raw)
				if err != nil || herr != nil || h.BaseOffset != at || !batch.CheckCRC(raw) {
					t.Fatalf("crash %d before %s: partition %d offset %d: %+v %v %v", n, c.op, i, at, h, err, herr)
				}
				at = h.LastOffset() + 1
			}
		}
	}
}
