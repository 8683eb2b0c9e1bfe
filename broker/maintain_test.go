package broker_test

import (
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestRetentionRuns: what is too old goes without anybody asking, and what is not stays.
func TestRetentionRuns(t *testing.T) {
	c := brokertest.Start(t, 1, brokertest.InMemory(), brokertest.CrashableFS(),
		brokertest.Properties(map[string]string{"log.retention.check.interval.ms": "5"}))
	ctx, cl := testContext(t), c.Client(t)
	adm := kadm.NewClient(cl)
	hour := "3600000"
	if _, err := adm.CreateTopics(ctx, 1, 1, map[string]*string{"retention.ms": &hour}, "t", "new"); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*kgo.Record{
		{Topic: "t", Value: []byte("old"), Timestamp: time.Now().Add(-2 * time.Hour)},
		{Topic: "new", Value: []byte("new"), Timestamp: time.Now()},
	} {
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	start := func(topic string) int64 {
		offsets, err := adm.ListStartOffsets(ctx, topic)
		if err != nil || offsets.Error() != nil {
			t.Fatal(err, offsets.Error())
		}
		o, _ := offsets.Lookup(topic, 0)
		return o.Offset
	}
	for start("t") != 1 {
		if ctx.Err() != nil {
			t.Fatal("the old record is still there")
		}
	}
	if got := start("new"); got != 0 {
		t.Errorf("the new record went too: start %d", got)
	}
}
