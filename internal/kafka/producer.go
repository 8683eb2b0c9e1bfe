package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/semaphore"
)

// ProducerOptions bound a producer.
type ProducerOptions struct {
	MaxBuffered     int64         // bytes of batches that wait for their answer; 0: 32 MiB
	DeliveryTimeout time.Duration // for one batch, retries included; 0: 2 minutes
}

// ErrClosed is what batches get that were not answered when the producer was closed.
var ErrClosed = errors.New("the producer was closed")

// ErrEarlier is what batches get that were not sent because one before them could not be produced.
var ErrEarlier = errors.New("not sent: an earlier batch could not be produced")

// Producer sends batches that are encoded already, in order within each partition. What is in the log of a partition is
// always the beginning of what was produced for it: after a batch that could not be produced none is sent any more, and
// whoever wants to go on makes a new producer.
type Producer struct {
	client *Client
	kgo    *kgo.Client
	opts   ProducerOptions
	space  *semaphore.Weighted
	forked bool // the connections are another producer's
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu     sync.Mutex
	lanes  map[topicPartition]*lane
	id     int64 // producer id; -1: none yet
	epoch  int16
	closed bool
	failed error // the first batch that could not be produced
	busy   sync.WaitGroup
}

type topicPartition struct {
	topic     string
	partition int32
}

// lane is the way to one partition. One batch is on it at a time, so a retry cannot overtake.
type lane struct {
	topicPartition
	queue    []queued
	running  bool
	sequence int32
}

type queued struct {
	batch []byte
	since time.Time
	done  func(base int64, err error)
}

// NewProducer makes a producer with connections of its own.
func (c *Client) NewProducer(opts ProducerOptions) (*Producer, error) {
	if opts.MaxBuffered == 0 {
		opts.MaxBuffered = 32 << 20
	}
	if opts.DeliveryTimeout == 0 {
		opts.DeliveryTimeout = 2 * time.Minute
	}
	cl, err := kgo.NewClient(c.cfg.options()...)
	if err != nil {
		return nil, err
	}
	p := &Producer{client: c, kgo: cl, opts: opts, space: semaphore.NewWeighted(opts.MaxBuffered), lanes: map[topicPartition]*lane{}, id: -1}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	return p, nil
}

// Fork makes a producer with an identity of its own that shares p's connections and memory. It is closed before p.
func (p *Producer) Fork() *Producer {
	f := &Producer{client: p.client, kgo: p.kgo, opts: p.opts, space: p.space, forked: true, lanes: map[topicPartition]*lane{}, id: -1}
	f.ctx, f.cancel = context.WithCancelCause(p.ctx)
	return f
}

// ID is the producer id that the broker gave, which stands in every batch.
func (p *Producer) ID() (int64, error) {
	id, _, err := p.identity()
	return id, err
}

// ProduceBatch queues one whole record batch and owns b from then on. done is called once, from another goroutine, with
// the offset of the batch or why it is not in the log. It blocks while too much waits, until ctx ends.
func (p *Producer) ProduceBatch(ctx context.Context, topic string, partition int32, b []byte, done func(base int64, err error)) error {
	size := min(int64(len(b)), p.opts.MaxBuffered)
	if err := p.space.Acquire(ctx, size); err != nil {
		return err
	}
	q := queued{batch: b, since: time.Now(), done: func(base int64, err error) {
		p.space.Release(size)
		done(base, err)
	}}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		p.space.Release(size)
		return ErrClosed
	}
	at := topicPartition{topic, partition}
	l := p.lanes[at]
	if l == nil {
		l = &lane{topicPartition: at}
		p.lanes[at] = l
	}
	l.queue = append(l.queue, q)
	if !l.running {
		l.running = true
		p.busy.Go(func() { p.drain(l) })
	}
	return nil
}

// Finish sends nothing more and waits, until ctx ends, for the answers to what is on its way: whoever goes on in this
// producer's place finds all of it in the log then. Close is still to be called.
func (p *Producer) Finish(ctx context.Context) {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	answered := make(chan struct{})
	go func() { // ends at the latest with Close
		p.busy.Wait()
		close(answered)
	}()
	select {
	case <-answered:
	case <-ctx.Done():
	}
}

// Close gives up what was not answered yet.
func (p *Producer) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel(ErrClosed)
	p.busy.Wait()
	if !p.forked {
		p.kgo.Close()
	}
}

// drain sends a lane's batches one after the other until there are none.
func (p *Producer) drain(l *lane) {
	for {
		p.mu.Lock()
		if len(l.queue) == 0 {
			l.running = false
			p.mu.Unlock()
			return
		}
		q := l.queue[0]
		l.queue[0] = queued{}
		l.queue = l.queue[1:]
		closed := p.closed
		p.mu.Unlock()
		if closed {
			q.done(-1, ErrClosed)
			continue
		}
		base, err := int64(-1), p.earlier()
		if err == nil {
			if base, err = p.deliver(l, q); err != nil {
				err = fmt.Errorf("produce to %s partition %d: %w", l.topic, l.partition, err)
				p.fail(err)
			}
		}
		q.done(base, err)
	}
}

// deliver sends a batch until it is in the log, or cannot be.
func (p *Producer) deliver(l *lane, q queued) (int64, error) {
	h, err := batch.ReadHeader(q.batch)
	if err != nil {
		return -1, err
	}
	for attempt := 0; ; attempt++ {
		base, err := p.try(l, q.batch, h)
		switch {
		case err == nil:
			l.sequence += h.Count
			if l.sequence < 0 { // sequences wrap to 0 after the largest int32
				l.sequence &= 0x7fffffff
			}
			return base, nil
		case p.ctx.Err() != nil:
			return -1, context.Cause(p.ctx)
		case !worthRetrying(err):
			return -1, err
		}
		if time.Since(q.since) > p.opts.DeliveryTimeout {
			return -1, err
		}
		p.client.forget(l.topic)
		if err := backoff(p.ctx, attempt); err != nil {
			return -1, err
		}
	}
}

// try sends a batch once.
func (p *Producer) try(l *lane, b []byte, h batch.Header) (int64, error) {
	leader, topic, err := p.client.leader(p.ctx, l.topic, l.partition)
	if err != nil {
		return -1, err
	}
	id, epoch, err := p.identity()
	if err != nil {
		return -1, err
	}
	batch.SetProducer(b, id, epoch, l.sequence)
	batch.Seal(b)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 30_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID = l.topic, topic.id
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = l.partition, b
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	raw, err := p.kgo.Broker(int(leader)).Request(p.ctx, req)
	if err != nil {
		return -1, err
	}
	resp := raw.(*kmsg.ProduceResponse)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return -1, errors.New("the broker's answer does not name the partition")
	}
	answer := resp.Topics[0].Partitions[0]
	err = kerr.ErrorForCode(answer.ErrorCode)
	if errors.Is(err, kerr.DuplicateSequenceNumber) {
		err = nil
	}
	if err != nil && answer.ErrorMessage != nil {
		err = fmt.Errorf("%w: %s", err, *answer.ErrorMessage)
	}
	return answer.BaseOffset, err
}

// identity is the producer's id and epoch, asked for once.
func (p *Producer) identity() (int64, int16, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.id >= 0 {
		return p.id, p.epoch, nil
	}
	req := kmsg.NewPtrInitProducerIDRequest()
	req.ProducerID, req.ProducerEpoch, req.TransactionTimeoutMillis = -1, -1, 60_000
	resp, err := req.RequestWith(p.ctx, p.kgo)
	if err != nil {
		return -1, -1, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return -1, -1, err
	}
	p.id, p.epoch = resp.ProducerID, resp.ProducerEpoch
	return p.id, p.epoch, nil
}

func (p *Producer) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == nil {
		p.failed = err
	}
}

// earlier is why nothing is sent any more.
func (p *Producer) earlier() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrEarlier, p.failed)
}
