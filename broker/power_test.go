package broker_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	powerPartitions = 3
	powerRecords    = 25 // a partition
)

// cut is what a disk holds when the power goes, and what had been acknowledged by then.
type cut struct {
	op    string
	fs    vfs.FS
	acked [powerPartitions]int64
	extra int64 // topics whose creation was answered
	gone  int64 // and whose deletion was
}

// cutter notes a cut before every operation that makes something durable.
type cutter struct {
	fs    *vfs.MemFS
	acked [powerPartitions]atomic.Int64
	extra atomic.Int64
	gone  atomic.Int64

	mu   sync.Mutex
	rng  *rand.Rand
	cuts []cut
}

func (c *cutter) before(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo, errorfs.OpRename, errorfs.OpCreate, errorfs.OpRemove:
	default:
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := cut{op: fmt.Sprintf("%v %s", op.Kind, op.Path), extra: c.extra.Load(), gone: c.gone.Load()}
	for p := range c.acked { // first what was promised, then the state of the disk
		at.acked[p] = c.acked[p].Load()
	}
	unsynced := []int{0, 0, 50, 100}[c.rng.IntN(4)]
	at.fs = c.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: c.rng})
	c.cuts = append(c.cuts, at)
	return nil
}

// embedded runs a broker without ports until the returned function is called.
func embedded(t *testing.T, fs vfs.FS) (*broker.Broker, func()) {
	t.Helper()
	return embeddedIn(t, "data", fs)
}

func embeddedIn(t *testing.T, dir string, fs vfs.FS) (*broker.Broker, func()) {
	t.Helper()
	b, err := broker.New(broker.Config{DataDir: dir, FS: fs, Listen: []string{}, Properties: map[string]string{
		"metadata.log.max.record.bytes.between.snapshots": "500", // some, however little happens
	}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- b.Run(context.Background()) }()
	select {
	case <-b.Ready():
	case err := <-done:
		t.Fatalf("the broker does not start: %v", err)
	}
	return b, func() {
		if err := b.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func dialed(t *testing.T, b *broker.Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers("leat-0:9092"), kgo.Dialer(b.DialContext)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

// TestPowerLossAtEverySync cuts the power before every operation of the disk that makes something durable, while
// producers with acks=all write through a whole broker and topics come and go: whatever was acknowledged is there
// afterwards, in order and without a gap, and nothing else lies there.
func TestPowerLossAtEverySync(t *testing.T) {
	fs := vfs.NewCrashableMem()
	c := &cutter{fs: fs, rng: rand.New(rand.NewPCG(1, 2))}
	b, stop := embedded(t, errorfs.Wrap(fs, errorfs.InjectorFunc(c.before)))
	ctx := testContext(t)
	adm := kadm.NewClient(dialed(t, b))
	if _, err := adm.CreateTopic(ctx, powerPartitions, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for p := range int32(powerPartitions) {
		wg.Go(func() {
			cl := dialed(t, b, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()))
			defer cl.Close()
			for i := range int64(powerRecords) {
				value := binary.BigEndian.AppendUint64(nil, uint64(i))
				if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: p, Value: value}).FirstErr(); err != nil {
					t.Errorf("produce: %v", err)
					return
				}
				c.acked[p].Store(i + 1)
			}
		})
	}
	wg.Go(func() {
		cl := dialed(t, b)
		defer cl.Close()
		for i := range int64(5) {
			name := fmt.Sprintf("gone-%d", i)
			if _, err := adm.CreateTopic(ctx, 1, 1, nil, name); err != nil {
				t.Errorf("create: %v", err)
				return
			}
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: name, Value: []byte("x")}).FirstErr(); err != nil {
				t.Errorf("produce: %v", err)
				return
			}
			if _, err := adm.DeleteTopics(ctx, name); err != nil {
				t.Errorf("delete: %v", err)
				return
			}
			c.gone.Store(i + 1)
		}
	})
	wg.Go(func() {
		for i := range int64(10) {
			if _, err := adm.CreateTopic(ctx, 1, 1, nil, fmt.Sprintf("extra-%d", i)); err != nil {
				t.Errorf("create: %v", err)
				return
			}
			c.extra.Store(i + 1)
		}
	})
	wg.Wait()
	adm.Close()
	stop()
	if len(c.cuts) < powerRecords {
		t.Fatalf("only %d cuts", len(c.cuts))
	}
	t.Logf("%d cuts", len(c.cuts))
	for i, cut := range c.cuts {
		if t.Failed() {
			return
		}
		verify(t, i, cut)
		in, err := broker.Inspect(cut.fs, "data", true)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range in.Faults {
			if f.Kind != "set aside" {
				t.Errorf("cut %d (%s): after the next start %+v", i, cut.op, f)
			}
		}
	}
}

// verify starts a broker on what a cut left.
func verify(t *testing.T, i int, at cut) {
	t.Helper()
	ctx := testContext(t)
	b, stop := embedded(t, at.fs)
	defer stop()
	cl := dialed(t, b)
	defer cl.Close()
	adm := kadm.NewClient(cl)
	topics, err := adm.ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for n := range at.extra {
		if !topics.Has(fmt.Sprintf("extra-%d", n)) {
			t.Errorf("cut %d (%s): topic extra-%d is gone", i, at.op, n)
		}
	}
	for n := range at.gone {
		if topics.Has(fmt.Sprintf("gone-%d", n)) {
			t.Errorf("cut %d (%s): topic gone-%d is there again", i, at.op, n)
		}
	}
	if !topics.Has("t") {
		if at.acked != [powerPartitions]int64{} {
			t.Errorf("cut %d (%s): topic t is gone", i, at.op)
		}
		return
	}
	ends, err := adm.ListEndOffsets(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(powerPartitions) {
		end, _ := ends.Lookup("t", p)
		if end.Err != nil || end.Offset < at.acked[p] {
			t.Errorf("cut %d (%s): partition %d ends at %d (%v), but %d records were acknowledged", i, at.op, p, end.Offset, end.Err, at.acked[p])
			continue
		}
		checkRecords(ctx, t, b, p, end.Offset)
	}
}

// checkRecords reads partition p from the start: record n holds n.
func checkRecords(ctx context.Context, t *testing.T, b *broker.Broker, p int32, end int64) {
	t.Helper()
	cl := dialed(t, b, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {p: kgo.NewOffset().AtStart()}}))
	defer cl.Close()
	for n := int64(0); n < end; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("fetch: %v", err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if got := int64(binary.BigEndian.Uint64(r.Value)); r.Offset != n || got != n {
				t.Errorf("partition %d: record %d at %d, want %d", p, got, r.Offset, n)
			}
			n++
		})
	}
}

// TestLeaderAckSurvivesARestart: a stop as by Ctrl-C loses nothing that was answered, though nothing forced it to disk.
func TestLeaderAckSurvivesARestart(t *testing.T) {
	fs := vfs.NewCrashableMem()
	b, stop := embedded(t, fs)
	ctx := testContext(t)
	cl := dialed(t, b, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"))
	for i := range 10 {
		if err := cl.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	cl.Close()
	stop()
	b, stop = embedded(t, fs.CrashClone(vfs.CrashCloneCfg{})) // the stop made it durable
	defer stop()
	adm := kadm.NewClient(dialed(t, b))
	defer adm.Close()
	ends, err := adm.ListEndOffsets(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	if end, _ := ends.Lookup("t", 0); end.Offset != 10 {
		t.Fatalf("%d records after a restart, want 10", end.Offset)
	}
}

// TestADeadMachineIsNotHeard: while power is lost again and again, everything that producers hear is acknowledged is there in
// the end. What a machine says after the moment that its disk is taken from must reach nobody.
func TestADeadMachineIsNotHeard(t *testing.T) {
	c := brokertest.Start(t, 1, brokertest.CrashableFS())
	ctx := testContext(t)
	topicOf(ctx, t, c, "t", 1)
	acks := make(chan struct{}, 1)
	var mu sync.Mutex
	acked := map[string]bool{}
	producing, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for n := range 3 {
		cl := c.Client(t, kgo.DefaultProduceTopic("t"), kgo.DisableIdempotentWrite(), // idempotence would notice what is missing
			kgo.ProducerLinger(0), kgo.MetadataMinAge(10*time.Millisecond))
		wg.Go(func() {
			for i := 0; producing.Err() == nil; i++ {
				value := fmt.Sprintf("%d.%d", n, i)
				if err := cl.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr(); err != nil {
					t.Errorf("%s: %v", value, err)
					return
				}
				mu.Lock()
				acked[value] = true
				mu.Unlock()
				select {
				case acks <- struct{}{}:
				default: // told already
				}
			}
		})
	}
	for round := range uint64(4) {
		for range 30 { // they are at work
			select {
			case <-acks:
			case <-ctx.Done():
				t.Fatal("nobody produces")
			}
		}
		c.PowerLoss(0, round)
	}
	stop()
	wg.Wait()
	end, err := kadm.NewClient(c.Client(t)).ListEndOffsets(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	last, _ := end.Lookup("t", 0)
	for _, r := range consume(ctx, t, c.Client(t, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), int(last.Offset)) {
		delete(acked, string(r.Value))
	}
	if len(acked) > 0 {
		t.Errorf("%d acknowledged records are gone: %v", len(acked), acked)
	}
}
