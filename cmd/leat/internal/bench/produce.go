package bench

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// slabRecords is how many records are made, and used again, together.
const slabRecords = 512

// slab is records whose values are written once and only stamped anew each time.
type slab struct {
	values  []byte
	records [slabRecords]kgo.Record
	left    atomic.Int32 // records that were not acknowledged yet
	done    func(*kgo.Record, error)
}

// producer is one client that writes.
type producer struct {
	*run
	id   int
	cl   *kgo.Client
	free chan *slab
	acks *hist
	lag  *hist // how late it was itself, at a rate
}

// produce measures writing. What was written is read back if it is to be checked.
func (r *run) produce(ctx context.Context) ([]Measure, error) {
	measures, err := r.write(ctx, "produce", r.Limit)
	if err != nil || !r.Check {
		return measures, err
	}
	_, err = r.readBack(ctx, "check")
	return measures, err
}

// write lets all producers write until they have written what they should, or for a time.
func (r *run) write(ctx context.Context, stage string, limit time.Duration) ([]Measure, error) {
	var acks, lag hist
	producers := make([]*producer, r.Producers)
	for i := range producers {
		p, err := r.newProducer(ctx, i, &acks, &lag)
		if err != nil {
			return nil, err
		}
		defer p.cl.Close()
		producers[i] = p
	}
	began := time.Now()
	stop := r.watch(stage, func() (float64, int64) {
		n := r.written.records.Load()
		return max(float64(n)/float64(max(r.Records, 1)), time.Since(began).Seconds()/limit.Seconds()), n
	})
	defer stop()
	m := startMeter(r.PIDs)
	before, size := r.written.records.Load(), r.written.bytes.Load()
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now().Add(10 * time.Millisecond)
	var all sync.WaitGroup
	for _, p := range producers {
		all.Go(func() { p.work(timed, start) })
	}
	all.Wait()
	measures := m.rates(stage, r.written.records.Load()-before, r.written.bytes.Load()-size)
	measures = append(measures, acks.measures(stage+" ack")...)
	if r.Rate > 0 { // a late sender is the client's fault, and in every latency
		measures = append(measures, Measure{stage + " sender late p99", "ms", lag.quantile(.99), Less}, Measure{stage + " sender late max", "ms", lag.quantile(1), Less})
	}
	return measures, nil
}

func (r *run) newProducer(ctx context.Context, id int, acks, lag *hist) (*producer, error) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	opts := []kgo.Opt{
		kgo.DefaultProduceTopic(r.topic), kgo.ProducerBatchMaxBytes(int32(max(r.Batch, r.Size+200))), kgo.ProducerLinger(r.Linger),
		kgo.MaxBufferedBytes(64 << 20), kgo.MaxBufferedRecords(1 << 20), kgo.ProducerBatchCompression(codecs[r.Codec]),
	}
	switch r.Acks {
	case 0:
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()))
	case 1:
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()))
	}
	if r.Acks != -1 || !r.Idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(r.InFlight))
	}
	if r.Rate > 0 {
		opts = append(opts, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	} else { // batches become full before the next partition is taken, as in the Java client
		opts = append(opts, kgo.RecordPartitioner(kgo.UniformBytesPartitioner(max(r.Batch, r.Size), false, false, nil)))
	}
	cl, err := r.client(opts...)
	if err != nil {
		return nil, err
	}
	if err := cl.Ping(ctx); err != nil {
		cl.Close()
		return nil, err
	}
	return &producer{run: r, id: id, cl: cl, free: make(chan *slab, 1<<10), acks: acks, lag: lag}, nil
}

// work writes this producer's part, as fast as it can or at its part of the rate, and waits for the answers.
func (p *producer) work(ctx context.Context, start time.Time) {
	n := p.Records / int64(p.Producers)
	if int64(p.id) < p.Records%int64(p.Producers) {
		n++
	}
	if p.Rate > 0 {
		p.atRate(ctx, start, n)
	} else {
		p.asFastAsPossible(ctx, n)
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	if err := p.cl.Flush(flush); err != nil {
		p.fail(errors.New("not all answers came in time"))
	}
}

func (p *producer) asFastAsPossible(ctx context.Context, n int64) {
	var s *slab
	for i := int64(0); i < n; i++ {
		if i%slabRecords == 0 {
			if ctx.Err() != nil {
				return
			}
			s = p.take()
		}
		p.send(s, i, time.Now())
	}
}

// atRate sends each record when it is due. A record that is late keeps the time at which it was due.
func (p *producer) atRate(ctx context.Context, start time.Time, n int64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sharpen()
	gap := float64(time.Second) * float64(p.Producers) / p.Rate
	first := start.Add(time.Duration(gap * float64(p.id) / float64(p.Producers)))
	var s *slab
	for i := int64(0); i < n; i++ {
		due := first.Add(time.Duration(gap * float64(i)))
		sleepUntil(due)
		if i%slabRecords == 0 {
			s = p.take()
		}
		if ctx.Err() != nil {
			return
		}
		p.lag.add(time.Since(due))
		p.send(s, i, due)
	}
}

func (p *producer) send(s *slab, i int64, due time.Time) {
	k := int(i % slabRecords)
	value := s.values[k*p.Size : (k+1)*p.Size : (k+1)*p.Size]
	stamp{uint32(p.id), uint64(i), due.UnixNano()}.put(value)
	rec := &s.records[k]
	*rec = kgo.Record{Value: value}
	p.cl.Produce(context.Background(), rec, s.done)
}

// take gives a slab that nobody uses any more.
func (p *producer) take() *slab {
	var s *slab
	select {
	case s = <-p.free:
	default:
		s = &slab{values: make([]byte, slabRecords*p.Size)}
		for k := range slabRecords {
			fill(s.values[k*p.Size:(k+1)*p.Size], p.Payload, uint64(k))
		}
		s.done = func(r *kgo.Record, err error) { p.acknowledged(s, r, err) }
	}
	s.left.Store(slabRecords)
	return s
}

func (p *producer) acknowledged(s *slab, r *kgo.Record, err error) {
	if err != nil {
		p.fail(err)
	} else {
		p.acks.add(readStamp(r.Value).age(time.Now()))
		p.written.add(r.Value, p.Check)
	}
	if s.left.Add(-1) == 0 {
		select {
		case p.free <- s:
		default:
		}
	}
}
