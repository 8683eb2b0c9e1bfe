package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"sync"
	"time"

	"github.com/leatstream/leat/connect/internal/host"
	"github.com/leatstream/leat/connect/internal/spec"
	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/kafka"
	"google.golang.org/grpc"
)

// Credit that a source has at most.
const (
	creditBatches = 64
	creditBytes   = 16 << 20
)

// onlyOnce lets no batch be sent twice: one whose answer was lost may be in the log. The run ends instead, and the next
// one looks (docs/adr/0005).
const onlyOnce = time.Nanosecond

type sourceStream = grpc.BidiStreamingClient[proto.SourceControl, proto.SourceMessage]

// sourceRun is a source's life in one process.
type sourceRun struct {
	task       *Task
	epoch      int64
	stream     sourceStream
	producer   *kafka.Producer
	positions  *kafka.Batcher
	partitions int32
	stored     map[string]position
	claims     map[string]*claim
	released   map[string]uint64 // what must come next, if such a claim is taken up again
	ctx        context.Context

	allowed allowance
}

// claim is a part of the source that has an order of its own: a file, say.
type claim struct {
	run      *sourceRun
	name     string
	producer *kafka.Producer
	batcher  *kafka.Batcher
	next     uint64 // sequence number that must come
	position position
	touched  bool // in this round
	scratch  batch.Scratch

	pending sync.WaitGroup
	mu      sync.Mutex // of failed and position.Written
	failed  error
}

// source runs until stop ends (and then drains), or something breaks.
func (t *Task) source(stop, life context.Context, p *host.Plugin, epoch int64) error {
	s := &sourceRun{task: t, epoch: epoch, claims: map[string]*claim{}, released: map[string]uint64{}, ctx: life}
	if err := t.client.EnsureTopic(life, t.Spec.To, -1, nil); err != nil {
		return err
	}
	var err error
	if s.partitions, err = t.client.Partitions(life, t.Spec.To); err != nil {
		return err
	}
	if s.producer, err = t.client.NewProducer(kafka.ProducerOptions{DeliveryTimeout: onlyOnce}); err != nil {
		return err
	}
	defer s.close(stop)
	s.positions = s.producer.Fork().NewBatcher(kafka.BatcherOptions{})
	if s.stored, err = loadPositions(life, t.client, t.Spec.Name); err != nil {
		return err
	}
	var positions []*proto.Position
	for name, at := range s.stored {
		if len(at.Position) > 0 {
			positions = append(positions, &proto.Position{Claim: name, Position: at.Position})
		}
	}
	if err := t.open(life, p, epoch, positions); err != nil {
		return err
	}
	if s.stream, err = p.Source(life); err != nil {
		return t.died(life, err)
	}
	if err := s.credit(creditBytes, creditBatches); err != nil {
		return err
	}
	return s.loop(stop, s.receive())
}

// closeTime is how long the end of a run waits for what is on its way.
const closeTime = 10 * time.Second

// close waits until what is on its way is in the log: the next run counts what is there, and must not count too early.
// What was not sent yet is given up: it was not acknowledged, so the process will send it again.
func (s *sourceRun) close(stop context.Context) {
	ctx, cancel := context.WithTimeout(stop, closeTime)
	defer cancel()
	var finished sync.WaitGroup
	for _, c := range s.claims {
		finished.Go(func() { c.producer.Finish(ctx) })
	}
	finished.Wait()
	for _, c := range s.claims {
		c.producer.Close()
	}
	s.producer.Close()
}

// received is a message of the process, or its end.
type received struct {
	msg *proto.SourceMessage
	err error
}

// receive hands on what the process sends.
func (s *sourceRun) receive() <-chan received {
	out := make(chan received, creditBatches)
	go func() {
		for {
			m, err := s.stream.Recv()
			if b := m.GetBatch(); err == nil && b != nil && m.GetEpoch() == s.epoch && !s.allowed.spend(b.Cost()) {
				err = greedy{s.task.broke("it sends more than it has credit for")}
			}
			select {
			case out <- received{m, err}:
			case <-s.ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out
}

func (s *sourceRun) send(m *proto.SourceControl) error {
	m.Epoch = s.epoch
	if err := s.stream.Send(m); err != nil {
		return s.task.died(s.ctx, err)
	}
	return nil
}

func (s *sourceRun) credit(bytes int64, batches int32) error {
	s.allowed.grow(bytes, int64(batches))
	return s.send(&proto.SourceControl{Body: &proto.SourceControl_Credit{Credit: &proto.Credit{Bytes: bytes, Batches: batches}}})
}

// loop takes what is there in rounds: records durable, positions durable, acknowledged.
func (s *sourceRun) loop(stop context.Context, in <-chan received) error {
	done := stop.Done()
	var deadline <-chan time.Time
	for {
		var first received
		select {
		case first = <-in:
		case <-done:
			done = nil
			if err := s.send(&proto.SourceControl{Body: &proto.SourceControl_Stop{Stop: &proto.Stop{DeadlineMs: drainTime.Milliseconds()}}}); err != nil {
				return err
			}
			deadline = time.After(drainTime)
			continue
		case <-deadline:
			return nil
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
		drained, err := s.round(first, in)
		if err != nil {
			return err
		}
		if drained {
			return s.stream.CloseSend()
		}
	}
}

// round handles first and whatever else has come.
func (s *sourceRun) round(first received, in <-chan received) (drained bool, err error) {
	caughtUp, changed := false, false
	var batches []*proto.SourceBatch
	var released []string
	var end error // of the process: what it has sent before counts
	for r, more := first, true; more && end == nil; {
		if errors.As(r.err, new(greedy)) {
			end = r.err
		} else if r.err != nil {
			end = s.task.died(s.ctx, r.err)
		} else if r.msg.GetEpoch() == s.epoch {
			switch body := r.msg.GetBody().(type) {
			case *proto.SourceMessage_Batch:
				if err := s.take(body.Batch); err != nil {
					return false, err
				}
				batches = append(batches, body.Batch)
				caughtUp, changed = false, true
			case *proto.SourceMessage_CaughtUp, *proto.SourceMessage_Done:
				caughtUp, changed = true, true
			case *proto.SourceMessage_Release:
				released = append(released, r.msg.GetRelease().GetClaim())
			case *proto.SourceMessage_Drained:
				drained = true
			case *proto.SourceMessage_Failure:
				end = s.task.failure(body.Failure)
			}
		}
		select {
		case r = <-in:
		default:
			more = false
		}
	}
	if err := s.settle(batches, released); err != nil || end != nil {
		return false, cmp.Or(end, err)
	}
	if changed {
		s.task.update(func(st *Status) { st.Drained = caughtUp })
	}
	return drained, nil
}

// settle makes a round durable and acknowledges it.
func (s *sourceRun) settle(batches []*proto.SourceBatch, released []string) error {
	if len(batches) == 0 && len(released) == 0 {
		return nil
	}
	store := map[string]*position{}
	for name, c := range s.claims {
		if !c.touched {
			continue
		}
		c.touched = false
		if err := c.settle(s.ctx); err != nil {
			return err
		}
		at := c.snapshot()
		store[name] = &at
	}
	for _, name := range released {
		store[name] = nil
		if c := s.claims[name]; c != nil {
			c.producer.Close()
			delete(s.claims, name)
			s.released[name] = c.next
		}
		delete(s.stored, name)
	}
	if err := s.store(s.ctx, store); err != nil {
		return err
	}
	last := map[string]uint64{}
	var cost int64
	for _, b := range batches {
		last[b.GetClaim()] = b.GetSeq()
		cost += b.Cost()
	}
	for name, seq := range last {
		if err := s.send(&proto.SourceControl{Body: &proto.SourceControl_Ack{Ack: &proto.SourceAck{Claim: name, Seq: seq}}}); err != nil {
			return err
		}
	}
	if len(batches) == 0 {
		return nil
	}
	return s.credit(cost, int32(len(batches)))
}

// take checks a batch and sends its records on their way.
func (s *sourceRun) take(b *proto.SourceBatch) error {
	switch n := len(b.GetRecords()); {
	case n > 0 && len(b.GetFrame()) > 0:
		return s.task.broke("a batch has both a frame and %d records", n)
	case len(b.GetFrame()) == 0 && n != int(b.GetCount()):
		return s.task.broke("%d records announced, %d sent", b.GetCount(), n)
	}
	c, err := s.claim(b)
	if err != nil {
		return err
	}
	if b.GetSeq() != c.next {
		return fmt.Errorf("plugin %s broke the protocol: batch %d of claim %q came where %d was due", s.task.Spec.Plugin, b.GetSeq(), b.GetClaim(), c.next)
	}
	c.next++
	if len(b.GetPosition()) > proto.MaxPosition {
		return fatal{fmt.Errorf("plugin %s broke the protocol: a position of %d bytes", s.task.Spec.Plugin, len(b.GetPosition()))}
	}
	if len(b.GetFrame()) > 0 {
		if err := c.frame(b); err != nil {
			return err
		}
	}
	for _, r := range b.GetRecords() {
		if err := c.plain(r); err != nil {
			return err
		}
	}
	for _, r := range b.GetRejected() {
		if err := c.rejected(r); err != nil {
			return err
		}
	}
	if len(b.GetPosition()) > 0 {
		c.position.Position = b.GetPosition()
	}
	return nil
}

// claim finds a claim, or begins it: what an earlier process wrote for it is looked up, and the new producer id is stored
// before the first record is written.
func (s *sourceRun) claim(b *proto.SourceBatch) (*claim, error) {
	if c := s.claims[b.GetClaim()]; c != nil {
		c.touched = true
		return c, nil
	}
	c := &claim{run: s, name: b.GetClaim(), next: 1, touched: true, producer: s.producer.Fork()}
	c.batcher = c.producer.NewBatcher(kafka.BatcherOptions{Sent: c.sent})
	id, err := c.producer.ID()
	if err != nil {
		return nil, err
	}
	old, ok := s.stored[c.name]
	if !ok {
		old.Written = kafka.NotWritten()
	}
	if next, ok := s.released[c.name]; ok { // and taken up again
		c.next = next
		delete(s.released, c.name)
	}
	topics := []string{s.task.Spec.To, s.task.Spec.DeadLetters()}
	c.position = position{Position: old.Position, Replays: old.Replays || len(b.GetPosition()) > 0, Way: s.way()}
	// Under other settings the same input gives other records: nothing of it may be left out.
	replays := old.Replays && old.Way == s.way()
	if c.position.Written, err = s.task.client.Recover(s.ctx, old.Written, replays, id, topics); err != nil {
		return nil, err
	}
	at := c.snapshot()
	if err := s.store(s.ctx, map[string]*position{c.name: &at}); err != nil {
		return nil, err
	}
	s.claims[c.name] = c
	return c, nil
}

// way names the settings that decide which records come and where they go.
func (s *sourceRun) way() string {
	c := s.task.Spec
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%q %q %q %d %q %s", c.Plugin, c.To, c.Key, s.partitions, c.OnError, c.Redact(string(c.Config))) // a hash does not fail
	return strconv.FormatUint(h.Sum64(), 16)
}

// snapshot is what is stored, safe from later changes.
func (c *claim) snapshot() position {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.position
	at.Written.Ends, at.Written.Skips = copied(at.Written.Ends), copied(at.Written.Skips)
	return at
}

func copied(m map[string]map[int32]int64) map[string]map[int32]int64 {
	out := make(map[string]map[int32]int64, len(m))
	for k, v := range m {
		inner := make(map[int32]int64, len(v))
		for p, n := range v {
			inner[p] = n
		}
		out[k] = inner
	}
	return out
}

func (c *claim) sent(topic string, index int32, next int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.position.Written.Wrote(topic, index, next)
}

func (c *claim) skip(topic string, index int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.position.Written.Skip(topic, index)
}

// codecBits are the attributes that a plugin may set: how a batch is compressed, not that it is a transaction's.
const codecBits = 0x07

// frame checks a record batch and writes its records: whole, where they have no keys, else each to its partition.
func (c *claim) frame(b *proto.SourceBatch) error {
	spec := c.run.task.Spec
	frame := b.GetFrame()
	h, err := batch.ReadHeader(frame)
	switch {
	case err != nil:
	case h.Size() != len(frame):
		err = fmt.Errorf("%d bytes for a batch of %d", len(frame), h.Size())
	case !batch.CheckCRC(frame):
		err = errors.New("its CRC does not match")
	case h.Control():
		err = errors.New("it is a control batch")
	case h.Attributes&^codecBits != 0 || h.BaseOffset != 0 || h.ProducerID != -1:
		err = fmt.Errorf("attributes %#x, base offset %d and producer %d are the log's to say", h.Attributes, h.BaseOffset, h.ProducerID)
	case h.Count != int32(b.GetCount()) || h.LastOffsetDelta != h.Count-1:
		err = fmt.Errorf("%d records announced, %d in the batch", b.GetCount(), h.Count)
	}
	if err != nil {
		return fmt.Errorf("plugin %s broke the protocol: a frame that is no record batch: %w", spec.Plugin, err)
	}
	keyed := len(spec.Key) > 0
	if err := batch.Walk(frame, batch.Limits{}, &c.scratch, func(r *batch.Record) error {
		keyed = keyed || r.Key != nil
		return nil
	}); err != nil {
		return fmt.Errorf("plugin %s broke the protocol: %w", spec.Plugin, err)
	}
	to := c.partition(nil)
	c.mu.Lock()
	skipping := c.position.Written.Skipping(spec.To, to)
	c.mu.Unlock()
	if !keyed && !skipping {
		return c.whole(frame, to, int64(h.Count))
	}
	return batch.Walk(frame, batch.Limits{}, &c.scratch, func(r *batch.Record) error {
		return c.one(h.BaseTimestamp+r.TimestampDelta, r.Key, r.Value, r.Headers)
	})
}

// whole writes a frame as it is.
func (c *claim) whole(frame []byte, to int32, count int64) error {
	if err := c.batcher.Flush(c.run.ctx); err != nil {
		return err
	}
	topic := c.run.task.Spec.To
	c.count(count, len(frame))
	c.pending.Add(1)
	return c.producer.ProduceBatch(c.run.ctx, topic, to, frame, func(base int64, err error) {
		if err == nil {
			c.sent(topic, to, base+count)
		}
		c.written(err)
	})
}

func (c *claim) count(records int64, bytes int) {
	c.run.task.records.Add(records)
	c.run.task.bytes.Add(int64(bytes))
}

func (c *claim) written(err error) {
	if err != nil {
		c.mu.Lock()
		if c.failed == nil {
			c.failed = err
		}
		c.mu.Unlock()
	}
	c.pending.Done()
}

// partition is where a record goes: by key as Kafka's clients do, else all of a claim to one, which keeps its order.
func (c *claim) partition(key []byte) int32 {
	if key != nil {
		return kafka.KeyPartition(key, c.run.partitions)
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(c.name)) // a hash does not fail
	return int32(h.Sum32()&0x7fffffff) % c.run.partitions
}

// one writes a single record.
func (c *claim) one(ts int64, key, value []byte, headers []batch.HeaderKV) error {
	s := c.run.task.Spec
	if len(s.Key) > 0 {
		var err error
		if key, err = lookup(value, s.Key); err != nil {
			return c.refuse(value, "", "connect.key", err.Error())
		}
	}
	return c.add(s.To, c.partition(key), ts, key, value, headers)
}

func (c *claim) add(topic string, to int32, ts int64, key, value []byte, headers []batch.HeaderKV) error {
	if c.skip(topic, to) {
		return nil // an earlier process has written it
	}
	if topic == c.run.task.Spec.To {
		c.count(1, len(key)+len(value))
	} else {
		c.run.task.dead.Add(1)
	}
	c.pending.Add(1)
	return c.batcher.Add(c.run.ctx, topic, to, ts, key, value, headers, c.written)
}

// plain writes a record of a plugin that does not encode batches.
func (c *claim) plain(r *proto.Record) error {
	headers := make([]batch.HeaderKV, 0, len(r.GetHeaders()))
	for _, h := range r.GetHeaders() {
		headers = append(headers, batch.HeaderKV{Key: h.GetKey(), Value: h.GetValue()})
	}
	ts := r.GetTimestampMs()
	if ts == 0 {
		ts = time.Now().UnixMilli()
	}
	return c.one(ts, r.Key, r.Value, headers)
}

func (c *claim) rejected(r *proto.Rejected) error {
	return c.refuse(r.GetValue(), r.GetOrigin(), r.GetCode(), r.GetMessage())
}

// refuse handles input that cannot become a record: as on_error says.
func (c *claim) refuse(value []byte, origin, code, why string) error {
	t := c.run.task
	switch t.Spec.OnError {
	case spec.Stop:
		return fatal{fmt.Errorf("%s: %s", origin, why)}
	case spec.Skip:
		return nil
	case spec.DeadLetter:
	}
	if err := t.ensureLetters(c.run.ctx); err != nil {
		return err
	}
	t.update(func(s *Status) { s.LastError = t.Spec.Redact(origin + ": " + why) })
	return c.add(t.Spec.DeadLetters(), 0, time.Now().UnixMilli(), nil, value, t.errorHeaders(code, why, batch.HeaderKV{Key: "__connect.errors.origin", Value: []byte(origin)}))
}

// settle waits until everything of the claim is durable.
func (c *claim) settle(ctx context.Context) error {
	if err := c.batcher.Flush(ctx); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { // ends at the latest when the producer is closed
		c.pending.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}
