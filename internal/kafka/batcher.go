package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/leatstream/leat/internal/batch"
)

// BatcherOptions shape the batches.
type BatcherOptions struct {
	Codec  batch.Codec
	Bytes  int           // a batch is sent when it would grow beyond; 0: 256 KiB
	Linger time.Duration // and at the latest after; 0: 5 ms

	// Sent is called for each batch that is in the log, before its records' done. next is the offset after it.
	Sent func(topic string, partition int32, next int64)
}

// Batcher collects records into batches for a Producer.
type Batcher struct {
	producer *Producer
	opts     BatcherOptions

	mu   sync.Mutex
	open map[topicPartition]*openBatch
}

type openBatch struct {
	builder *batch.Builder
	done    []func(error)
	timer   *time.Timer
}

// NewBatcher sends through p.
func (p *Producer) NewBatcher(opts BatcherOptions) *Batcher {
	if opts.Bytes == 0 {
		opts.Bytes = 256 << 10
	}
	if opts.Linger == 0 {
		opts.Linger = 5 * time.Millisecond
	}
	return &Batcher{producer: p, opts: opts, open: map[topicPartition]*openBatch{}}
}

// Add puts a record into the batch of its partition. done is called once, from another goroutine, when the record is in
// the log or cannot be. ts is in ms since 1970. The slices may be used again when Add returned.
func (b *Batcher) Add(ctx context.Context, topic string, partition int32, ts int64, key, value []byte, headers []batch.HeaderKV, done func(error)) error {
	return b.add(ctx, topicPartition{topic, partition}, RecordSize(key, value, headers), done, func(to *batch.Builder) { to.Append(ts, key, value, headers) })
}

// AddRaw is Add for a record of another batch, whose bytes are copied as they are.
func (b *Batcher) AddRaw(ctx context.Context, topic string, partition int32, ts int64, rec *batch.Record, done func(error)) error {
	return b.add(ctx, topicPartition{topic, partition}, len(rec.Raw)+20, done, func(to *batch.Builder) { to.AppendRaw(ts, rec) })
}

// RecordSize is the most that a record takes in a batch without compression, in bytes (Kafka's clients estimate alike).
func RecordSize(key, value []byte, headers []batch.HeaderKV) int {
	const varints = 5 + 1 + 10 + 5 + 5 + 5 + 5 // length, attributes, timestamp, offset, key, value, headers
	n := varints + len(key) + len(value)
	for _, h := range headers {
		n += 10 + len(h.Key) + len(h.Value)
	}
	return n
}

func (b *Batcher) add(ctx context.Context, at topicPartition, size int, done func(error), appendTo func(*batch.Builder)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.open[at]
	if o == nil {
		o = &openBatch{builder: batch.NewBuilder(b.opts.Codec)}
		b.open[at] = o
	}
	if o.builder.Count() > 0 && o.builder.Size()+size > b.opts.Bytes {
		if err := b.send(ctx, at, o); err != nil {
			return err
		}
	}
	appendTo(o.builder)
	o.done = append(o.done, done)
	if o.builder.Count() == 1 {
		b.arm(at, o)
	}
	return nil
}

func (b *Batcher) arm(at topicPartition, o *openBatch) {
	if o.timer != nil {
		o.timer.Reset(b.opts.Linger)
		return
	}
	o.timer = time.AfterFunc(b.opts.Linger, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		_ = b.send(b.producer.ctx, at, o) // fails only when the producer is closed, and then says so to each record
	})
}

// Flush sends what is collected, without waiting for the answers.
func (b *Batcher) Flush(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for at, o := range b.open {
		if err := b.send(ctx, at, o); err != nil {
			return err
		}
	}
	return nil
}

// send hands a batch to the producer. The caller holds the lock, so batches leave in the order of their records.
func (b *Batcher) send(ctx context.Context, at topicPartition, o *openBatch) error {
	if o.builder.Count() == 0 {
		return nil
	}
	raw, err := o.builder.Build(make([]byte, 0, o.builder.Size()))
	done, count := o.done, int64(o.builder.Count())
	o.builder.Reset()
	o.done = nil
	answer := func(base int64, err error) {
		if err == nil && b.opts.Sent != nil {
			b.opts.Sent(at.topic, at.partition, base+count)
		}
		for _, d := range done {
			d(err)
		}
	}
	if err == nil {
		err = b.producer.ProduceBatch(ctx, at.topic, at.partition, raw, answer)
	}
	if err != nil {
		go answer(-1, err) // not under the lock
	}
	return err
}
