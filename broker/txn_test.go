package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// clientKinds are clients that follow KIP-890, and those from before.
var clientKinds = map[string][]kgo.Opt{
	"KIP-890": nil,
	"before":  {kgo.MaxVersions(kversion.V3_7_0())},
}

func topicOf(ctx context.Context, t *testing.T, c *brokertest.Cluster, name string, partitions int32) {
	t.Helper()
	if _, err := kadm.NewClient(c.Client(t)).CreateTopic(ctx, partitions, 1, nil, name); err != nil {
		t.Fatal(err)
	}
}

// committed reads the values of a topic to its end as consumers see it that read committed.
func committed(ctx context.Context, t *testing.T, c *brokertest.Cluster, topic string) []string {
	t.Helper()
	var out []string
	for _, records := range sight(ctx, t, c, topic)[topic] {
		for _, r := range records {
			out = append(out, r.Value)
		}
	}
	return out
}

// sight is what consumers see of a topic that read committed.
func sight(ctx context.Context, t *testing.T, c *brokertest.Cluster, topic string) brokertest.Sight {
	t.Helper()
	cl := c.Client(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	at := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if at[o.Partition] = o.Offset; o.Offset > 0 {
			left++
		}
	})
	seen := brokertest.Sight{}
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d partitions are not read to the end: %v", left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				seen.See(r)
			}
			if r.Offset+1 == at[r.Partition] { // each partition ends with a marker
				left--
			}
		})
	}
	return seen
}

func TestConsumersSeeWholeTransactions(t *testing.T) {
	for name, kind := range clientKinds {
		t.Run(name, func(t *testing.T) {
			c := brokertest.Start(t, 1, brokertest.CrashableFS())
			ctx := testContext(t)
			topicOf(ctx, t, c, "t", 3)
			cl := c.Client(t, append(kind, kgo.TransactionalID("tx"), kgo.DefaultProduceTopic("t"), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))...)
			var want []string
			for i := range 20 {
				if i == 10 {
					c.Restart()
				}
				if err := cl.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
				commit := i%3 != 1
				for j := range 7 {
					value := fmt.Sprintf("%d.%d", i, j)
					cl.Produce(ctx, kgo.StringRecord(value), func(_ *kgo.Record, err error) {
						if err != nil {
							t.Errorf("%s: %v", value, err)
						}
					})
					if commit {
						want = append(want, value)
					}
				}
				if err := cl.Flush(ctx); err != nil {
					t.Fatal(err)
				}
				if err := cl.EndTransaction(ctx, kgo.TransactionEndTry(commit)); err != nil {
					t.Fatalf("transaction %d: %v", i, err)
				}
			}
			c.PowerLoss(0, 3)
			got := committed(ctx, t, c, "t")
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("consumers see %d records, %d were committed:\n%v\n%v", len(got), len(want), got, want)
			}
		})
	}
}

// TestTransactionsOutlivePowerLosses: producers write to several partitions, abort some of their transactions and leave some open, while
// power is lost again and again. Every transaction is whole or not there, as its producer was told.
func TestTransactionsOutlivePowerLosses(t *testing.T) {
	const partitions, producers = 3, 3
	for name, kind := range clientKinds {
		t.Run(name, func(t *testing.T) {
			c := brokertest.Start(t, 1, brokertest.CrashableFS())
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			topicOf(ctx, t, c, "t", partitions)
			client := func(i int) *kgo.Client {
				return c.Client(t, append(kind, kgo.TransactionalID(fmt.Sprintf("tx-%d", i)), kgo.DefaultProduceTopic("t"),
					kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(time.Millisecond), kgo.MetadataMinAge(50*time.Millisecond))...)
			}
			deeds := make(chan brokertest.Deed)
			working, stop := context.WithCancel(ctx)
			var wg sync.WaitGroup
			for i := range producers {
				wg.Go(func() {
					for n := 0; working.Err() == nil; {
						cl := client(i)
						for lives := true; lives && working.Err() == nil; n++ {
							var d brokertest.Deed
							d, lives = brokertest.Transact(ctx, cl, partitions, i, n)
							deeds <- d
						}
						cl.Close()
					}
				})
			}
			var done []brokertest.Deed
			var listening sync.WaitGroup
			enough := make(chan struct{}, 1) // transactions since the last power loss
			listening.Go(func() {
				for d := range deeds {
					if done = append(done, d); len(done)%20 == 0 {
						select {
						case enough <- struct{}{}:
						default:
						}
					}
				}
			})
			for round := range uint64(5) {
				select {
				case <-enough:
				case <-ctx.Done():
					t.Fatal("it takes too long")
				}
				c.PowerLoss(int(25*round), round)
			}
			stop()
			wg.Wait()
			close(deeds)
			listening.Wait()
			for i := range producers { // ends what was left open
				if _, _, err := client(i).ProducerID(ctx); err != nil {
					t.Fatal(err)
				}
			}
			for _, wrong := range brokertest.JudgeDeeds(done, sight(ctx, t, c, "t")["t"]) {
				t.Error(wrong)
			}
		})
	}
}

// copier moves numbers from topic in to topic out, a transaction a poll, until it is done.
type copier struct {
	t    *testing.T
	c    *brokertest.Cluster
	opts []kgo.Opt
	done *atomic.Bool
}

// run copies until the work is done, or so many transactions were tried: then it goes without a word, its transaction open.
func (w *copier) run(ctx context.Context, id string, transactions int) {
	opts := append([]kgo.Opt{
		kgo.SeedBrokers(w.c.Addr()), kgo.Dialer(w.c.DialContext), kgo.TransactionalID(id), kgo.TransactionTimeout(5 * time.Second),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.ConsumerGroup("copiers"), kgo.ConsumeTopics("in"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.DefaultProduceTopic("out"),
		kgo.SessionTimeout(2 * time.Second), kgo.HeartbeatInterval(50 * time.Millisecond), kgo.FetchMaxBytes(200), kgo.FetchMaxPartitionBytes(200),
	}, w.opts...)
	s, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		w.t.Error(err)
		return
	}
	defer s.Close()
	for n := 0; !w.done.Load() && ctx.Err() == nil; n++ {
		poll, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		fetches := s.PollRecords(poll, 20)
		cancel()
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := s.Begin(); err != nil {
			return // this producer can do no more; the next one goes on
		}
		produced := kgo.AbortingFirstErrPromise(s.Client())
		fetches.EachRecord(func(r *kgo.Record) { s.Produce(ctx, kgo.SliceRecord(r.Value), produced.Promise()) })
		ok, stuck := brokertest.Sent(ctx, s.Client(), produced)
		if stuck || n >= transactions {
			return
		}
		if _, err := s.End(ctx, kgo.TransactionEndTry(ok)); err != nil {
			return
		}
	}
}

// TestCopiesAreExact: consume, produce and commit in transactions, while copiers die with transactions open and the broker
// is restarted and loses power; in the end every record is there once.
func TestCopiesAreExact(t *testing.T) {
	const records = 600
	for name, kind := range clientKinds {
		t.Run(name, func(t *testing.T) {
			c := brokertest.Start(t, 1, brokertest.CrashableFS(), brokertest.Properties(map[string]string{"group.min.session.timeout.ms": "100"}))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			fill(ctx, t, c, "in", records)
			topicOf(ctx, t, c, "out", 3)
			w := &copier{t: t, c: c, opts: kind, done: &atomic.Bool{}}
			var wg sync.WaitGroup
			for i := range 2 {
				wg.Go(func() {
					for life := 1; !w.done.Load() && ctx.Err() == nil; life++ {
						w.run(ctx, fmt.Sprintf("copier-%d", i), 3*life)
					}
				})
			}
			wg.Go(func() {
				defer w.done.Store(true)
				for n := 0; ctx.Err() == nil; n++ {
					if got := lag(ctx, t, c); got == 0 {
						return
					}
					switch {
					case n >= 6: // let them finish
					case n%2 == 0:
						c.Restart()
					default:
						c.PowerLoss(50, uint64(n))
					}
					select {
					case <-time.After(300 * time.Millisecond):
					case <-ctx.Done():
					}
				}
			})
			wg.Wait()
			if ctx.Err() != nil {
				t.Fatal("it takes too long")
			}
			for i := range 2 { // ends what a copier left open, which would hold consumers up
				if _, _, err := c.Client(t, kgo.TransactionalID(fmt.Sprintf("copier-%d", i))).ProducerID(ctx); err != nil {
					t.Fatal(err)
				}
			}
			seen := map[string]int{}
			for _, v := range committed(ctx, t, c, "out") {
				seen[v]++
			}
			for i := range records {
				if n := seen[strconv.Itoa(i)]; n != 1 {
					t.Errorf("record %d is there %d times", i, n)
				}
			}
		})
	}
}

// lag is how many records of in have no committed offset above them.
func lag(ctx context.Context, t *testing.T, c *brokertest.Cluster) int64 {
	cl := c.Client(t)
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ends, err := adm.ListEndOffsets(ctx, "in")
	if err != nil {
		return -1
	}
	offsets, err := adm.FetchOffsets(ctx, "copiers")
	if err != nil {
		return -1
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) {
		at := int64(0)
		if x, ok := offsets.Lookup(o.Topic, o.Partition); ok {
			at = x.At
		}
		left += o.Offset - at
	})
	return left
}

// TestAHangingTransactionEnds: a producer that is gone holds consumers up until its transaction times out, though the
// broker lost power in between, and no longer.
func TestAHangingTransactionEnds(t *testing.T) {
	c := brokertest.Start(t, 1, brokertest.CrashableFS())
	ctx := testContext(t)
	topicOf(ctx, t, c, "t", 1)
	gone := c.Client(t, kgo.TransactionalID("gone"), kgo.TransactionTimeout(2*time.Second), kgo.DefaultProduceTopic("t"))
	if err := gone.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := gone.ProduceSync(ctx, kgo.StringRecord("hangs")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := c.Client(t, kgo.DefaultProduceTopic("t")).ProduceSync(ctx, kgo.StringRecord("waits")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.PowerLoss(0, 1)
	cl := c.Client(t, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	got := consume(ctx, t, cl, 1)
	if string(got[0].Value) != "waits" {
		t.Errorf("%s", got[0].Value)
	}
	if after := time.Since(began); after < 2*time.Second || after > time.Minute {
		t.Errorf("consumers waited for %s", after)
	}
	if err := gone.EndTransaction(ctx, kgo.TryCommit); err == nil {
		t.Error("a transaction that has timed out is committed")
	}
}

// TestASuccessorFences: a second producer of a transactional id aborts what the first one has begun.
func TestASuccessorFences(t *testing.T) {
	for name, kind := range clientKinds {
		t.Run(name, func(t *testing.T) {
			c := brokertest.Start(t, 1)
			ctx := testContext(t)
			topicOf(ctx, t, c, "t", 1)
			producer := func(value string) *kgo.Client {
				cl := c.Client(t, append(kind, kgo.TransactionalID("tx"), kgo.DefaultProduceTopic("t"))...)
				if err := cl.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
				if err := cl.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr(); err != nil {
					t.Fatal(err)
				}
				return cl
			}
			first := producer("first")
			second := producer("second")
			err := first.ProduceSync(ctx, kgo.StringRecord("late")).FirstErr()
			if !errors.Is(err, kerr.InvalidProducerEpoch) && !errors.Is(err, kerr.ProducerFenced) {
				t.Errorf("the first producer still writes: %v", err)
			}
			if err := first.EndTransaction(ctx, kgo.TryCommit); err == nil {
				t.Error("the first producer still commits")
			}
			if err := second.EndTransaction(ctx, kgo.TryCommit); err != nil {
				t.Error(err)
			}
			if got := committed(ctx, t, c, "t"); !slices.Equal(got, []string{"second"}) {
				t.Errorf("%v", got)
			}
		})
	}
}
