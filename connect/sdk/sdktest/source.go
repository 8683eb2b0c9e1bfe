package sdktest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/leatstream/leat/connect/sdk"
	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/internal/batch"
)

// SourceRun is the host's side of a running source. Unless Hold was asked for, it acknowledges what it gets at once.
type SourceRun struct {
	t      testing.TB
	plugin *Plugin
	stream grpc.BidiStreamingClient[proto.SourceControl, proto.SourceMessage]
	epoch  int64

	sendMu    sync.Mutex
	mu        sync.Mutex
	more      *sync.Cond
	hold      bool
	counting  bool
	counted   int
	batches   []*proto.SourceBatch
	records   []sdk.Record // Topic is the claim
	rejected  []*proto.Rejected
	positions map[string][]byte
	released  []string
	caughtUp  bool
	done      bool
	drained   bool
	ended     bool
	failure   *proto.Failure
	owed      int64 // credit in bytes that the source has, as the host counts it
	owedCount int64
	overdrawn bool
}

// SourceOptions changes how a source is driven.
type SourceOptions struct {
	Positions map[string][]byte // durable from a run before
	Hold      bool              // acknowledge nothing, give no credit beyond the first
	Bytes     int64             // first credit; 0 means 8 MiB
	Batches   int32             // first credit; 0 means 32
	NoCredit  bool              // no first credit at all
	Count     bool              // count records and forget them
}

// Source opens a source and starts its stream.
func (p *Plugin) Source(config any, o SourceOptions) *SourceRun {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p.t.Cleanup(cancel)
	req := &proto.OpenRequest{Role: proto.Role_ROLE_SOURCE, Connector: "test", Epoch: 7, Config: encode(p.t, config)}
	for _, claim := range slices.Sorted(maps.Keys(o.Positions)) {
		req.Positions = append(req.Positions, &proto.Position{Claim: claim, Position: o.Positions[claim]})
	}
	resp, err := p.Open(ctx, req)
	if err != nil {
		p.t.Fatal(err)
	}
	r := &SourceRun{t: p.t, plugin: p, epoch: req.GetEpoch(), hold: o.Hold, counting: o.Count, positions: maps.Clone(o.Positions)}
	if r.positions == nil {
		r.positions = map[string][]byte{}
	}
	r.more = sync.NewCond(&r.mu)
	if r.failure = resp.GetFailure(); r.failure != nil {
		r.ended = true
		return r
	}
	if r.stream, err = p.PluginClient.Source(ctx); err != nil {
		p.t.Fatal(err)
	}
	if o.Bytes == 0 {
		o.Bytes = 8 << 20
	}
	if o.Batches == 0 {
		o.Batches = 32
	}
	if !o.NoCredit {
		r.Credit(o.Bytes, o.Batches)
	}
	go r.receive()
	return r
}

func (r *SourceRun) receive() {
	for {
		m, err := r.stream.Recv()
		if err != nil {
			r.update(func() { r.ended = true })
			return
		}
		if m.GetEpoch() != r.epoch {
			continue
		}
		var reply *proto.SourceBatch
		r.update(func() { reply = r.take(m) })
		if reply != nil {
			r.Ack(reply)
			r.Credit(reply.Cost(), 1)
		}
	}
}

// take notes a message; the batch that it returns is to be acknowledged.
func (r *SourceRun) take(m *proto.SourceMessage) *proto.SourceBatch {
	switch body := m.GetBody().(type) {
	case *proto.SourceMessage_Batch:
		b := body.Batch
		r.overdrawn = r.overdrawn || r.owed <= 0 || r.owedCount <= 0
		r.owed -= b.Cost()
		r.owedCount--
		r.caughtUp = false
		r.counted += int(b.GetCount())
		if r.counting {
			return b
		}
		r.batches = append(r.batches, b)
		r.records = append(r.records, Decode(r.t, b)...)
		r.rejected = append(r.rejected, b.GetRejected()...)
		if !r.hold {
			if len(b.GetPosition()) > 0 {
				r.positions[b.GetClaim()] = b.GetPosition()
			}
			return b
		}
	case *proto.SourceMessage_CaughtUp:
		r.caughtUp = true
	case *proto.SourceMessage_Done:
		r.done = true
	case *proto.SourceMessage_Drained:
		r.drained = true
	case *proto.SourceMessage_Release:
		delete(r.positions, body.Release.GetClaim())
		r.released = append(r.released, body.Release.GetClaim())
	case *proto.SourceMessage_Failure:
		r.failure = body.Failure
	}
	return nil
}

// Decode reads the records of a source's batch; Topic is the claim, Offset the place in the batch.
func Decode(t testing.TB, b *proto.SourceBatch) []sdk.Record {
	var out []sdk.Record
	for i, r := range b.GetRecords() {
		out = append(out, sdk.Record{Key: r.GetKey(), Value: r.GetValue(), Timestamp: r.GetTimestampMs(), Topic: b.GetClaim(), Offset: int64(i)})
	}
	if len(b.GetFrame()) == 0 {
		return out
	}
	h, err := batch.ReadHeader(b.GetFrame())
	if err != nil || h.Size() != len(b.GetFrame()) || !batch.CheckCRC(b.GetFrame()) || h.Count != int32(b.GetCount()) {
		t.Errorf("a frame that is not one sealed record batch of %d records: %+v %v", b.GetCount(), h, err)
		return out
	}
	var scratch batch.Scratch
	err = batch.Walk(b.GetFrame(), batch.Limits{MaxDecompressed: batch.DefaultMaxDecompressed}, &scratch, func(r *batch.Record) error {
		out = append(out, sdk.Record{
			Key: slices.Clone(r.Key), Value: slices.Clone(r.Value), Headers: slices.Clone(r.Headers),
			Timestamp: h.BaseTimestamp + r.TimestampDelta, Topic: b.GetClaim(), Offset: int64(r.OffsetDelta),
		})
		return nil
	})
	if err != nil {
		t.Errorf("frame: %v", err)
	}
	return out
}

func (r *SourceRun) update(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	r.more.Broadcast()
}

// Credit gives the source more credit.
func (r *SourceRun) Credit(bytes int64, batches int32) {
	r.update(func() {
		r.owed += bytes
		r.owedCount += int64(batches)
	})
	r.control(&proto.SourceControl{Body: &proto.SourceControl_Credit{Credit: &proto.Credit{Bytes: bytes, Batches: batches}}})
}

// Ack says that a batch, and all before it of its claim, are durable.
func (r *SourceRun) Ack(b *proto.SourceBatch) {
	r.update(func() {
		if len(b.GetPosition()) > 0 {
			r.positions[b.GetClaim()] = b.GetPosition()
		}
	})
	r.control(&proto.SourceControl{Body: &proto.SourceControl_Ack{Ack: &proto.SourceAck{Claim: b.GetClaim(), Seq: b.GetSeq()}}})
}

func (r *SourceRun) control(m *proto.SourceControl) {
	if m.GetEpoch() == 0 {
		m.Epoch = r.epoch
	}
	r.sendMu.Lock()
	defer r.sendMu.Unlock()
	_ = r.stream.Send(m) // a broken stream shows in receive
}

// Wait waits until ok holds of what the source has sent; what names it in the failure.
func (r *SourceRun) Wait(what string, ok func(*SourceRun) bool) {
	r.t.Helper()
	stop := time.AfterFunc(Patience, r.more.Broadcast)
	defer stop.Stop()
	deadline := time.Now().Add(Patience)
	r.mu.Lock()
	defer r.mu.Unlock()
	for !ok(r) {
		if r.ended || time.Now().After(deadline) {
			r.t.Fatalf("waited for %s: %d records, %d rejected, caught up %v, ended %v, failure %v\n%s", what,
				len(r.records), len(r.rejected), r.caughtUp, r.ended, r.failure, r.plugin.Logs())
		}
		r.more.Wait()
	}
}

// WaitRecords waits for n records in all, and returns what there is.
func (r *SourceRun) WaitRecords(n int) []sdk.Record {
	r.t.Helper()
	r.Wait("records", func(r *SourceRun) bool { return len(r.records) >= n })
	return r.Records()
}

// WaitCount waits for n records in all.
func (r *SourceRun) WaitCount(n int) {
	r.t.Helper()
	r.Wait("records", func(r *SourceRun) bool { return r.counted >= n })
}

// Counted is how many records came so far.
func (r *SourceRun) Counted() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counted
}

// WaitBatches waits for n batches in all, and returns what there is.
func (r *SourceRun) WaitBatches(n int) []*proto.SourceBatch {
	r.t.Helper()
	r.Wait("batches", func(r *SourceRun) bool { return len(r.batches) >= n })
	return r.Batches()
}

// WaitCaughtUp waits until the source has sent all there is, and returns the records so far.
func (r *SourceRun) WaitCaughtUp() []sdk.Record {
	r.t.Helper()
	r.Wait("caught up", func(r *SourceRun) bool { return r.caughtUp || r.done })
	return r.Records()
}

// WaitReleased waits until the source has given up n claims.
func (r *SourceRun) WaitReleased(n int) []string {
	r.t.Helper()
	r.Wait("released claims", func(r *SourceRun) bool { return len(r.released) >= n })
	return r.Released()
}

// WaitFailure waits for the source to fail.
func (r *SourceRun) WaitFailure() *proto.Failure {
	r.t.Helper()
	r.mu.Lock()
	failure := r.failure
	r.mu.Unlock()
	if failure == nil {
		r.Wait("a failure", func(r *SourceRun) bool { return r.failure != nil })
	}
	return r.failure
}

// Stop drains the source, closes the stream and returns what is durable: the positions of the next run.
func (r *SourceRun) Stop() map[string][]byte {
	r.t.Helper()
	r.control(&proto.SourceControl{Body: &proto.SourceControl_Stop{Stop: &proto.Stop{DeadlineMs: Patience.Milliseconds()}}})
	r.Wait("drained", func(r *SourceRun) bool { return r.drained })
	r.sendMu.Lock()
	_ = r.stream.CloseSend()
	r.sendMu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.ended {
		r.more.Wait()
	}
	return maps.Clone(r.positions)
}

// Records is what came so far.
func (r *SourceRun) Records() []sdk.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.records)
}

// Batches is what came so far.
func (r *SourceRun) Batches() []*proto.SourceBatch {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.batches)
}

// Rejected is what came so far.
func (r *SourceRun) Rejected() []*proto.Rejected {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.rejected)
}

// Released names the claims that the source gave up.
func (r *SourceRun) Released() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.released)
}

// Positions is what is durable now.
func (r *SourceRun) Positions() map[string][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.positions)
}

// Overdrawn reports whether the source sent without credit.
func (r *SourceRun) Overdrawn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.overdrawn
}
