package coord_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/broker/internal/storage"
)

// TestCompactionKeepsTransactions: what the coordinator reads after its topics were compacted is what it knew before,
// with offsets of transactions that were committed, aborted and are open.
func TestCompactionKeepsTransactions(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewCrashableMem()
	r := apitest.New(t, fs, "data", nil)
	r.Topic("t", 2)
	c := &client{t: t, r: r, v2: true}
	c.init()
	transact := func(from, to int) {
		for i := from; i < to; i++ {
			c.write(i, 0)
			c.end(i%3 != 2)
		}
	}
	transact(0, 1) // makes the topics
	internal := func(fn func(p *replica.Partition)) {
		for _, name := range []string{coord.OffsetsTopic, coord.TransactionsTopic} {
			topic := r.Meta.Image().Topic(name)
			for i := range topic.Partitions {
				fn(r.Replicas.Get(replica.ID{Topic: topic.ID, Partition: int32(i)}))
			}
		}
	}
	internal(func(p *replica.Partition) {
		p.Configure(replica.Config{
			Log: storage.LogConfig{SegmentBytes: 1000}, MaxMessageBytes: 1 << 20, Durable: true, Compacted: true,
			Compaction: storage.Compaction{DirtyRatio: 0.01},
		})
	})
	before, after := int64(0), int64(0)
	transact(1, 60)
	for range 3 {
		transact(60, 63)
		internal(func(p *replica.Partition) {
			size, err := p.Size()
			if err != nil {
				t.Fatal(err)
			}
			before += size
			if err := p.Compact(1<<20, func(int) error { return nil }, time.Now()); err != nil {
				t.Fatal(err)
			}
			if size, err = p.Size(); err != nil {
				t.Fatal(err)
			}
			after += size
		})
	}
	if after >= before {
		t.Errorf("compaction has freed nothing: %d of %d bytes are left", after, before)
	}
	c.write(100, 0) // stays open

	for _, rig := range []*apitest.Rig{r, apitest.New(t, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 2))}), "data", nil)} {
		offsets, err := rig.API.Groups.Offsets(ctx, "g0")
		if err != nil || len(offsets) != 1 || offsets[0].At != 62 || !offsets[0].Unstable {
			t.Errorf("%+v %v", offsets, err)
		}
		x, err := rig.API.Txns.Describe(ctx, "tx0")
		if err != nil || x.Producer != c.p || len(x.Partitions) != 3 {
			t.Errorf("%+v %v", x, err)
		}
		last := &client{t: t, r: rig, v2: true, p: c.p}
		last.end(true)
		if offsets, err = rig.API.Groups.Offsets(ctx, "g0"); err != nil || len(offsets) != 1 || offsets[0].At != 101 || offsets[0].Unstable {
			t.Errorf("%+v %v", offsets, err)
		}
	}
}
