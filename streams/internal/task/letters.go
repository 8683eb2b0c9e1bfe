package task

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/leatstream/leat/streams/internal/operator"
	"github.com/leatstream/leat/streams/internal/spec"
)

// Headers of dead letters, beside those that the record had. The first five are those of Kafka Streams (KIP-1034).
const (
	headerTopic      = "__streams.errors.topic"
	headerPartition  = "__streams.errors.partition"
	headerOffset     = "__streams.errors.offset"
	headerException  = "__streams.errors.exception"
	headerMessage    = "__streams.errors.message"
	headerPipeline   = "__streams.errors.pipeline"
	headerStep       = "__streams.errors.step"
	headerExpression = "__streams.errors.expression"
)

// refused handles a record that a step could not: as on_error says.
func (t *task) refused(err error) error {
	var e *operator.Error
	if !errors.As(err, &e) {
		return err // not the record's fault
	}
	r := &t.record
	switch t.runner.Pipeline.OnError {
	case spec.Stop:
		return fmt.Errorf("%w: offset %d: %w", errStop, r.Offset, err)
	case spec.Skip:
		t.runner.dropped.Add(1)
		return nil
	case spec.DeadLetter:
	}
	t.runner.dead.Add(1)
	t.runner.mu.Lock()
	t.runner.last = fmt.Sprintf("%s partition %d offset %d: %v", r.Topic, r.Partition, r.Offset, err)
	t.runner.mu.Unlock()
	topic := t.runner.Pipeline.DeadLetters()
	n, limit, err := t.runner.deadLetters(t.ctx)
	if err != nil {
		return err
	}
	headers := append(append([]batch.HeaderKV(nil), t.raw.Headers...),
		header(headerTopic, r.Topic), header(headerPartition, strconv.Itoa(int(r.Partition))), header(headerOffset, strconv.FormatInt(r.Offset, 10)),
		header(headerException, "leat.step-failed"), header(headerMessage, e.Cause.Error()), header(headerPipeline, t.runner.Pipeline.Name),
		header(headerStep, e.Step), header(headerExpression, e.Expression))
	to := t.index % n
	if t.place.Skip(topic, to) {
		return nil
	}
	t.pending.Add(1)
	value := t.raw.Value
	if batch.HeaderLen+kafka.RecordSize(t.raw.Key, value, headers) > limit {
		value = nil // it is where the headers say
	}
	return t.batcher.Add(t.ctx, topic, to, time.Now().UnixMilli(), t.raw.Key, value, headers, t.written)
}

func header(k, v string) batch.HeaderKV { return batch.HeaderKV{Key: k, Value: []byte(v)} }

// letters is what is known of the dead-letter topic. Tasks meet here.
type letters struct {
	mu         sync.Mutex
	partitions int32 // 0: not known yet
	limit      int   // its max.message.bytes
}

// deadLetters makes the topic at its first use.
func (r *Runner) deadLetters(ctx context.Context) (partitions int32, limit int, err error) {
	topic := r.Pipeline.DeadLetters()
	l := &r.letters
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.partitions > 0 {
		return l.partitions, l.limit, nil
	}
	if err := r.client.EnsureTopic(ctx, topic, 1, nil); err != nil {
		return 0, 0, err
	}
	n, err := r.client.Partitions(ctx, topic)
	if err != nil {
		return 0, 0, err
	}
	l.partitions, l.limit = n, r.limit(ctx, topic)
	return l.partitions, l.limit, nil
}

// batchBytes is how large a batch may grow: every output topic takes it.
func (r *Runner) batchBytes() int {
	n := 256 << 10
	for _, limit := range r.limits {
		n = min(n, limit-batch.HeaderLen)
	}
	return max(n, 1)
}
