package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// e2e writes at a fixed rate while consumers follow. Latency is from the instant at which a record was due until the
// consumer has it.
func (r *run) e2e(ctx context.Context) ([]Measure, error) {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	consumers, err := r.newConsumers(kgo.NewOffset().AtStart())
	if err != nil {
		return nil, err
	}
	var latency hist
	var since atomic.Int64 // records that were due before are warm-up
	var all sync.WaitGroup
	for _, cl := range consumers {
		defer cl.Close()
		all.Go(func() { r.follow(reading, cl, &latency, &since) })
	}
	if r.Warm > 0 {
		whole := r.Records
		r.Records = int64(r.Rate * r.Warm.Seconds())
		_, err := r.write(ctx, "warm-up", 2*r.Warm+askTimeout)
		r.Records = whole
		if err != nil {
			return nil, err
		}
		r.settle(ctx)
	}
	r.written.reset()
	r.read.reset()
	r.disorder.Store(0)
	since.Store(time.Now().UnixNano())
	r.Records = int64(r.Rate * r.Limit.Seconds())
	measures, err := r.write(ctx, "e2e", 2*r.Limit+askTimeout)
	if err != nil {
		return nil, err
	}
	r.settle(ctx)
	stop()
	all.Wait()
	return append(latency.measures("e2e"), measures...), nil
}

// settle waits until consumers have what was written.
func (r *run) settle(ctx context.Context) {
	for began := time.Now(); ctx.Err() == nil && r.read.records.Load() < r.written.records.Load() && time.Since(began) < patience; {
		time.Sleep(5 * time.Millisecond)
	}
}

// follow reads until ctx ends.
func (r *run) follow(ctx context.Context, cl *kgo.Client, latency *hist, since *atomic.Int64) {
	check := newChecker(&r.disorder)
	warm := true
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		now := time.Now()
		fetches.EachRecord(func(rec *kgo.Record) {
			s := readStamp(rec.Value)
			if from := since.Load(); from > 0 && s.due >= from {
				if warm {
					check, warm = newChecker(&r.disorder), false // sequences begin anew
				}
				latency.add(s.age(now))
			}
			r.take(rec, check)
		})
	}
}
