package sdk

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"

	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/internal/batch"
)

type sinkServerStream = grpc.BidiStreamingServer[proto.SinkMessage, proto.SinkControl]

// What a sink lets the host send ahead.
const (
	sinkCreditBytes   = 8 << 20
	sinkCreditBatches = 64
	flushAtBytes      = 8 << 20 // flush even though more is waiting
)

type partitionID struct {
	topic     string
	partition int32
}

// sinkPartition is what is known of one assigned partition between two acks.
type sinkPartition struct {
	next     int64 // to acknowledge
	verdicts []*proto.Verdict
	dirty    bool
	dropping bool // after a verdict that ended a batch, until a rewind
}

// sinkLoop runs one sink: messages in order, on one goroutine.
type sinkLoop struct {
	task       *opened
	stream     sinkServerStream
	ctx        context.Context
	partitions map[partitionID]*sinkPartition
	order      []partitionID // dirty ones, in the order in which they became so
	unflushed  int
	spentBytes int64
	spent      int32
	scratch    batch.Scratch
}

// Sink runs the connector's sink.
func (s *server) Sink(stream sinkServerStream) error {
	o, err := s.take(proto.Role_ROLE_SINK)
	if err != nil {
		return err
	}
	defer s.release(o)
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	l := &sinkLoop{task: o, stream: stream, ctx: ctx, partitions: map[partitionID]*sinkPartition{}}
	messages := make(chan *proto.SinkMessage, sinkCreditBatches)
	go receiveSink(ctx, stream, messages, cancel)
	err = l.run(messages)
	if closeErr := o.writer.Close(); closeErr != nil && err == nil {
		logger.Warn("close", "err", closeErr)
	}
	if err == nil || stream.Context().Err() != nil {
		return nil
	}
	return l.send(&proto.SinkControl{Body: &proto.SinkControl_Failure{Failure: failure(err)}})
}

// receiveSink queues messages; a Stop also limits how long a stuck Write may go on.
func receiveSink(ctx context.Context, stream sinkServerStream, to chan<- *proto.SinkMessage, cancel context.CancelFunc) {
	defer close(to)
	for {
		m, err := stream.Recv()
		if err != nil {
			return
		}
		if stop := m.GetStop(); stop != nil && stop.GetDeadlineMs() > 0 {
			// A quarter is left for answering.
			timer := time.AfterFunc(time.Duration(stop.GetDeadlineMs())*time.Millisecond*3/4, cancel)
			defer timer.Stop()
		}
		select {
		case to <- m:
		case <-ctx.Done():
			return
		}
	}
}

func (l *sinkLoop) run(messages <-chan *proto.SinkMessage) error {
	err := l.send(&proto.SinkControl{Body: &proto.SinkControl_Credit{Credit: &proto.Credit{
		Bytes: sinkCreditBytes, Batches: sinkCreditBatches,
	}}})
	for err == nil {
		var m *proto.SinkMessage
		var ok bool
		select {
		case m, ok = <-messages:
		default:
			// Nothing waits: one flush for all that was written.
			if err = l.flush(); err != nil {
				return err
			}
			m, ok = <-messages
		}
		if !ok {
			return nil // the host has closed its side
		}
		if m.GetEpoch() == l.task.req.GetEpoch() {
			err = l.handle(m)
		}
	}
	return err
}

func (l *sinkLoop) handle(m *proto.SinkMessage) error {
	switch body := m.GetBody().(type) {
	case *proto.SinkMessage_Assign:
		return l.assign(body.Assign.GetPartitions())
	case *proto.SinkMessage_Revoke:
		if err := l.flush(); err != nil {
			return err
		}
		for _, p := range body.Revoke.GetPartitions() {
			delete(l.partitions, partitionID{p.GetTopic(), p.GetPartition()})
		}
		return l.send(&proto.SinkControl{Body: &proto.SinkControl_Revoked{Revoked: &proto.SinkRevoked{Partitions: body.Revoke.GetPartitions()}}})
	case *proto.SinkMessage_Batch:
		return l.write(body.Batch)
	case *proto.SinkMessage_Flush:
		if err := l.flush(); err != nil {
			return err
		}
		return l.send(&proto.SinkControl{Body: &proto.SinkControl_Flushed{Flushed: &proto.Flushed{Barrier: body.Flush.GetBarrier()}}})
	case *proto.SinkMessage_Stop:
		if err := l.flush(); err != nil {
			return err
		}
		return l.send(&proto.SinkControl{Body: &proto.SinkControl_Drained{Drained: &proto.Drained{}}})
	}
	return nil
}

func (l *sinkLoop) assign(partitions []*proto.TopicPartition) error {
	answer := &proto.SinkAssigned{}
	for _, p := range partitions {
		next := int64(-1)
		if r, ok := l.task.writer.(Resumer); ok {
			var err error
			if next, err = r.Resume(l.ctx, p.GetTopic(), p.GetPartition()); err != nil {
				return fmt.Errorf("resume %s-%d: %w", p.GetTopic(), p.GetPartition(), err)
			}
		}
		l.partitions[partitionID{p.GetTopic(), p.GetPartition()}] = &sinkPartition{}
		answer.Starts = append(answer.Starts, &proto.SinkStart{From: p, NextOffset: next})
	}
	return l.send(&proto.SinkControl{Body: &proto.SinkControl_Assigned{Assigned: answer}})
}

func (l *sinkLoop) write(m *proto.SinkBatch) error {
	id := partitionID{m.GetFrom().GetTopic(), m.GetFrom().GetPartition()}
	l.spentBytes += m.Cost()
	l.spent++
	p := l.partitions[id]
	if p != nil && m.GetRewind() {
		p.dropping = false
	}
	if p == nil || p.dropping {
		return l.returnCredit()
	}
	b := &Batch{
		Topic: id.topic, Partition: id.partition, First: m.GetFirstOffset(), Next: m.GetNextOffset(),
		frame: m.GetFrame(), scratch: &l.scratch,
	}
	err := l.call(b)
	if l.ctx.Err() != nil {
		return errors.Join(l.ctx.Err(), err)
	}
	next, verdicts := b.result(err)
	p.next, p.dropping = next, err != nil
	p.verdicts = append(p.verdicts, verdicts...)
	if !p.dirty {
		p.dirty = true
		l.order = append(l.order, id)
	}
	l.unflushed += len(m.GetFrame())
	_, flushes := l.task.writer.(Flusher)
	if !flushes || p.dropping || l.unflushed >= flushAtBytes {
		return l.flush()
	}
	return nil
}

// call calls the author's Write; a panic there is a failure with a stack in the log.
func (l *sinkLoop) call(b *Batch) (err error) {
	defer func() {
		if p := recover(); p != nil {
			logger.Error("panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("the connector panicked: %v", p)
		}
	}()
	return l.task.writer.Write(l.ctx, b)
}

// flush makes what was written durable, acknowledges it and gives its credit back.
func (l *sinkLoop) flush() error {
	if len(l.order) > 0 {
		if f, ok := l.task.writer.(Flusher); ok {
			if err := f.Flush(l.ctx); err != nil {
				return err
			}
		}
	}
	for _, id := range l.order {
		p := l.partitions[id]
		ack := &proto.SinkAck{From: &proto.TopicPartition{Topic: id.topic, Partition: id.partition}, NextOffset: p.next, Verdicts: p.verdicts}
		p.dirty, p.verdicts = false, nil
		if err := l.send(&proto.SinkControl{Body: &proto.SinkControl_Ack{Ack: ack}}); err != nil {
			return err
		}
	}
	l.order, l.unflushed = l.order[:0], 0
	return l.returnCredit()
}

func (l *sinkLoop) returnCredit() error {
	if l.spent == 0 {
		return nil
	}
	c := &proto.Credit{Bytes: l.spentBytes, Batches: l.spent}
	l.spentBytes, l.spent = 0, 0
	return l.send(&proto.SinkControl{Body: &proto.SinkControl_Credit{Credit: c}})
}

func (l *sinkLoop) send(m *proto.SinkControl) error {
	m.Epoch = l.task.req.GetEpoch()
	return l.stream.Send(m)
}
