package kafka_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
)

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func connect(t *testing.T, c *brokertest.Cluster, dial func(context.Context, string, string) (net.Conn, error)) *kafka.Client {
	t.Helper()
	cl, err := kafka.New(kafka.Config{Brokers: []string{c.Addr()}, Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func oneRecord(t *testing.T, value string) []byte {
	t.Helper()
	b := batch.NewBuilder(batch.None)
	b.Append(time.Now().UnixMilli(), nil, []byte(value), []batch.HeaderKV{{Key: "h", Value: []byte("x")}})
	raw, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// values reads a partition whole.
func values(ctx context.Context, t *testing.T, cl *kafka.Client, topic string, partition int32) (out []string) {
	t.Helper()
	var s batch.Scratch
	if _, err := cl.ReadAll(ctx, topic, partition, 0, func(f kafka.Fetched) error {
		return f.Each(&s, func(_ batch.Header, r *batch.Record) error {
			out = append(out, string(r.Value))
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestBatchesArriveInOrder also while connections break: nothing is missing and nothing overtakes. A batch may be there
// twice in a row if its answer was lost on the way.
func TestBatchesArriveInOrder(t *testing.T) {
	for name, broken := range map[string]bool{"quiet": false, "breaking connections": true} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			c := brokertest.Start(t, 1)
			var mu sync.Mutex
			var conns []net.Conn
			cl := connect(t, c, func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				if err == nil {
					mu.Lock()
					conns = append(conns, nc)
					mu.Unlock()
				}
				return nc, err
			})
			if err := cl.EnsureTopic(ctx, "t", 2, nil); err != nil {
				t.Fatal(err)
			}
			p, err := cl.NewProducer(kafka.ProducerOptions{MaxBuffered: 10_000})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			const n = 300
			answers := make(chan error, n)
			for i := range n {
				if err := p.ProduceBatch(ctx, "t", int32(i%2), oneRecord(t, fmt.Sprintf("%06d", i)), func(_ int64, err error) { answers <- err }); err != nil {
					t.Fatal(err)
				}
				if broken && i%50 == 25 {
					mu.Lock()
					for _, nc := range conns {
						_ = nc.Close()
					}
					conns = nil
					mu.Unlock()
				}
			}
			for range n {
				if err := <-answers; err != nil {
					t.Fatal(err)
				}
			}
			for part := range int32(2) {
				last, distinct := "", 0
				for _, v := range values(ctx, t, cl, "t", part) {
					if v < last || v == last && !broken {
						t.Fatalf("%s after %s", v, last)
					}
					if v != last {
						distinct++
					}
					last = v
				}
				if distinct != n/2 {
					t.Errorf("partition %d has %d of %d", part, distinct, n/2)
				}
			}
		})
	}
}

func TestGroupConsumerGetsWholeBatches(t *testing.T) {
	for name, opts := range map[string][]brokertest.Option{"tcp": nil, "memory": {brokertest.InMemory()}} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			c := brokertest.Start(t, 1, opts...)
			cl := connect(t, c, c.DialContext)
			if err := cl.EnsureTopic(ctx, "t", 3, nil); err != nil {
				t.Fatal(err)
			}
			p, err := cl.NewProducer(kafka.ProducerOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			b := p.NewBatcher(kafka.BatcherOptions{Codec: batch.Zstd})
			var sent sync.WaitGroup
			for i := range 1000 {
				key := fmt.Append(nil, i)
				sent.Add(1)
				if err := b.Add(ctx, "t", kafka.KeyPartition(key, 3), 1, key, key, nil, func(err error) {
					if err != nil {
						t.Error(err)
					}
					sent.Done()
				}); err != nil {
					t.Fatal(err)
				}
			}
			sent.Wait()
			seen := map[string]bool{}
			for _, want := range []int{600, 1000} { // the second member of the group goes on where the first committed
				k, err := cl.NewConsumer(kafka.ConsumerOptions{Group: "g", Topics: []string{"t"}})
				if err != nil {
					t.Fatal(err)
				}
				var s batch.Scratch
				next := map[string]map[int32]int64{"t": {}}
				for len(seen) < want {
					got, err := k.Poll(ctx)
					if err != nil {
						t.Fatal(err)
					}
					for _, f := range got {
						offset := f.Offset
						if err := f.Each(&s, func(h batch.Header, r *batch.Record) error {
							if len(seen) == want && want < 1000 {
								return nil // not seen and not committed
							}
							if seen[string(r.Key)] {
								t.Errorf("%s twice", r.Key)
							}
							seen[string(r.Key)] = true
							offset = h.BaseOffset + int64(r.OffsetDelta) + 1
							return nil
						}); err != nil {
							t.Fatal(err)
						}
						next["t"][f.Partition] = offset
					}
				}
				if err := k.Commit(ctx, next); err != nil {
					t.Fatal(err)
				}
				k.Close()
			}
			if len(seen) != 1000 {
				t.Errorf("%d of 1000", len(seen))
			}
		})
	}
}

// TestPartitionsMoveWithTheirPlace: two members, then one: what each had is handed over at a committed place.
func TestPartitionsMoveWithTheirPlace(t *testing.T) {
	ctx := testContext(t)
	c := brokertest.Start(t, 1)
	cl := connect(t, c, nil)
	if err := cl.EnsureTopic(ctx, "t", 4, nil); err != nil {
		t.Fatal(err)
	}
	owned := make(chan int, 100)
	var mu sync.Mutex
	counts := map[string]int{}
	member := func(name string) *kafka.Consumer {
		k, err := cl.NewConsumer(kafka.ConsumerOptions{
			Group: "g", Topics: []string{"t"},
			Assigned: func(_ context.Context, next map[string]map[int32]int64) error {
				mu.Lock()
				counts[name] += len(next["t"])
				mu.Unlock()
				owned <- 1
				return nil
			},
			Revoked: func(_ context.Context, parts map[string][]int32, _ bool) {
				mu.Lock()
				counts[name] -= len(parts["t"])
				mu.Unlock()
				owned <- 1
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	until := func(a, b int) {
		t.Helper()
		for {
			mu.Lock()
			done := counts["a"] == a && counts["b"] == b
			mu.Unlock()
			if done {
				return
			}
			select {
			case <-owned:
			case <-ctx.Done():
				t.Fatalf("%v, want %d and %d", counts, a, b)
			}
		}
	}
	a := member("a")
	until(4, 0)
	b := member("b")
	until(2, 2)
	a.Close()
	until(0, 4)
	b.Close()
}

// TestKeysLandWhereKafkasClientsPutThem compares with kgo's copy of Java's partitioner.
func TestKeysLandWhereKafkasClientsPutThem(t *testing.T) {
	theirs := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	for i := range 1000 {
		key := fmt.Appendf(nil, "some-key-%04d", i*7919)[:i%12+1]
		if want := theirs.Partition(&kgo.Record{Key: key}, 17); int32(want) != kafka.KeyPartition(key, 17) {
			t.Fatalf("%s: %d, want %d", key, kafka.KeyPartition(key, 17), want)
		}
	}
}
