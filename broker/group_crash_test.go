package broker_test

import (
	"testing"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestAGroupGoesOnAfterARestartAndAPowerLoss(t *testing.T) {
	c := brokertest.Start(t, 1, brokertest.CrashableFS())
	ctx := testContext(t)
	fill(ctx, t, c, "orders", 30)
	want := int64(0)
	for round, interrupt := range []func(){func() {}, c.Restart, func() { c.PowerLoss(0, 7) }} {
		interrupt()
		cl := c.Client(t, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
		for got := 0; got < 10; {
			records := cl.PollRecords(ctx, 10-got)
			if err := records.Err(); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			got += records.NumRecords()
			if err := cl.CommitRecords(ctx, records.Records()...); err != nil {
				t.Fatal(err)
			}
		}
		want += 10
		offsets, err := kadm.NewClient(cl).FetchOffsets(ctx, "g")
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
		if sum != want {
			t.Errorf("round %d: %d records are committed, want %d", round, sum, want)
		}
		cl.Close()
	}
}
