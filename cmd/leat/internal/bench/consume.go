package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// patience is how long nothing may come before reading gives up.
const patience = 10 * time.Second

// consume fills the topic, then measures reading it.
func (r *run) consume(ctx context.Context) ([]Measure, error) {
	pids := r.PIDs
	r.PIDs = nil // filling is not measured
	_, err := r.write(ctx, "fill", r.Limit)
	r.PIDs = pids
	if err != nil {
		return nil, err
	}
	return r.readBack(ctx, "consume")
}

// readBack reads everything that was written.
func (r *run) readBack(ctx context.Context, stage string) ([]Measure, error) {
	want := r.written.records.Load()
	stop := r.watch(stage, func() (float64, int64) {
		n := r.read.records.Load()
		return float64(n) / float64(max(want, 1)), n
	})
	defer stop()
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	m := startMeter(r.PIDs)
	began := time.Now()
	var first atomic.Int64
	var all sync.WaitGroup
	consumers, err := r.newConsumers(kgo.NewOffset().AtStart())
	if err != nil {
		return nil, err
	}
	for _, cl := range consumers {
		defer cl.Close()
		all.Go(func() {
			check := newChecker(&r.disorder)
			for r.read.records.Load() < want {
				fetches := r.poll(ctx, cl)
				if fetches == nil {
					break
				}
				first.CompareAndSwap(0, int64(time.Since(began)))
				fetches.EachRecord(func(rec *kgo.Record) { r.take(rec, check) })
			}
			if r.read.records.Load() >= want {
				enough()
			}
		})
	}
	all.Wait()
	measures := m.rates(stage, r.read.records.Load(), r.read.bytes.Load())
	return append(measures, Measure{stage + " first record", "ms", float64(first.Load()) / 1e6, Less}), nil
}

// poll waits for records. It gives nil at the end of ctx, and when nothing comes any more.
func (r *run) poll(ctx context.Context, cl *kgo.Client) kgo.Fetches {
	timed, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	fetches := cl.PollFetches(timed)
	if ctx.Err() != nil {
		return nil
	}
	if timed.Err() != nil {
		r.fail(fmt.Errorf("nothing came for %s", patience))
		return nil
	}
	fetches.EachError(func(topic string, p int32, err error) { r.fail(fmt.Errorf("partition %d: %w", p, err)) })
	return fetches
}

func (r *run) take(rec *kgo.Record, check *checker) {
	r.read.add(rec.Value, r.Check)
	if r.Check {
		check.see(rec)
	}
}

// newConsumers opens clients that share the partitions.
func (r *run) newConsumers(from kgo.Offset) ([]*kgo.Client, error) {
	n := min(r.Consumers, r.Partitions)
	clients := make([]*kgo.Client, 0, n)
	for i := range n {
		parts := map[int32]kgo.Offset{}
		for p := i; p < r.Partitions; p += n {
			parts[int32(p)] = from
		}
		cl, err := r.client(
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: parts}),
			kgo.FetchMaxBytes(50<<20), kgo.FetchMaxPartitionBytes(1<<20), kgo.FetchMaxWait(500*time.Millisecond),
		)
		if err != nil {
			for _, open := range clients {
				open.Close()
			}
			return nil, err
		}
		clients = append(clients, cl)
	}
	return clients, nil
}
