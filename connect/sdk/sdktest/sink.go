package sdktest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/leatstream/leat/connect/sdk"
	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/internal/batch"
)

// SinkRun is the host's side of a running sink.
type SinkRun struct {
	t      testing.TB
	plugin *Plugin
	stream grpc.BidiStreamingClient[proto.SinkMessage, proto.SinkControl]
	epoch  int64
	seq    uint64

	sendEpoch atomic.Int64

	mu       sync.Mutex
	more     *sync.Cond
	starts   map[partition]int64
	acked    map[partition]int64
	verdicts []*proto.Verdict
	flushed  uint64
	drained  bool
	revoked  int
	ended    bool
	credit   int64
	failure  *proto.Failure
}

type partition struct {
	topic string
	id    int32
}

// Sink opens a sink and starts its stream.
func (p *Plugin) Sink(config any) *SinkRun {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p.t.Cleanup(cancel)
	resp, err := p.Open(ctx, &proto.OpenRequest{Role: proto.Role_ROLE_SINK, Connector: "test", Epoch: 7, Config: encode(p.t, config)})
	if err != nil {
		p.t.Fatal(err)
	}
	r := &SinkRun{t: p.t, plugin: p, epoch: 7, starts: map[partition]int64{}, acked: map[partition]int64{}}
	r.sendEpoch.Store(r.epoch)
	r.more = sync.NewCond(&r.mu)
	if r.failure = resp.GetFailure(); r.failure != nil {
		r.ended = true
		return r
	}
	if r.stream, err = p.PluginClient.Sink(ctx); err != nil {
		p.t.Fatal(err)
	}
	go r.receive()
	return r
}

func (r *SinkRun) receive() {
	for {
		m, err := r.stream.Recv()
		r.mu.Lock()
		if err != nil {
			r.ended = true
		} else if m.GetEpoch() == r.epoch {
			r.take(m)
		}
		r.more.Broadcast()
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (r *SinkRun) take(m *proto.SinkControl) {
	switch body := m.GetBody().(type) {
	case *proto.SinkControl_Credit:
		r.credit += int64(body.Credit.GetBatches())
	case *proto.SinkControl_Assigned:
		for _, s := range body.Assigned.GetStarts() {
			r.starts[key(s.GetFrom())] = s.GetNextOffset()
		}
	case *proto.SinkControl_Ack:
		k := key(body.Ack.GetFrom())
		if body.Ack.GetNextOffset() < r.acked[k] {
			r.t.Errorf("ack of %v goes back from %d to %d", k, r.acked[k], body.Ack.GetNextOffset())
		}
		r.acked[k] = body.Ack.GetNextOffset()
		r.verdicts = append(r.verdicts, body.Ack.GetVerdicts()...)
	case *proto.SinkControl_Flushed:
		r.flushed = body.Flushed.GetBarrier()
	case *proto.SinkControl_Revoked:
		r.revoked += len(body.Revoked.GetPartitions())
	case *proto.SinkControl_Drained:
		r.drained = true
	case *proto.SinkControl_Failure:
		r.failure = body.Failure
	}
}

func key(p *proto.TopicPartition) partition { return partition{p.GetTopic(), p.GetPartition()} }

// Assign gives a partition to the sink and returns the offset at which it wants to start, or -1.
func (r *SinkRun) Assign(topic string, id int32) int64 {
	r.t.Helper()
	r.send(&proto.SinkMessage{Body: &proto.SinkMessage_Assign{Assign: &proto.SinkAssign{
		Partitions: []*proto.TopicPartition{{Topic: topic, Partition: id}},
	}}})
	start := int64(0)
	r.Wait("assigned", func(r *SinkRun) bool {
		var ok bool
		start, ok = r.starts[partition{topic, id}]
		return ok
	})
	return start
}

// Revoke takes a partition away and waits for the answer.
func (r *SinkRun) Revoke(topic string, id int32) {
	r.t.Helper()
	want := r.revoked + 1
	r.send(&proto.SinkMessage{Body: &proto.SinkMessage_Revoke{Revoke: &proto.SinkRevoke{
		Partitions: []*proto.TopicPartition{{Topic: topic, Partition: id}}, DeadlineMs: Patience.Milliseconds(),
	}}})
	r.Wait("revoked", func(r *SinkRun) bool { return r.revoked >= want })
}

// Frame encodes records as the log would hold them from offset base on.
func Frame(t testing.TB, base int64, records ...sdk.Record) []byte {
	t.Helper()
	b := batch.NewBuilder(batch.None)
	for _, r := range records {
		b.Append(r.Timestamp, r.Key, r.Value, r.Headers)
	}
	frame, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	batch.SetBaseOffset(frame, base)
	return frame
}

// Values makes records without keys.
func Values(values ...string) []sdk.Record {
	out := make([]sdk.Record, len(values))
	for i, v := range values {
		out[i] = sdk.Record{Value: []byte(v), Timestamp: 1700000000000 + int64(i)}
	}
	return out
}

// Send sends records as one batch from offset base on.
func (r *SinkRun) Send(topic string, id int32, base int64, records ...sdk.Record) {
	r.t.Helper()
	r.SendBatch(&proto.SinkBatch{
		From: &proto.TopicPartition{Topic: topic, Partition: id}, FirstOffset: base, NextOffset: base + int64(len(records)),
		Frame: Frame(r.t, base, records...),
	})
}

// SendBatch sends a batch as it is.
func (r *SinkRun) SendBatch(b *proto.SinkBatch) {
	r.seq++
	b.Seq = r.seq
	r.Wait("credit", func(r *SinkRun) bool { return r.credit > 0 })
	r.mu.Lock()
	r.credit--
	r.mu.Unlock()
	r.send(&proto.SinkMessage{Body: &proto.SinkMessage_Batch{Batch: b}})
}

func (r *SinkRun) send(m *proto.SinkMessage) {
	m.Epoch = r.sendEpoch.Load()
	_ = r.stream.Send(m) // a broken stream shows in receive
}

// Wait waits until ok holds of what the sink has said; what names it in the failure.
func (r *SinkRun) Wait(what string, ok func(*SinkRun) bool) {
	r.t.Helper()
	stop := time.AfterFunc(Patience, r.more.Broadcast)
	defer stop.Stop()
	deadline := time.Now().Add(Patience)
	r.mu.Lock()
	defer r.mu.Unlock()
	for !ok(r) {
		if r.ended || time.Now().After(deadline) {
			r.t.Fatalf("waited for %s: acked %v, verdicts %v, ended %v, failure %v\n%s", what, r.acked, r.verdicts, r.ended, r.failure, r.plugin.Logs())
		}
		r.more.Wait()
	}
}

// WaitAck waits until everything below next is acknowledged.
func (r *SinkRun) WaitAck(topic string, id int32, next int64) {
	r.t.Helper()
	r.Wait("ack", func(r *SinkRun) bool { return r.acked[partition{topic, id}] >= next })
}

// WaitVerdicts waits for n verdicts in all.
func (r *SinkRun) WaitVerdicts(n int) []*proto.Verdict {
	r.t.Helper()
	r.Wait("verdicts", func(r *SinkRun) bool { return len(r.verdicts) >= n })
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.verdicts)
}

// WaitFailure waits for the sink to fail.
func (r *SinkRun) WaitFailure() *proto.Failure {
	r.t.Helper()
	r.mu.Lock()
	failure := r.failure
	r.mu.Unlock()
	if failure == nil {
		r.Wait("a failure", func(r *SinkRun) bool { return r.failure != nil })
	}
	return r.failure
}

// Acked is the offset below which everything is acknowledged.
func (r *SinkRun) Acked(topic string, id int32) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.acked[partition{topic, id}]
}

// Flush waits until everything sent is acknowledged.
func (r *SinkRun) Flush() {
	r.t.Helper()
	r.seq++
	barrier := r.seq
	r.send(&proto.SinkMessage{Body: &proto.SinkMessage_Flush{Flush: &proto.Flush{Barrier: barrier}}})
	r.Wait("flushed", func(r *SinkRun) bool { return r.flushed >= barrier })
}

// Stop drains the sink and closes the stream.
func (r *SinkRun) Stop() {
	r.t.Helper()
	r.send(&proto.SinkMessage{Body: &proto.SinkMessage_Stop{Stop: &proto.Stop{DeadlineMs: Patience.Milliseconds()}}})
	r.Wait("drained", func(r *SinkRun) bool { return r.drained })
	_ = r.stream.CloseSend()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.ended {
		r.more.Wait()
	}
}
