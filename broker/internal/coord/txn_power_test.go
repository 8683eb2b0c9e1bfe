package coord_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fate is how far a transaction has come for its client.
type fate int

const (
	begun fate = iota
	commitAsked
	commitAnswered
	abortAsked
	abortAnswered
)

const (
	powerProducers    = 2
	powerTransactions = 8 // of each
)

// cut is what a disk holds when the power goes, and what the client knew by then.
type cut struct {
	op    string
	fs    vfs.FS
	fates [powerProducers][]fate
}

type cutter struct {
	fs *vfs.MemFS

	mu    sync.Mutex
	rng   *rand.Rand
	fates [powerProducers][]fate
	cuts  []cut
}

// set notes what producer n knows of its transaction i.
func (c *cutter) set(n, i int, f fate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i == len(c.fates[n]) {
		c.fates[n] = append(c.fates[n], f)
	}
	c.fates[n][i] = f
}

func (c *cutter) before(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo, errorfs.OpRename, errorfs.OpCreate, errorfs.OpRemove:
	default:
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := cut{op: fmt.Sprintf("%v %s", op.Kind, op.Path)}
	for n := range c.fates { // first what was promised, then the state of the disk
		at.fates[n] = slices.Clone(c.fates[n])
	}
	unsynced := []int{0, 0, 50, 100}[c.rng.IntN(4)]
	at.fs = c.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: c.rng})
	c.cuts = append(c.cuts, at)
	return nil
}

// client is a producer of transactions that are all alike: a record in each of two partitions, and an offset of a group.
type client struct {
	t  *testing.T
	r  *apitest.Rig
	p  txn.Producer
	v2 bool
	n  int // tells it from others: its transactional id, its group, and its records
}

func (c *client) id() string { return fmt.Sprintf("tx%d", c.n) }

func (c *client) group() string { return fmt.Sprintf("g%d", c.n) }

func (c *client) init() {
	c.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); { // what is open is ended first
		err := wait(c.t, func(done func(error)) {
			c.r.API.Txns.Init(context.Background(), c.id(), time.Minute, txn.NoProducer, func(p txn.Producer, err error) { c.p = p; done(err) })
		})
		if err == nil {
			return
		}
		if !errors.Is(err, kerr.ConcurrentTransactions) {
			c.t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	c.t.Fatal("what is open does not end")
}

func (c *client) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) write(i, sequence int) {
	c.t.Helper()
	ctx, txns := context.Background(), c.r.API.Txns
	if !c.v2 {
		c.must(wait(c.t, func(done func(error)) {
			txns.Add(ctx, c.id(), c.p, false, []txn.Partition{{Topic: "t", Index: 0}, {Topic: "t", Index: 1}}, done)
		}))
		c.must(wait(c.t, func(done func(error)) { txns.AddOffsets(ctx, c.id(), c.p, c.group(), done) }))
	}
	for p := range int32(2) {
		raw := apitest.Batch(c.t, strconv.Itoa(1000*c.n+i))
		batch.SetProducer(raw, c.p.ID, c.p.Epoch, int32(sequence))
		batch.SetTransactional(raw)
		batch.Seal(raw)
		id := c.id()
		req := kmsg.NewPtrProduceRequest()
		req.Version, req.Acks, req.TransactionID = 12, -1, &id
		if !c.v2 {
			req.Version = 11
		}
		req.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: p, Records: raw}}}}
		c.must(kerr.ErrorForCode(c.r.Ask(req).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode))
	}
	commit := coord.Commit{Generation: -1, Offsets: []coord.Committed{{Topic: "t", Partition: 0, Offset: coord.Offset{At: int64(i + 1), LeaderEpoch: -1}}}}
	c.must(wait(c.t, func(done func(error)) { txns.CommitOffsets(ctx, c.id(), c.p, c.group(), commit, c.v2, done) }))
}

func (c *client) end(commit bool) {
	c.t.Helper()
	c.must(wait(c.t, func(done func(error)) {
		c.r.API.Txns.End(context.Background(), c.id(), c.p, commit, c.v2, func(p txn.Producer, err error) { c.p = p; done(err) })
	}))
}

// TestPowerLossInTransactions cuts the power before every operation of the disk that makes something durable. Afterwards
// every transaction is there as a whole or not at all, with its offset, as its client was told, and none hangs.
func TestPowerLossInTransactions(t *testing.T) {
	for name, v2 := range map[string]bool{"KIP-890": true, "before": false} {
		t.Run(name, func(t *testing.T) {
			c := &cutter{fs: vfs.NewCrashableMem(), rng: rand.New(rand.NewPCG(5, 6))}
			r := apitest.New(t, errorfs.Wrap(c.fs, errorfs.InjectorFunc(c.before)), "data", nil)
			r.Topic("t", 2)
			var all sync.WaitGroup
			for n := range powerProducers {
				all.Go(func() { c.transact(&client{t: t, r: r, v2: v2, n: n}) })
			}
			all.Wait()
			c.mu.Lock()
			cuts := c.cuts
			c.mu.Unlock()
			t.Logf("%d cuts", len(cuts))
			if t.Failed() || len(cuts) < 8*powerTransactions {
				t.Errorf("only %d cuts", len(cuts))
			}
			for i, at := range cuts {
				if t.Run(strconv.Itoa(i), func(t *testing.T) { checkCut(t, at) }); t.Failed() {
					t.Fatalf("cut %d: %s, fates %v", i, at.op, at.fates)
				}
			}
		})
	}
}

// transact is what one producer does: it commits, aborts, and is fenced by its successor.
func (c *cutter) transact(p *client) {
	p.init()
	sequence := 0
	for i := range powerTransactions {
		c.set(p.n, i, begun)
		p.write(i, sequence)
		if sequence++; p.v2 {
			sequence = 0 // a new epoch
		}
		switch i % 4 {
		case 1:
			c.set(p.n, i, abortAsked)
			p.end(false)
			c.set(p.n, i, abortAnswered)
		case 3:
			p.init()
			sequence = 0
		default:
			c.set(p.n, i, commitAsked)
			p.end(true)
			c.set(p.n, i, commitAnswered)
		}
	}
}

func checkCut(t *testing.T, at cut) {
	r := apitest.New(t, at.fs, "data", nil)
	if r.Meta.Image().Topic("t") == nil {
		for _, fates := range at.fates {
			if len(fates) > 0 {
				t.Fatal("topic t is gone")
			}
		}
		return
	}
	for n := range powerProducers { // ends what was open
		(&client{t: t, r: r, n: n}).init()
	}
	first, second := visible(t, r, 0), visible(t, r, 1)
	for n, fates := range at.fates {
		checkProducer(t, &client{t: t, r: r, n: n}, fates, of(n, first), of(n, second))
	}
}

// of are the transactions of producer n among the records of a partition.
func of(n int, records []int) []int {
	var out []int
	for _, v := range records {
		if v/1000 == n {
			out = append(out, v%1000)
		}
	}
	return out
}

// checkProducer holds what two partitions and a group have of a producer to what it was told.
func checkProducer(t *testing.T, p *client, fates []fate, first, second []int) {
	if !slices.Equal(first, second) {
		t.Errorf("one partition has %v, the other %v", first, second)
	}
	for i, f := range fates {
		switch there := slices.Contains(first, i); {
		case there && f != commitAsked && f != commitAnswered:
			t.Errorf("transaction %d is committed, and nobody asked for it", i)
		case !there && f == commitAnswered:
			t.Errorf("transaction %d was committed, and is not there", i)
		}
	}
	want := []int64{}
	if len(first) > 0 {
		want = append(want, int64(slices.Max(first)+1))
	}
	offsets, err := p.r.API.Groups.Offsets(context.Background(), p.group())
	if err != nil {
		t.Fatal(err)
	}
	got := []int64{}
	for _, o := range offsets {
		if got = append(got, o.At); o.Unstable {
			t.Error("the offset is undecided")
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("committed offsets %v, want %v", got, want)
	}
}

// visible is what consumers that read committed see of a partition of t, each record a number. All of it must be decided.
func visible(t *testing.T, r *apitest.Rig, partition int32) []int {
	t.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.IsolationLevel, req.MaxBytes, req.SessionEpoch = 12, 1, 1<<20, -1
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.PartitionMaxBytes = partition, 1<<20
	req.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{rp}}}
	p := r.Ask(req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if p.ErrorCode != 0 || p.LastStableOffset != p.HighWatermark {
		t.Fatalf("error %d, stable to %d of %d", p.ErrorCode, p.LastStableOffset, p.HighWatermark)
	}
	aborted := map[int64][]int64{} // first offsets, by producer
	for _, a := range p.AbortedTransactions {
		aborted[a.ProducerID] = append(aborted[a.ProducerID], a.FirstOffset)
	}
	var out []int
	for raw := p.RecordBatches; len(raw) > 0; {
		h, err := batch.ReadHeader(raw)
		if err != nil {
			t.Fatal(err)
		}
		b := raw[:h.Size()]
		raw = raw[h.Size():]
		firsts := aborted[h.ProducerID]
		switch skipped := len(firsts) > 0 && h.BaseOffset >= firsts[0]; {
		case h.Control() && skipped:
			aborted[h.ProducerID] = firsts[1:]
		case !h.Control() && !skipped:
			values, _ := apitest.Values(t, b, 0)
			for _, v := range values {
				n, err := strconv.Atoi(v)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, n)
			}
		}
	}
	return out
}
