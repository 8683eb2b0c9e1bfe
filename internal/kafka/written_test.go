package kafka_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestNothingFollowsABatchThatFailed: what is in the log is the beginning of what was produced, which Recover counts on.
func TestNothingFollowsABatchThatFailed(t *testing.T) {
	ctx := testContext(t)
	cl := connect(t, brokertest.Start(t, 1), nil)
	if err := cl.EnsureTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p, err := cl.NewProducer(kafka.ProducerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	errs := make(chan error, 3)
	for _, value := range []string{"first", strings.Repeat("x", 2<<20), "last"} {
		if err := p.ProduceBatch(ctx, "t", 0, oneRecord(t, value), func(_ int64, err error) { errs <- err }); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-errs; err != nil {
		t.Error(err)
	}
	if err := <-errs; err == nil || errors.Is(err, kafka.ErrEarlier) {
		t.Errorf("too large: %v", err)
	}
	if err := <-errs; !errors.Is(err, kafka.ErrEarlier) {
		t.Errorf("after it: %v", err)
	}
	if got := values(ctx, t, cl, "t", 0); len(got) != 1 || got[0] != "first" {
		t.Errorf("%d records", len(got))
	}
}

// TestABatchThatIsThereTwiceCountsOnce: its answer was lost and it was sent again, to a broker that does not mind.
func TestABatchThatIsThereTwiceCountsOnce(t *testing.T) {
	ctx := testContext(t)
	cl := connect(t, brokertest.Start(t, 1), nil)
	if err := cl.EnsureTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p, err := cl.NewProducer(kafka.ProducerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	id, err := p.ID()
	if err != nil {
		t.Fatal(err)
	}
	topics, err := cl.Admin().ListTopics(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	for _, sequence := range []int32{0, 1, 1, 2} {
		b := oneRecord(t, "x")
		batch.SetProducer(b, id, 0, sequence)
		batch.Seal(b)
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = -1, 1000
		rt := kmsg.NewProduceRequestTopic()
		rt.Topic, rt.TopicID = "t", topics["t"].ID
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Records = b
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		resp, err := req.RequestWith(ctx, cl.Kgo())
		if err != nil || resp.Topics[0].Partitions[0].ErrorCode != 0 {
			t.Fatal(err, resp)
		}
	}
	old := kafka.Written{Producer: id, Ends: map[string]map[int32]int64{"t": {0: 0}}}
	now, err := cl.Recover(ctx, old, true, id+1, []string{"t"})
	if err != nil {
		t.Fatal(err)
	}
	if now.Skips["t"][0] != 3 {
		t.Errorf("%d records are skipped, want 3", now.Skips["t"][0])
	}
}

// TestWhatWasFetchedBeforeASeekIsNotCurrent, so that nobody works on it.
func TestWhatWasFetchedBeforeASeekIsNotCurrent(t *testing.T) {
	ctx := testContext(t)
	cl := connect(t, brokertest.Start(t, 1), nil)
	if err := cl.EnsureTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p, err := cl.NewProducer(kafka.ProducerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	done := make(chan error, 1)
	if err := p.ProduceBatch(ctx, "t", 0, oneRecord(t, "x"), func(_ int64, err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	k, err := cl.NewConsumer(kafka.ConsumerOptions{Group: "g", Topics: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	first, err := k.Poll(ctx)
	if err != nil || !k.Current(first[0]) {
		t.Fatal(err, "not current")
	}
	k.Seek("t", 0, 0)
	if k.Current(first[0]) {
		t.Error("current after Seek")
	}
	again, err := k.Poll(ctx)
	if err != nil || again[0].Offset != 0 || !k.Current(again[0]) {
		t.Errorf("%v %+v", err, again)
	}
}
