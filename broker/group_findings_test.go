package broker_test

import (
	"testing"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kafka answers INVALID_TOPIC_EXCEPTION to clients that produce to internal topics. One damaged record must not take groups away.
func TestClientsCannotPoisonGroups(t *testing.T) {
	ctx := testContext(t)
	c := brokertest.Start(t, 1)
	fill(ctx, t, c, "orders", 3)
	adm := kadm.NewClient(c.Client(t))
	o := kadm.Offsets{}
	o.AddOffset("orders", 0, 1, -1)
	if err := adm.CommitAllOffsets(ctx, "g", o); err != nil {
		t.Fatal(err)
	}
	cl := c.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	accepted := 0
	for p := range int32(50) {
		err := cl.ProduceSync(ctx, &kgo.Record{Topic: "__consumer_offsets", Partition: p, Key: []byte{0, 1, 0}, Value: []byte("x")}).FirstErr()
		if err == nil {
			accepted++
		} else if p == 0 {
			t.Log("refused:", err)
		}
	}
	if accepted > 0 {
		t.Errorf("%d of 50 partitions of __consumer_offsets took a client's record", accepted)
	}
	c.Restart()
	if _, err := kadm.NewClient(c.Client(t)).FetchOffsets(ctx, "g"); err != nil {
		t.Errorf("fetch after restart: %v", err)
	}
	cl2 := c.Client(t)
	req := kmsg.NewPtrListGroupsRequest()
	resp, err := req.RequestWith(ctx, cl2)
	if err != nil || resp.ErrorCode != 0 {
		t.Errorf("list after restart: %v %v", err, kerr.ErrorForCode(resp.ErrorCode))
	}
}

// A topic made anew under an old name starts without the offsets of the deleted one (Kafka: onPartitionsDeleted).
func TestDeletedTopicTakesItsOffsets(t *testing.T) {
	ctx := testContext(t)
	c := brokertest.Start(t, 1)
	fill(ctx, t, c, "orders", 300)
	adm := kadm.NewClient(c.Client(t))
	o := kadm.Offsets{}
	o.AddOffset("orders", 0, 90, -1)
	if err := adm.CommitAllOffsets(ctx, "g", o); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.DeleteTopics(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	if _, err := kadm.NewClient(c.Client(t)).CreateTopic(ctx, 3, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	got, err := kadm.NewClient(c.Client(t)).FetchOffsets(ctx, "g")
	if err != nil {
		t.Fatal(err)
	}
	if x, ok := got.Lookup("orders", 0); ok && x.At != -1 {
		t.Errorf("the new topic is empty and group g stands at %d in it", x.At)
	}
}
