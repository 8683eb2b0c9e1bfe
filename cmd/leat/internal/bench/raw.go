package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// raw sends batches that were encoded once, then fetches them without looking into them.
func (r *run) raw(ctx context.Context) ([]Measure, error) {
	measures, err := r.rawProduce(ctx)
	if err != nil || r.Passes == 0 {
		r.Check = false // there is nothing to compare with
		return measures, err
	}
	fetched, err := r.rawFetch(ctx)
	return append(measures, fetched...), err
}

// encode makes one batch of nearly Batch bytes.
func (r *run) encode() (encoded []byte, records int, err error) {
	codec, err := batch.ParseCodec(r.Codec)
	if err != nil {
		return nil, 0, err
	}
	const overhead = 12 // bytes of a record beside its value, about
	n := max((r.Batch-batch.HeaderLen)/(r.Size+overhead), 1)
	b := batch.NewBuilder(codec)
	value := make([]byte, r.Size)
	for i := range n {
		fill(value, r.Payload, uint64(i))
		b.Append(time.Now().UnixMilli(), nil, value, nil)
	}
	encoded, err = b.Build(nil)
	return encoded, n, err
}

// shares deals partitions out to connections, each to the leader of its partitions. With more connections than partitions
// several share one.
func (r *run) shares(connections int) [][]int32 {
	out := make([][]int32, connections)
	for c := range out {
		for p := range r.leaders {
			mine := p%connections == c
			if connections > len(r.leaders) {
				mine = p == c%len(r.leaders)
			}
			if mine && (len(out[c]) == 0 || r.leaders[p] == r.leaders[out[c][0]]) {
				out[c] = append(out[c], int32(p))
			}
		}
	}
	return out
}

func (r *run) rawProduce(ctx context.Context) ([]Measure, error) {
	encoded, records, err := r.encode()
	if err != nil {
		return nil, err
	}
	want := max(r.Records/int64(records), 1)
	stop := r.watch("raw produce", func() (float64, int64) {
		n := r.written.records.Load()
		return float64(n) / float64(want*int64(records)), n
	})
	defer stop()
	timed, cancel := context.WithTimeout(ctx, r.Limit)
	defer cancel()
	var latency hist
	var senders []*sender
	for _, parts := range r.shares(r.Producers) {
		c, err := r.dial(ctx, r.leaders[parts[0]])
		if err != nil {
			return nil, err
		}
		defer c.Close()
		s := &sender{run: r, conn: c, records: records, size: len(encoded), waiting: make(chan time.Time, r.InFlight), latency: &latency}
		for _, p := range parts {
			s.frames = append(s.frames, c.out.AppendRequest(nil, produceRequest(r.topic, p, r.Acks, encoded), 1))
		}
		senders = append(senders, s)
	}
	m := startMeter(r.PIDs)
	var sent atomic.Int64
	var all sync.WaitGroup
	for _, s := range senders {
		all.Go(func() { s.write(timed, &sent, want) })
		all.Go(s.read)
	}
	all.Wait()
	measures := m.rates("raw produce", r.written.records.Load(), r.written.bytes.Load())
	return append(measures, latency.measures("raw produce request")...), nil
}

func produceRequest(topic string, partition int32, acks int16, encoded []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, acks, int32(askTimeout.Milliseconds())
	t := kmsg.NewProduceRequestTopic()
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, encoded
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// sender writes requests on one connection and reads their answers at the same time.
type sender struct {
	*run
	conn    *conn
	frames  [][]byte // one a partition
	records int      // in a batch
	size    int
	waiting chan time.Time // when each request went out that was not answered yet
	latency *hist
}

// write sends requests until all senders together have sent enough. It closes waiting.
func (s *sender) write(ctx context.Context, sent *atomic.Int64, want int64) {
	defer close(s.waiting)
	for i := 0; ctx.Err() == nil && sent.Add(1) <= want; i++ {
		if s.Acks != 0 {
			s.waiting <- time.Now()
		}
		if _, err := s.conn.Write(s.frames[i%len(s.frames)]); err != nil {
			s.fail(err)
			return
		}
		if s.Acks == 0 { // nothing comes back
			s.count()
		}
	}
}

// read reads answers until there are no more to come. After an error it only empties waiting, so that write ends.
func (s *sender) read() {
	for at := range s.waiting {
		body, err := s.conn.read(true)
		if err != nil {
			s.fail(err)
			_ = s.conn.Close()
			for range s.waiting {
				continue
			}
			return
		}
		s.latency.add(time.Since(at))
		if err := s.produced(body); err != nil {
			s.fail(err)
			continue
		}
		s.count()
	}
}

func (s *sender) count() {
	s.written.records.Add(int64(s.records))
	s.written.bytes.Add(int64(s.size))
}

// produced reads an answer.
func (s *sender) produced(body []byte) error {
	resp := kmsg.ProduceResponse{Version: 9}
	if err := resp.ReadFrom(body); err != nil {
		return err
	}
	s.throttle.add(time.Duration(resp.ThrottleMillis) * time.Millisecond)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return fmt.Errorf("an answer for %d topics", len(resp.Topics))
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}
