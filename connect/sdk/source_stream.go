package sdk

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"google.golang.org/grpc"

	"github.com/leatstream/leat/connect/sdk/proto"
)

type sourceStream = grpc.BidiStreamingServer[proto.SourceControl, proto.SourceMessage]

// Source runs the connector's source. The handler's return ends the stream, so it stays for acks until the host
// has closed its side.
func (s *server) Source(stream sourceStream) error {
	o, err := s.take(proto.Role_ROLE_SOURCE)
	if err != nil {
		return err
	}
	defer s.release(o)
	t := newTask(o.req)
	var stopRun context.CancelFunc
	streamCtx, endStream := context.WithCancel(stream.Context())
	defer endStream()
	t.stream, t.send = streamCtx, stream.Send
	t.running, stopRun = context.WithCancel(streamCtx)
	defer stopRun()

	hostGone := make(chan struct{})
	go func() {
		defer close(hostGone)
		t.receive(stream, stopRun)
		stopRun()
	}()
	failed := t.conclude(s.run(t, o.config))
	if failed {
		return nil
	}
	<-hostGone
	return nil
}

// receive handles what the host says until it closes its side.
func (t *Task) receive(stream sourceStream, stopRun context.CancelFunc) {
	for {
		m, err := stream.Recv()
		if err != nil {
			return
		}
		if m.GetEpoch() != t.epoch {
			continue
		}
		switch body := m.GetBody().(type) {
		case *proto.SourceControl_Credit:
			t.credit.give(body.Credit.GetBytes(), int64(body.Credit.GetBatches()))
		case *proto.SourceControl_Ack:
			t.acked(body.Ack)
		case *proto.SourceControl_Stop:
			stopRun()
		}
	}
}

// run calls the author's function; a panic there is a failure with a stack in the log.
func (s *server) run(t *Task, config any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			t.Log.Error("panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("the connector panicked: %v", p)
		}
	}()
	return s.connector.Source.runSource(t.running, config, t)
}

// conclude tells the host how the run ended, and whether that was a failure.
func (t *Task) conclude(err error) (failed bool) {
	stopped := t.running.Err() != nil
	if err != nil && !stopped {
		_ = t.message(&proto.SourceMessage{Body: &proto.SourceMessage_Failure{Failure: failure(err)}}) // or the stream is gone
		return true
	}
	if err != nil && !errors.Is(err, ErrStopping) && !errors.Is(err, context.Canceled) {
		t.Log.Warn("error while stopping", "err", err)
	}
	if err := t.flush(); err != nil {
		return true
	}
	if !stopped {
		if t.message(&proto.SourceMessage{Body: &proto.SourceMessage_Done{Done: &proto.Done{}}}) != nil {
			return true
		}
		<-t.running.Done()
	}
	return t.message(&proto.SourceMessage{Body: &proto.SourceMessage_Drained{Drained: &proto.Drained{}}}) != nil
}
