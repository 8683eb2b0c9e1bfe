package broker_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// hasty are the options of a client that asks again at once, and not often.
func hasty(more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.RecordRetries(2), kgo.RequestRetries(2), kgo.MetadataMinAge(20 * time.Millisecond), kgo.DisableIdempotentWrite(),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }),
	}, more...)
}

// TestDiskFull: while the disk takes nothing, appends, new topics and commits fail with errors that clients retry, and what
// is there is read. With room again all of it goes on, without a restart.
func TestDiskFull(t *testing.T) {
	var full atomic.Bool
	disk := errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpCreate, errorfs.OpMkdirAll, errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFilePreallocate:
			if full.Load() {
				return &os.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
			}
		default:
		}
		return nil
	})
	c := brokertest.Start(t, 1, brokertest.FS(func(fs vfs.FS) vfs.FS {
		if fs == nil {
			fs = vfs.Default
		}
		return errorfs.Wrap(fs, disk)
	}), brokertest.Properties(map[string]string{"offsets.topic.num.partitions": "1"}))
	ctx := testContext(t)
	cl := c.Client(t, hasty(kgo.ConsumeTopics("old"))...)
	adm := kadm.NewClient(cl)
	for _, topic := range []string{"old", "empty"} {
		if r, err := adm.CreateTopic(ctx, 1, 1, nil, topic); err != nil || r.Err != nil {
			t.Fatal(err, r.Err)
		}
	}
	produce := func(topic string) error {
		return cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr()
	}
	commit := func() error {
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: "old", At: 1, LeaderEpoch: -1})
		r, err := adm.CommitOffsets(ctx, "g", offsets)
		return errors.Join(err, r.Error())
	}
	create := func(name string) error {
		r, err := adm.CreateTopic(ctx, 1, 1, nil, name)
		return errors.Join(err, r.Err)
	}
	for range 3 {
		if err := errors.Join(produce("old"), commit()); err != nil {
			t.Fatal(err)
		}
	}
	full.Store(true)
	for _, topic := range []string{"old", "empty"} { // the second has no file yet
		if err := produce(topic); !errors.Is(err, kerr.KafkaStorageError) {
			t.Errorf("an append to %s on a full disk: %v", topic, err)
		}
	}
	if err := commit(); err == nil || !kerr.IsRetriable(err) {
		t.Errorf("a commit on a full disk: %v", err)
	}
	if err := create("later"); err == nil {
		t.Error("a topic was made on a full disk")
	}
	consume(ctx, t, cl, 3)
	full.Store(false)
	if err := errors.Join(produce("old"), produce("empty"), commit(), create("later"), produce("later")); err != nil {
		t.Errorf("with room again: %v", err)
	}
	consume(ctx, t, cl, 1)
}

// TestSlowDisk: every sync takes 200 ms. Nothing is acknowledged before it is on the disk, and what waits takes the memory
// that it may, however much clients send.
func TestSlowDisk(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var latency atomic.Int64
	slow := errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			time.Sleep(time.Duration(latency.Load()))
		default:
		}
		return nil
	})
	const producers, budget = 16, 8 << 20
	c := brokertest.Start(t, 1, brokertest.FS(func(vfs.FS) vfs.FS { return errorfs.Wrap(mem, slow) }),
		brokertest.Properties(map[string]string{"queued.max.request.bytes": "8388608"}))
	ctx, stop := context.WithCancel(testContext(t))
	defer stop()
	if r, err := kadm.NewClient(c.Client(t)).CreateTopic(ctx, producers, 1, nil, "t"); err != nil || r.Err != nil {
		t.Fatal(err, r.Err)
	}
	latency.Store(int64(200 * time.Millisecond))
	var acked [producers]atomic.Int64
	value := bytes.Repeat([]byte("x"), 100_000)
	var writing sync.WaitGroup
	for p := range int32(producers) {
		cl := c.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(5), kgo.ProducerBatchCompression(kgo.NoCompression()))
		writing.Go(func() {
			for ctx.Err() == nil {
				cl.Produce(ctx, &kgo.Record{Topic: "t", Partition: p, Value: value}, func(_ *kgo.Record, err error) {
					if err == nil {
						acked[p].Add(1)
					}
				})
			}
		})
	}
	type cutAt struct {
		fs    vfs.FS
		acked [producers]int64
	}
	var cuts []cutAt
	rng := rand.New(rand.NewPCG(1, 2))
	for len(cuts) < 8 || sum(cuts[len(cuts)-1].acked[:]) == 0 {
		time.Sleep(300 * time.Millisecond)
		if ctx.Err() != nil {
			t.Fatal("nothing was acknowledged")
		}
		var at cutAt
		for p := range acked {
			at.acked[p] = acked[p].Load()
		}
		at.fs = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0, RNG: rng})
		cuts = append(cuts, at)
	}
	held := scrape(t, c)
	inFlight := held[`leat_request_memory_bytes{stage="read"}`] + held[`leat_request_memory_bytes{stage="serve"}`]
	stop()
	latency.Store(0)
	writing.Wait()
	if inFlight > budget {
		t.Errorf("requests hold %v bytes", inFlight)
	}
	for i, at := range cuts {
		b, stopB := embeddedIn(t, c.DataDir(), at.fs)
		cl := dialed(t, b)
		ends, err := kadm.NewClient(cl).ListEndOffsets(testContext(t), "t")
		if err != nil {
			t.Fatal(err)
		}
		for p, n := range at.acked {
			if end, ok := ends.Lookup("t", int32(p)); !ok || end.Offset < n {
				t.Errorf("cut %d: partition %d has %d records, but %d were acknowledged", i, p, end.Offset, n)
			}
		}
		cl.Close()
		stopB()
	}
}

func sum(n []int64) (s int64) {
	for _, v := range n {
		s += v
	}
	return s
}
