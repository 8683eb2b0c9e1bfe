package sdk

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/leatstream/leat/connect/sdk/proto"
)

const patience = 3 * time.Minute

// pipeStream is one end of a bidirectional stream in memory: In is what the plugin receives, Out what it sends.
type pipeStream[In, Out any] struct {
	grpc.ServerStream
	ctx context.Context
	in  chan *In
	out chan *Out
}

func (s *pipeStream[In, Out]) Context() context.Context { return s.ctx }

func (s *pipeStream[In, Out]) Recv() (*In, error) {
	select {
	case m, ok := <-s.in:
		if !ok {
			return nil, io.EOF
		}
		return m, nil
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

func (s *pipeStream[In, Out]) Send(m *Out) error {
	select {
	case s.out <- m:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

const epoch = 3

// host is the other end in a test.
type host[In, Out any] struct {
	t    *testing.T
	s    *pipeStream[In, Out]
	done chan error
}

func (h *host[In, Out]) next() *Out {
	h.t.Helper()
	select {
	case m := <-h.s.out:
		return m
	case <-time.After(patience):
		h.t.Fatal("nothing comes from the plugin")
		return nil
	}
}

// nothing makes sure that the plugin has nothing to say at the moment.
func (h *host[In, Out]) nothing() {
	h.t.Helper()
	select {
	case m := <-h.s.out:
		h.t.Fatalf("unexpected: %v", m)
	case <-time.After(30 * time.Millisecond):
	}
}

func (h *host[In, Out]) close() {
	h.t.Helper()
	close(h.s.in)
	select {
	case err := <-h.done:
		if err != nil {
			h.t.Errorf("the stream ended with %v", err)
		}
	case <-time.After(patience):
		h.t.Fatal("the stream does not end")
	}
}

func start[In, Out any](t *testing.T, c Connector, role proto.Role, serve func(*server, *pipeStream[In, Out]) error) *host[In, Out] {
	t.Helper()
	s := &server{connector: c}
	resp, err := s.Open(t.Context(), &proto.OpenRequest{Role: role, Connector: "test", Epoch: epoch})
	if err != nil || resp.GetFailure() != nil {
		t.Fatal(resp, err)
	}
	h := &host[In, Out]{t: t, done: make(chan error, 1), s: &pipeStream[In, Out]{ctx: t.Context(), in: make(chan *In, 100), out: make(chan *Out)}}
	go func() { h.done <- serve(s, h.s) }()
	return h
}

type sourceHost struct {
	*host[proto.SourceControl, proto.SourceMessage]
}

func startSource(t *testing.T, run func(ctx context.Context, t *Task) error) sourceHost {
	c := Connector{Name: "test", Source: Source[struct{}]{Run: func(ctx context.Context, _ struct{}, t *Task) error { return run(ctx, t) }}}
	return sourceHost{start(t, c, proto.Role_ROLE_SOURCE, func(s *server, p *pipeStream[proto.SourceControl, proto.SourceMessage]) error { return s.Source(p) })}
}

func (h sourceHost) credit(bytes int64, batches int32) {
	h.s.in <- &proto.SourceControl{Epoch: epoch, Body: &proto.SourceControl_Credit{Credit: &proto.Credit{Bytes: bytes, Batches: batches}}}
}

func (h sourceHost) ack(claim string, seq uint64) {
	h.s.in <- &proto.SourceControl{Epoch: epoch, Body: &proto.SourceControl_Ack{Ack: &proto.SourceAck{Claim: claim, Seq: seq}}}
}

func (h sourceHost) stop() {
	h.s.in <- &proto.SourceControl{Epoch: epoch, Body: &proto.SourceControl_Stop{Stop: &proto.Stop{}}}
}

func (h sourceHost) batch() *proto.SourceBatch {
	h.t.Helper()
	m := h.next()
	if m.GetBatch() == nil || m.GetEpoch() != epoch {
		h.t.Fatalf("not a batch of this epoch: %v", m)
	}
	return m.GetBatch()
}

type sinkHost struct {
	*host[proto.SinkMessage, proto.SinkControl]
}

func startSink(t *testing.T, w Writer) sinkHost {
	c := Connector{Name: "test", Sink: Sink[struct{}]{Open: func(context.Context, struct{}, *SinkTask) (Writer, error) { return w, nil }}}
	h := sinkHost{start(t, c, proto.Role_ROLE_SINK, func(s *server, p *pipeStream[proto.SinkMessage, proto.SinkControl]) error { return s.Sink(p) })}
	if c := h.next().GetCredit(); c.GetBatches() <= 0 || c.GetBytes() <= 0 {
		t.Fatalf("no first credit: %v", c)
	}
	return h
}

func (h sinkHost) send(m *proto.SinkMessage) {
	m.Epoch = epoch
	h.s.in <- m
}

func (h sinkHost) assign(partition int32) int64 {
	h.t.Helper()
	h.send(&proto.SinkMessage{Body: &proto.SinkMessage_Assign{Assign: &proto.SinkAssign{Partitions: []*proto.TopicPartition{{Topic: "t", Partition: partition}}}}})
	a := h.next().GetAssigned()
	if len(a.GetStarts()) != 1 {
		h.t.Fatalf("assigned: %v", a)
	}
	return a.GetStarts()[0].GetNextOffset()
}

// recordingWriter notes what is asked of it.
type recordingWriter struct {
	mu      sync.Mutex
	offsets []int64
	flushes int
	block   chan struct{} // if set, Write waits for it
	fail    func(r *Record) error
}

func (w *recordingWriter) Write(ctx context.Context, b *Batch) error {
	if w.block != nil {
		select {
		case <-w.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return b.Each(func(r *Record) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.fail != nil {
			if err := w.fail(r); err != nil {
				return err
			}
		}
		w.offsets = append(w.offsets, r.Offset)
		return nil
	})
}

func (w *recordingWriter) Close() error { return nil }

// flushingWriter is a recordingWriter that is durable only after a flush.
type flushingWriter struct{ recordingWriter }

func (w *flushingWriter) Flush(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flushes++
	return nil
}
