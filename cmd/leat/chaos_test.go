package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// go test ./cmd/leat -run TestKillNineUnderLoad -chaos 10m -timeout 15m -v
var (
	chaosFor   = flag.Duration("chaos", 20*time.Second, "how long TestKillNineUnderLoad kills brokers")
	chaosEvery = flag.Duration("chaos.every", 5*time.Second, "how long a broker lives in TestKillNineUnderLoad")
	chaosRate  = flag.Int("chaos.rate", 500, "records a second and producer in TestKillNineUnderLoad")
)

const chaosPartitions = 8 // each has a producer of its own

// chaos is one run: a broker that is killed, producers that go on, and a reader that follows.
type chaos struct {
	t    *testing.T
	dir  string
	addr string

	acked   [chaosPartitions]atomic.Int64 // records of the partition that were acknowledged
	lastAck [chaosPartitions]atomic.Int64 // when, ns
	wrong   sync.Once
}

// TestKillNineUnderLoad kills the broker's process again and again while idempotent producers write with acks=all. Each
// partition must hold what its producer sent, in order, once, and at least what was acknowledged. A reader that goes on
// through all of it sees the same.
func TestKillNineUnderLoad(t *testing.T) {
	c := &chaos{t: t, dir: t.TempDir(), addr: brokertest.FreeAddr(t)}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	broker := c.start()
	defer func() { c.kill(broker) }()
	admin, err := kgo.NewClient(c.patient()...)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if r, err := kadm.NewClient(admin).CreateTopic(ctx, chaosPartitions, 1, nil, "t"); err != nil || r.Err != nil {
		t.Fatal(err, r.Err)
	}
	writing, stopWriting := context.WithCancel(ctx)
	var writers, readers sync.WaitGroup
	for p := range int32(chaosPartitions) {
		writers.Go(func() { c.write(writing, p) })
	}
	reading, stopReading := context.WithCancel(ctx)
	following := &order{name: "a reader that follows"}
	readers.Go(func() { c.read(reading, following, nil) })

	var ready, down []time.Duration
	for end := time.Now().Add(*chaosFor); time.Now().Before(end); {
		time.Sleep(*chaosEvery/2 + rand.N(*chaosEvery)) // on average; never in step with anything
		killed := time.Now()
		c.kill(broker)
		began := time.Now()
		broker = c.start()
		ready = append(ready, time.Since(began))
		down = append(down, c.served(killed))
	}
	stopWriting()
	writers.Wait()
	stopReading()
	readers.Wait()
	var total int64
	all := &order{name: "a reader at the end"}
	ends, err := kadm.NewClient(admin).ListEndOffsets(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	c.read(ctx, all, ends)
	for p := range c.acked {
		acked := c.acked[p].Load()
		total += acked
		if all.next[p] < acked {
			t.Errorf("partition %d has %d records, but %d were acknowledged: %d are lost", p, all.next[p], acked, acked-all.next[p])
		}
	}
	c.judge(following)
	c.judge(all)
	if total == 0 {
		t.Error("nothing was acknowledged")
	}
	t.Logf("%d kills, %d records acknowledged", len(down), total)
	t.Logf("process ready again after %s", quantiles(ready))
	t.Logf("from kill to the next acknowledged record of the slowest of %d producers: %s", chaosPartitions, quantiles(down))
}

// start runs a broker and returns when it listens.
func (c *chaos) start() *exec.Cmd {
	cmd := leat(c.t, c.dir, "serve", "--listen", c.addr, "--data", "data", "--metrics", "")
	said := &stream{}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(said.String(), "leat serves"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) || strings.Contains(said.String(), "leat: ") {
			c.t.Fatalf("the broker does not start: %s", said)
		}
	}
	return cmd
}

func (c *chaos) kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// patient are the options of a client that never gives up and asks again at once.
func (c *chaos) patient(more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(c.addr), kgo.MetadataMinAge(20 * time.Millisecond), kgo.RetryTimeout(time.Hour), kgo.DialTimeout(time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }),
	}, more...)
}

// write sends 0, 1, 2, … to one partition until ctx ends, and waits for what is under way.
func (c *chaos) write(ctx context.Context, partition int32) {
	cl, err := kgo.NewClient(c.patient(kgo.DefaultProduceTopic("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordRetries(1<<30),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(time.Millisecond), kgo.MaxBufferedRecords(2000))...)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer cl.Close()
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for n := uint64(0); ctx.Err() == nil; {
		<-pace.C
		for range max(*chaosRate/200, 1) {
			value := binary.BigEndian.AppendUint64(make([]byte, 0, 100), n)
			n++
			cl.Produce(context.Background(), &kgo.Record{Partition: partition, Value: value[:100]}, func(r *kgo.Record, err error) {
				if err != nil {
					c.wrong.Do(func() { c.t.Errorf("a producer gave up: %v", err) })
					return
				}
				if got, want := binary.BigEndian.Uint64(r.Value), uint64(c.acked[partition].Add(1)-1); got != want {
					c.wrong.Do(func() { c.t.Errorf("partition %d: record %d was acknowledged when %d was due", partition, got, want) })
				}
				c.lastAck[partition].Store(time.Now().UnixNano())
			})
		}
	}
	flushing, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := cl.Flush(flushing); err != nil {
		c.t.Errorf("partition %d: records are still not acknowledged: %v", partition, err)
	}
}

// served waits until every producer has an acknowledgement of after the kill, and returns how long the slowest was without.
func (c *chaos) served(killed time.Time) time.Duration {
	var slowest time.Duration
	for p := range c.lastAck {
		deadline := time.Now().Add(time.Minute)
		for c.lastAck[p].Load() < killed.UnixNano() {
			if time.Now().After(deadline) {
				c.t.Fatalf("partition %d: nothing was acknowledged for a minute after a kill", p)
			}
			time.Sleep(200 * time.Microsecond)
		}
		slowest = max(slowest, time.Duration(c.lastAck[p].Load()-killed.UnixNano()))
	}
	return slowest
}

// order is what a reader has seen: of each partition the record that is due, and what came instead.
type order struct {
	name  string
	next  [chaosPartitions]int64
	wrong []string
}

func (o *order) see(r *kgo.Record) {
	n := int64(binary.BigEndian.Uint64(r.Value))
	switch want := o.next[r.Partition]; {
	case n == want:
		o.next[r.Partition]++
	case n < want:
		o.wrong = append(o.wrong, fmt.Sprintf("partition %d offset %d: record %d again or late, %d is due", r.Partition, r.Offset, n, want))
	default:
		o.wrong = append(o.wrong, fmt.Sprintf("partition %d offset %d: record %d, but %d to %d are missing", r.Partition, r.Offset, n, want, n-1))
		o.next[r.Partition] = n + 1
	}
}

// read follows the topic from its start until ctx ends or, where ends are given, up to them.
func (c *chaos) read(ctx context.Context, o *order, ends kadm.ListedOffsets) {
	cl, err := kgo.NewClient(c.patient(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer cl.Close()
	left := int64(0)
	ends.Each(func(e kadm.ListedOffset) { left += e.Offset })
	for ctx.Err() == nil && (ends == nil || left > 0) {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			o.see(r)
			left--
		})
	}
}

func (c *chaos) judge(o *order) {
	for i, w := range o.wrong {
		if i == 10 {
			c.t.Errorf("%s: and %d more", o.name, len(o.wrong)-i)
			return
		}
		c.t.Errorf("%s: %s", o.name, w)
	}
}

func quantiles(d []time.Duration) string {
	slices.Sort(d)
	at := func(q float64) time.Duration {
		return d[min(int(q*float64(len(d))), len(d)-1)].Round(time.Millisecond / 10)
	}
	return fmt.Sprintf("p50 %s, p99 %s, max %s", at(0.5), at(0.99), d[len(d)-1].Round(time.Millisecond/10))
}

// TestOrderSeesWhatIsWrong plants each anomaly that chaos must find.
func TestOrderSeesWhatIsWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		records []uint64
		wrong   int
		next    int64
	}{
		"as sent":    {[]uint64{0, 1, 2}, 0, 3},
		"lost":       {[]uint64{0, 2, 3}, 1, 4},
		"duplicated": {[]uint64{0, 1, 1, 2}, 1, 3},
		"reordered":  {[]uint64{0, 2, 1, 3}, 2, 4},
		"tail lost":  {[]uint64{0, 1}, 0, 2}, // seen by comparing next with what was acknowledged
	} {
		o := &order{}
		for _, n := range tc.records {
			o.see(&kgo.Record{Value: binary.BigEndian.AppendUint64(nil, n)})
		}
		if len(o.wrong) != tc.wrong || o.next[0] != tc.next {
			t.Errorf("%s: %q, next %d", name, o.wrong, o.next[0])
		}
	}
}
