package coord_test

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const patience = 3 * time.Minute

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not happen: %s", what)
		}
	}
}

// fullTopic is a disk that refuses to write to the partitions of one topic while it is set.
type fullTopic struct{ topic atomic.Pointer[string] }

func (f *fullTopic) MaybeError(op errorfs.Op) error {
	if t := f.topic.Load(); t != nil && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.Contains(op.Path, *t) {
		return syscall.ENOSPC
	}
	return nil
}

func (f *fullTopic) String() string { return "full topic" }

func (f *fullTopic) set(r *apitest.Rig, topic string) {
	id := r.Meta.Image().Topic(topic).ID
	dir := hex.EncodeToString(id[:])
	f.topic.Store(&dir)
}

// TestAFullDiskDelaysTransactions: what cannot be written is not answered as done, and goes on when there is room.
func TestAFullDiskDelaysTransactions(t *testing.T) {
	ctx := context.Background()
	disk := &fullTopic{}
	r := apitest.New(t, errorfs.Wrap(vfs.NewMem(), disk), "data", nil)
	r.Topic("t", 2)
	c := &client{t: t, r: r, v2: true}
	c.init()
	c.write(0, 0)

	disk.set(r, coord.TransactionsTopic) // the outcome cannot be decided
	end := func(done func(error)) {
		r.API.Txns.End(ctx, "tx0", c.p, true, true, func(p txn.Producer, err error) {
			if err == nil {
				c.p = p
			}
			done(err)
		})
	}
	if err := wait(t, end); !errors.Is(err, kerr.CoordinatorNotAvailable) {
		t.Fatalf("a full disk: %v", err)
	}
	if x, err := r.API.Txns.Describe(ctx, "tx0"); err != nil || x.State != txn.Ongoing {
		t.Fatalf("%+v %v", x, err)
	}

	if err := wait(t, func(done func(error)) { r.API.Txns.Enlist(ctx, "tx0", c.p.ID, c.p.Epoch, "t", 2, true, done) }); !errors.Is(err, kerr.NotEnoughReplicas) {
		t.Errorf("who writes hears of a coordinator: %v", err)
	}

	disk.set(r, "t") // it can be, and the markers cannot be written
	if err := wait(t, end); err != nil {
		t.Fatal(err)
	}
	x, err := r.API.Txns.Describe(ctx, "tx0")
	if err != nil || x.State != txn.PrepareCommit || !slices.Equal(x.Partitions, []txn.Partition{{Topic: "t", Index: 0}, {Topic: "t", Index: 1}}) {
		t.Fatalf("%+v %v", x, err)
	}
	if err := wait(t, func(done func(error)) {
		r.API.Txns.Add(ctx, "tx0", c.p, true, []txn.Partition{{Topic: "t", Index: 0}}, done)
	}); !errors.Is(err, kerr.ConcurrentTransactions) {
		t.Errorf("the next transaction begins before the last one has ended: %v", err)
	}

	disk.topic.Store(nil)
	eventually(t, "the transaction is complete", func() bool {
		x, err := r.API.Txns.Describe(ctx, "tx0")
		return err == nil && x.State == txn.CompleteCommit
	})
	if got := visible(t, r, 1); !slices.Equal(got, []int{0}) {
		t.Errorf("consumers see %v", got)
	}
	c.write(1, 0)
	c.end(true)
	if got := visible(t, r, 0); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("consumers see %v", got)
	}
}

// TestADeletedTopicHoldsNothingUp: its partitions need no marker.
func TestADeletedTopicHoldsNothingUp(t *testing.T) {
	r := apitest.New(t, vfs.NewMem(), "data", nil)
	r.Topic("t", 2)
	c := &client{t: t, r: r, v2: true}
	c.init()
	c.write(0, 0)
	remove := kmsg.NewPtrDeleteTopicsRequest()
	remove.Version, remove.TopicNames = 1, []string{"t"}
	r.Ask(remove)
	c.end(true)
	c.init()
	if x, err := r.API.Txns.Describe(context.Background(), "tx0"); err != nil || x.State != txn.Empty {
		t.Errorf("%+v %v", x, err)
	}
}

// TestUnusedTransactionalIDsGo: after transactional.id.expiration.ms, for good.
func TestUnusedTransactionalIDsGo(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewCrashableMem()
	r := apitest.New(t, fs, "data", map[string]string{"transactional.id.expiration.ms": "50"})
	r.Topic("t", 2)
	c := &client{t: t, r: r, v2: true}
	c.init()
	was := c.p
	eventually(t, "the transactional id expires", func() bool {
		_, err := r.API.Txns.Describe(ctx, "tx0")
		return errors.Is(err, kerr.TransactionalIDNotFound)
	})
	if err := wait(t, func(done func(error)) {
		r.API.Txns.Add(ctx, "tx0", was, true, []txn.Partition{{Topic: "t", Index: 0}}, done)
	}); !errors.Is(err, kerr.InvalidProducerIDMapping) {
		t.Errorf("its producer still writes: %v", err)
	}
	again := apitest.New(t, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))}), "data", nil)
	if all, err := again.API.Txns.List(); err != nil || len(all) > 0 {
		t.Errorf("after a restart: %v %v", all, err)
	}
	c = &client{t: t, r: again, v2: true}
	c.init()
	if c.p.ID == was.ID {
		t.Error("it gets its old producer id again")
	}
}

// TestMarkersComeBehindWhatWasLetIn: a batch that the coordinator has let into a transaction, and that has no place in its
// partition yet, is part of the transaction that ends meanwhile.
func TestMarkersComeBehindWhatWasLetIn(t *testing.T) {
	ctx := context.Background()
	r := apitest.New(t, vfs.NewMem(), "data", nil)
	r.Topic("t", 2)
	c := &client{t: t, r: r} // an older one, whose epoch lasts: nothing but the order keeps late batches out
	c.init()
	c.write(0, 0)
	p := c.p
	letIn, goOn, enlisted := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go r.API.Txns.Enlist(ctx, "tx0", p.ID, p.Epoch, "t", 0, false, func(err error) {
		close(letIn)
		<-goOn
		raw := apitest.Batch(t, "1")
		batch.SetProducer(raw, p.ID, p.Epoch, 1)
		batch.SetTransactional(raw)
		batch.Seal(raw)
		part := r.Replicas.Get(replica.ID{Topic: r.Meta.Image().Topic("t").ID, Partition: 0})
		part.Append(raw, -1, replica.NotAsked, time.Now(), func(_ replica.Result, failed error) { enlisted <- errors.Join(err, failed) })
	})
	<-letIn
	ended := make(chan error, 1)
	r.API.Txns.End(ctx, "tx0", p, true, false, func(_ txn.Producer, err error) { ended <- err })
	eventually(t, "the outcome is decided", func() bool {
		x, err := r.API.Txns.Describe(ctx, "tx0")
		return err == nil && x.State == txn.PrepareCommit
	})
	select {
	case err := <-ended:
		t.Fatalf("the transaction has ended: %v", err)
	case <-time.After(20 * time.Millisecond): // nothing to wait for: a marker that is written too early is written by now
	}
	close(goOn)
	for _, answer := range []chan error{enlisted, ended} {
		if err := <-answer; err != nil {
			t.Fatal(err)
		}
	}
	if got := visible(t, r, 0); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("consumers see %v", got)
	}
}

// TestMarkersComeBehindTheDecision: what else ends meanwhile does not bring a marker forward before the record that decides
// the transaction is durable: a power loss in between would leave a decision that nobody knows of.
func TestMarkersComeBehindTheDecision(t *testing.T) {
	ctx := context.Background()
	var gate atomic.Pointer[chan struct{}]
	r := apitest.New(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			if held := gate.Load(); held != nil {
				<-*held
			}
		default:
		}
		return nil
	})), "data", nil)
	r.Topic("t", 2)
	c := &client{t: t, r: r}
	c.init()
	c.write(0, 0)
	part := r.Replicas.Get(replica.ID{Topic: r.Meta.Image().Topic("t").ID, Partition: 0})
	before, err := part.EndOffset()
	if err != nil {
		t.Fatal(err)
	}
	letIn, goOn, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		r.API.Txns.Enlist(ctx, "tx0", c.p.ID, c.p.Epoch, "t", 0, false, func(error) {
			close(letIn)
			<-goOn // and nothing is appended
		})
		close(over)
	}()
	<-letIn
	held := make(chan struct{})
	gate.Store(&held)
	ended := make(chan error, 1)
	r.API.Txns.End(ctx, "tx0", c.p, true, false, func(_ txn.Producer, err error) { ended <- err })
	close(goOn)
	<-over
	if end, err := part.EndOffset(); end != before || err != nil {
		t.Errorf("the partition ends at %d, not %d, before the decision is durable: %v", end, before, err)
	}
	close(held)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if end, err := part.EndOffset(); end != before+1 || err != nil {
		t.Errorf("the partition ends at %d, not %d: %v", end, before+1, err)
	}
}

// TestTimeGoesOnAfterAFullDisk: a transaction whose end could not be written still times out.
func TestTimeGoesOnAfterAFullDisk(t *testing.T) {
	ctx := context.Background()
	disk := &fullTopic{}
	r := apitest.New(t, errorfs.Wrap(vfs.NewMem(), disk), "data", nil)
	r.Topic("t", 1)
	var p txn.Producer
	if err := wait(t, func(done func(error)) {
		r.API.Txns.Init(ctx, "tx0", 1500*time.Millisecond, txn.NoProducer, func(got txn.Producer, err error) { p = got; done(err) })
	}); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, func(done func(error)) {
		r.API.Txns.Add(ctx, "tx0", p, true, []txn.Partition{{Topic: "t", Index: 0}}, done)
	}); err != nil {
		t.Fatal(err)
	}
	disk.set(r, coord.TransactionsTopic)
	if err := wait(t, func(done func(error)) {
		r.API.Txns.End(ctx, "tx0", p, true, true, func(_ txn.Producer, err error) { done(err) })
	}); err == nil {
		t.Fatal("a full disk takes the end of a transaction")
	}
	disk.topic.Store(nil)
	eventually(t, "the transaction times out", func() bool {
		x, err := r.API.Txns.Describe(ctx, "tx0")
		return err == nil && x.State == txn.CompleteAbort
	})
}
