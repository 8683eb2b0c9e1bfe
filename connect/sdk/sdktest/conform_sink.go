package sdktest

import (
	"strings"
	"testing"

	"github.com/leatstream/leat/connect/sdk"
	"github.com/leatstream/leat/connect/sdk/proto"
)

func (c Case) sink(t *testing.T) {
	value := c.Sink.Value
	if value == "" {
		value = `{"n":1}`
	}
	fresh := func(t *testing.T) (*Plugin, any, *SinkRun) {
		p, config := Start(t, c.Argv...), c.Sink.Config(t)
		run := p.Sink(config)
		run.Assign("t", 0)
		return p, config, run
	}
	t.Run("Acks", func(t *testing.T) {
		_, _, run := fresh(t)
		run.Assign("t", 1)
		for base := int64(0); base < 50; base += 5 {
			run.Send("t", int32(base/5%2), base, Values(value, value, value, value, value)...)
		}
		run.Flush()
		if run.Acked("t", 0) != 45 || run.Acked("t", 1) != 50 {
			t.Errorf("acknowledged %d and %d after a flush", run.Acked("t", 0), run.Acked("t", 1))
		}
		run.Revoke("t", 1)
		run.Send("t", 1, 50, Values(value)...) // too late: dropped, not acknowledged
		run.Send("t", 0, 45, Values(value)...)
		run.WaitAck("t", 0, 46)
		if run.Acked("t", 1) != 50 {
			t.Error("a partition that was taken away is acknowledged")
		}
		run.Stop()
	})
	t.Run("OddRecords", func(t *testing.T) {
		_, _, run := fresh(t)
		odd := []sdk.Record{
			{Value: nil, Key: []byte("tombstone"), Timestamp: 1},
			{Value: []byte{}, Key: []byte{}, Timestamp: 1},
			{Value: []byte(value), Headers: []sdk.Header{{Key: "h", Value: nil}, {Key: "", Value: []byte{0xff}}}, Timestamp: 1},
			{Value: []byte("\x00\xff\xfe\n\r"), Timestamp: -1},
			{Value: []byte(`"` + strings.Repeat("x", 1<<20) + `"`), Timestamp: 1},
			{Value: []byte(value), Timestamp: 1},
		}
		run.Send("t", 0, 0, odd...)
		run.WaitAck("t", 0, int64(len(odd))) // each is written or has its verdict; the plugin lives
		run.Stop()
	})
	t.Run("DamagedFrame", func(t *testing.T) {
		_, _, run := fresh(t)
		frame := Frame(t, 0, Values(value, value)...)
		run.SendBatch(&proto.SinkBatch{From: &proto.TopicPartition{Topic: "t"}, NextOffset: 2, Frame: frame[:len(frame)-3]})
		run.Wait("a verdict or a failure that stops the connector", func(r *SinkRun) bool {
			fatal := r.failure.GetClass() == proto.Class_CLASS_FATAL && r.failure.GetMessage() != ""
			for _, v := range r.verdicts {
				fatal = fatal || v.GetClass() == proto.Class_CLASS_FATAL && v.GetMessage() != ""
			}
			return fatal
		})
	})
	t.Run("StaleEpoch", func(t *testing.T) {
		_, _, run := fresh(t)
		run.epochDuring(6, func() { run.Send("t", 0, 0, Values(value)...) })
		run.Send("t", 0, 1, Values(value)...)
		run.WaitAck("t", 0, 2)
		run.Stop()
	})
	t.Run("Restart", func(t *testing.T) {
		p, config, run := fresh(t)
		run.Send("t", 0, 0, Values(value, value, value)...)
		run.WaitAck("t", 0, 3)
		m, err := p.Describe(t.Context(), &proto.DescribeRequest{})
		if err != nil {
			t.Fatal(err)
		}
		p.Kill()
		again := Start(t, c.Argv...).Sink(config)
		start := again.Assign("t", 0)
		for _, r := range m.GetRoles() {
			if r.GetDelivery() == proto.Delivery_DELIVERY_OFFSET_IN_TARGET && start != 3 {
				t.Errorf("a target that keeps offsets goes on at %d after 3 were acknowledged", start)
			}
		}
		again.Send("t", 0, 3, Values(value)...)
		again.WaitAck("t", 0, 4)
		again.Stop()
	})
	t.Run("Open", func(t *testing.T) {
		p, config, run := fresh(t)
		run.Stop()
		p.Sink(config).Stop() // the process serves another task afterwards
	})
}

// epochDuring sends as a host of another epoch would.
func (r *SinkRun) epochDuring(epoch int64, f func()) {
	r.mu.Lock()
	mine := r.epoch
	r.mu.Unlock()
	r.sendEpoch.Store(epoch)
	f()
	r.sendEpoch.Store(mine)
	r.mu.Lock()
	r.credit++ // what is dropped costs nothing
	r.mu.Unlock()
}
