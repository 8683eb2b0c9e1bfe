package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// go test ./cmd/leat -run TestKillNineInTransactions -chaos.txn 10m -timeout 20m -v
var chaosTxnFor = flag.Duration("chaos.txn", 5*time.Second, "how long TestKillNineInTransactions kills brokers")

const (
	txnPartitions = 3
	txnTimeout    = 3 * time.Second
	txnPatience   = 3 * time.Minute // the broker's bound for a hanging transaction is its time-out and 10 s; this is for slow machines
)

// oldClient is one from before KIP-890.
var oldClient = kgo.MaxVersions(kversion.V3_7_0())

// txnChaos is one run: a broker that is killed, producers of transactions, copiers, and a reader that follows.
type txnChaos struct {
	chaos
	ctx  context.Context
	calm atomic.Bool // nobody is killed any more
	done atomic.Bool // what is to be copied is complete

	mu    sync.Mutex
	deeds []brokertest.Deed
}

// TestKillNineInTransactions kills the broker's process again and again. Producers write transactions to several partitions,
// abort some and leave some open; copiers consume, produce and commit in transactions, and die with some open. Every transaction is
// whole or not there, as its producer was told, in its producer's order; every record is copied once; nobody who reads
// committed sees what a later reader does not; and nothing holds readers up for good.
func TestKillNineInTransactions(t *testing.T) {
	c := &txnChaos{chaos: chaos{t: t, dir: t.TempDir(), addr: brokertest.FreeAddr(t)}, ctx: t.Context()}
	broker := c.start()
	defer func() { c.kill(broker) }()
	admin := c.client()
	defer admin.Close()
	adm := kadm.NewClient(admin)
	if _, err := adm.CreateTopics(c.ctx, txnPartitions, 1, nil, "plain", "in", "out"); err != nil {
		t.Fatal(err)
	}
	writing, stopWriting := context.WithCancel(c.ctx)
	var writers, copiers, readers sync.WaitGroup
	writers.Go(func() { c.feed(writing) })
	for i := range 4 {
		writers.Go(func() { c.transact(writing, i) })
		copiers.Go(func() { c.copy(i) })
	}
	reading, stopReading := context.WithCancel(c.ctx)
	follower := brokertest.Sight{}
	readers.Go(func() { c.follow(reading, follower) })

	kills := 0
	for end := time.Now().Add(*chaosTxnFor); time.Now().Before(end); kills++ {
		time.Sleep(500*time.Millisecond + rand.N(time.Second))
		broker = c.revive(broker)
	}
	c.calm.Store(true)
	stopWriting()
	writers.Wait()
	ends, err := adm.ListEndOffsets(c.ctx, "in")
	if err != nil {
		t.Fatal(err)
	}
	c.await("the copies are complete", func() bool { return c.copied(adm, ends) })
	c.done.Store(true)
	copiers.Wait()
	c.await("no transaction is open", func() bool { return c.decided(adm) })
	stopReading()
	readers.Wait()
	all := c.readAll(adm)
	due := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { due[o.Partition] = o.Offset })
	wrong := append(brokertest.JudgeDeeds(c.deeds, all["plain"]), brokertest.JudgeCopies(due, all["out"])...)
	wrong = append(wrong, brokertest.JudgeSight(follower, all)...)
	for i, w := range wrong {
		if i == 20 {
			t.Errorf("and %d more", len(wrong)-i)
			break
		}
		t.Error(w)
	}
	known := map[brokertest.Outcome]int{}
	for _, d := range c.deeds {
		known[d.Outcome]++
	}
	t.Logf("%d kills; %d transactions committed, %d aborted, %d unknown; %v copied", kills, known[brokertest.Committed], known[brokertest.Aborted], known[brokertest.Unknown], due)
	if known[brokertest.Committed] == 0 || due[0] == 0 {
		t.Error("nothing was committed")
	}
}

// revive kills a broker and starts the next.
func (c *txnChaos) revive(broker *exec.Cmd) *exec.Cmd {
	c.kill(broker)
	return c.start()
}

func (c *txnChaos) client(opts ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(c.patient(opts...)...)
	if err != nil {
		c.t.Error(err)
	}
	return cl
}

func (c *txnChaos) await(what string, ready func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(txnPatience); !ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("it takes more than %s until %s", txnPatience, what)
		}
	}
}

// feed writes 0, 1, 2, … to each partition of topic in, for the copiers.
func (c *txnChaos) feed(ctx context.Context) {
	cl := c.client(kgo.DefaultProduceTopic("in"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordRetries(1<<30))
	defer cl.Close()
	for n := 0; ctx.Err() == nil; n++ {
		for p := range int32(txnPartitions) {
			cl.Produce(c.ctx, &kgo.Record{Partition: p, Value: strconv.AppendInt(nil, int64(n), 10)}, func(_ *kgo.Record, err error) {
				if err != nil {
					c.wrong.Do(func() { c.t.Errorf("a producer gave up: %v", err) })
				}
			})
		}
		time.Sleep(4 * time.Millisecond)
	}
	flushing, cancel := context.WithTimeout(c.ctx, txnPatience)
	defer cancel()
	if err := cl.Flush(flushing); err != nil {
		c.t.Errorf("records to be copied are still not acknowledged: %v", err)
	}
}

// transactional are the options of the clients of producer i; every other one is from before KIP-890.
func transactional(i int, id string) []kgo.Opt {
	opts := []kgo.Opt{kgo.TransactionalID(id), kgo.TransactionTimeout(txnTimeout), kgo.ProducerLinger(time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	if i%2 == 1 {
		opts = append(opts, oldClient)
	}
	return opts
}

// transact makes transactions until ctx ends, by one client after the other: some go with a transaction open, which the next
// aborts, or the broker, when it has another id.
func (c *txnChaos) transact(ctx context.Context, i int) {
	id := fmt.Sprintf("plain-%d", i)
	for n, life := 0, 1; ctx.Err() == nil; life++ {
		cl := c.client(append(transactional(i, id), kgo.DefaultProduceTopic("plain"))...)
		for lives := true; lives && ctx.Err() == nil; n++ {
			var d brokertest.Deed
			d, lives = brokertest.Transact(c.ctx, cl, txnPartitions, i, n)
			c.mu.Lock()
			c.deeds = append(c.deeds, d)
			c.mu.Unlock()
		}
		cl.Close()
		if life%4 == 0 {
			id = fmt.Sprintf("plain-%d-%d", i, life)
		}
	}
}

// copy moves records from topic in to the same partition of topic out, a transaction a poll, by one client after the other.
func (c *txnChaos) copy(i int) {
	for life := 1; !c.done.Load() && c.ctx.Err() == nil; life++ {
		opts := append(transactional(i, fmt.Sprintf("copier-%d", i)),
			kgo.ConsumerGroup("copiers"), kgo.ConsumeTopics("in"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.DefaultProduceTopic("out"), kgo.FetchMaxWait(100*time.Millisecond),
			kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(50*time.Millisecond))
		s, err := kgo.NewGroupTransactSession(c.patient(opts...)...)
		if err != nil {
			c.t.Error(err)
			return
		}
		c.session(s, 10*life)
		s.Close()
	}
}

// session copies until it is done, or so many transactions were tried: then it goes with its transaction open.
func (c *txnChaos) session(s *kgo.GroupTransactSession, transactions int) {
	for n := 0; !c.done.Load(); n++ {
		poll, cancel := context.WithTimeout(c.ctx, 100*time.Millisecond)
		fetches := s.PollRecords(poll, 100)
		cancel()
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := s.Begin(); err != nil {
			return
		}
		produced := kgo.AbortingFirstErrPromise(s.Client())
		fetches.EachRecord(func(r *kgo.Record) {
			s.Produce(c.ctx, &kgo.Record{Partition: r.Partition, Value: r.Value}, produced.Promise())
		})
		ok, stuck := brokertest.Sent(c.ctx, s.Client(), produced)
		if stuck || n >= transactions && !c.calm.Load() {
			return
		}
		ending, cancel := context.WithTimeout(c.ctx, txnPatience/2)
		_, err := s.End(ending, kgo.TransactionEndTry(ok))
		cancel()
		if err != nil {
			return
		}
	}
}

// follow reads committed records from the start on until ctx ends.
func (c *txnChaos) follow(ctx context.Context, seen brokertest.Sight) {
	cl := c.client(kgo.ConsumeTopics("plain", "out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(100*time.Millisecond))
	defer cl.Close()
	for ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(seen.See)
	}
}

// copied tells whether the copiers have committed all of topic in.
func (c *txnChaos) copied(adm *kadm.Client, ends kadm.ListedOffsets) bool {
	offsets, err := adm.FetchOffsets(c.ctx, "copiers")
	if err != nil {
		return false
	}
	all := true
	ends.Each(func(e kadm.ListedOffset) {
		o, ok := offsets.Lookup(e.Topic, e.Partition)
		all = all && ok && o.At == e.Offset
	})
	return all
}

// decided tells whether those who read committed see all partitions to their ends.
func (c *txnChaos) decided(adm *kadm.Client) bool {
	ends, err := adm.ListEndOffsets(c.ctx, "plain", "out")
	stable, errStable := adm.ListCommittedOffsets(c.ctx, "plain", "out")
	if err != nil || errStable != nil {
		return false
	}
	all := true
	ends.Each(func(e kadm.ListedOffset) {
		s, ok := stable.Lookup(e.Topic, e.Partition)
		all = all && ok && s.Offset == e.Offset
	})
	return all
}

// readAll reads what is committed, from the start to the end.
func (c *txnChaos) readAll(adm *kadm.Client) brokertest.Sight {
	ends, err := adm.ListCommittedOffsets(c.ctx, "plain", "out")
	if err != nil {
		c.t.Fatal(err)
	}
	cl := c.client(kgo.ConsumeTopics("plain", "out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords())
	defer cl.Close()
	left := 0
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left++
		}
	})
	seen := brokertest.Sight{}
	reading, cancel := context.WithTimeout(c.ctx, txnPatience)
	defer cancel()
	for left > 0 && reading.Err() == nil {
		cl.PollFetches(reading).EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				seen.See(r)
			}
			if end, _ := ends.Lookup(r.Topic, r.Partition); r.Offset+1 == end.Offset { // a marker: each transaction ends with one
				left--
			}
		})
	}
	if left > 0 {
		c.t.Fatalf("%d partitions cannot be read to their end", left)
	}
	return seen
}
