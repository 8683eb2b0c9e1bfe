package task

import (
	"context"
	"fmt"
	"sync"

	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/leatstream/leat/streams/internal/operator"
	"github.com/leatstream/leat/streams/internal/topology"
)

// task works on one input partition.
type task struct {
	partition
	runner   *Runner
	producer *kafka.Producer
	batcher  *kafka.Batcher
	chain    *topology.Chain
	place    kafka.Written

	next      int64 // input offset that comes next
	announced bool
	record    operator.Record
	raw       *batch.Record
	ts        int64
	scratch   scratch
	emitted   int
	ctx       context.Context // of the round, for emit

	pending sync.WaitGroup
	mu      sync.Mutex
	failed  error // the first batch that could not be written
}

// newTask starts at offset, where the group was, and finds out what an earlier task had written beyond.
func (r *Runner) newTask(ctx context.Context, p partition, offset int64, note string) (*task, error) {
	t := &task{partition: p, runner: r, next: offset, producer: r.producer.Fork()}
	t.batcher = t.producer.NewBatcher(kafka.BatcherOptions{Bytes: r.batchBytes(), Sent: t.sent})
	t.chain = r.Pipeline.Topology.NewChain(t.emit, t.peek)
	id, err := t.producer.ID()
	if err != nil {
		return nil, err
	}
	t.place, err = r.client.Recover(ctx, parseNote(note, r.steps), true, id, r.outputs())
	return t, err
}

// outputs are the topics that tasks write to.
func (r *Runner) outputs() []string {
	return append(r.Pipeline.Topology.Topics(), r.Pipeline.DeadLetters())
}

func (t *task) peek(step string, r *operator.Record) {
	t.runner.log.Info("peek", "step", step, "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "key", string(r.Key), "value", string(r.Value))
}

// process runs what was fetched through the chain.
func (t *task) process(ctx context.Context, f kafka.Fetched) error {
	t.ctx = ctx
	if f.Offset != t.next { // records were deleted before they were read: what comes now is not what was written
		t.place.Skips = map[string]map[int32]int64{}
	}
	err := f.Each(&t.scratch, func(h batch.Header, raw *batch.Record) error {
		t.raw, t.ts = raw, h.BaseTimestamp+raw.TimestampDelta
		if h.LogAppendTime() {
			t.ts = h.MaxTimestamp
		}
		t.emitted = 0
		r := &t.record
		r.Key, r.Value, r.Headers, r.Raw = raw.Key, raw.Value, raw.Headers, raw
		r.Timestamp, r.Topic, r.Partition, r.Offset = t.ts, f.Topic, f.Partition, h.BaseOffset+int64(raw.OffsetDelta)
		t.runner.in.Add(1)
		if err := t.chain.Process(r); err != nil {
			return t.refused(err)
		}
		if t.emitted == 0 {
			t.runner.dropped.Add(1)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s partition %d: %w", f.Topic, f.Partition, err)
	}
	t.next = f.Next
	return nil
}

// emit writes a record that came out of the chain.
func (t *task) emit(topic string, r *operator.Record) error {
	if n := batch.HeaderLen + kafka.RecordSize(r.Key, r.Value, r.Headers); n > t.runner.limits[topic] {
		return &operator.Error{Step: "to", Expression: topic, Pos: t.runner.Pipeline.Node.Pos, Cause: fmt.Errorf("%d bytes are too large for topic %s, whose max.message.bytes is %d", n, topic, t.runner.limits[topic])}
	}
	t.emitted++
	t.runner.out.Add(1)
	to := t.route(topic, r.Key)
	if t.place.Skip(topic, to) {
		return nil // an earlier task has written it
	}
	t.pending.Add(1)
	if !r.Changed {
		return t.batcher.AddRaw(t.ctx, topic, to, r.Timestamp, t.raw, t.written)
	}
	return t.batcher.Add(t.ctx, topic, to, r.Timestamp, r.Key, r.Value, r.Headers, t.written)
}

// route finds the partition: by key as Kafka's clients do; without one, that of the input, which keeps the order.
func (t *task) route(topic string, key []byte) int32 {
	n := t.runner.partitions[topic]
	if key == nil {
		return t.index % n
	}
	return kafka.KeyPartition(key, n)
}

func (t *task) written(err error) {
	if err != nil {
		t.mu.Lock()
		if t.failed == nil {
			t.failed = err
		}
		t.mu.Unlock()
	}
	t.pending.Done()
}

// sent notes where the task's last batch in an output partition ends.
func (t *task) sent(topic string, index int32, next int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.place.Wrote(topic, index, next)
}

// settle waits until everything that was emitted is durable.
func (t *task) settle(ctx context.Context) error {
	if err := t.batcher.Flush(ctx); err != nil {
		return err
	}
	written := make(chan struct{})
	go func() { // ends at the latest when the producer is closed
		t.pending.Wait()
		close(written)
	}()
	select {
	case <-written:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

func (t *task) note() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return encodeNote(t.place, t.runner.steps)
}
