package broker_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// soon waits until ok, or until ctx ends, which the test then sees by itself.
func soon(ctx context.Context, ok func() bool) {
	for !ok() && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
}

// TestGrowthUnderLoad adds partitions while a producer writes: every acknowledged record is there once, and the new
// partitions get their share.
func TestGrowthUnderLoad(t *testing.T) {
	ctx := testContext(t)
	c := brokertest.Start(t, 1)
	admin := kadm.NewClient(c.Client(t))
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	producer := c.Client(t, kgo.DefaultProduceTopic("t"), kgo.MetadataMinAge(20*time.Millisecond), kgo.MetadataMaxAge(50*time.Millisecond),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	var acked [8]atomic.Int64 // by partition
	stop := make(chan struct{})
	var writer sync.WaitGroup
	sent := int64(0)
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			var batch []*kgo.Record
			for range 50 {
				batch = append(batch, &kgo.Record{Value: fmt.Append(nil, sent)})
				sent++
			}
			for _, r := range producer.ProduceSync(ctx, batch...) {
				if r.Err != nil {
					t.Errorf("record %s: %v", r.Record.Value, r.Err)
					return
				}
				acked[r.Record.Partition].Add(1)
			}
		}
	})
	for _, partitions := range []int{2, 5, 8} {
		if _, err := admin.UpdatePartitions(ctx, partitions, "t"); err != nil {
			t.Fatal(err)
		}
		soon(ctx, func() bool { return acked[partitions-1].Load() > 0 })
	}
	close(stop)
	writer.Wait()
	ends, err := admin.ListEndOffsets(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	for p := range acked {
		if o, ok := ends.Lookup("t", int32(p)); !ok || o.Offset != acked[p].Load() || o.Offset == 0 {
			t.Errorf("partition %d ends at %d, %d were acknowledged there", p, o.Offset, acked[p].Load())
		}
	}
	consumer := c.Client(t, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	seen := map[string]bool{}
	for _, r := range consume(ctx, t, consumer, int(sent)) {
		if seen[string(r.Value)] {
			t.Fatalf("record %s is there twice", r.Value)
		}
		seen[string(r.Value)] = true
	}
}

// TestRecreationUnderLoad deletes a topic and makes it anew while producers write by name: they go on in the new one, and
// it holds no record that was acknowledged before it was made, and none twice.
func TestRecreationUnderLoad(t *testing.T) {
	ctx := testContext(t)
	c := brokertest.Start(t, 1)
	admin := kadm.NewClient(c.Client(t))
	var mu sync.Mutex
	acked, old := map[string]bool{}, map[string]bool{} // by value; old: before the topic that is there now
	create := func() {
		mu.Lock()
		maps.Copy(old, acked)
		mu.Unlock()
		if r, err := admin.CreateTopic(ctx, 2, 1, nil, "t"); err != nil || r.Err != nil {
			t.Fatal(err, r.Err)
		}
	}
	create()
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 3 {
		cl := c.Client(t, kgo.DefaultProduceTopic("t"), kgo.MetadataMinAge(20*time.Millisecond), kgo.MetadataMaxAge(50*time.Millisecond),
			kgo.UnknownTopicRetries(-1), kgo.RecordDeliveryTimeout(2*time.Second))
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				r := &kgo.Record{Value: fmt.Appendf(nil, "%d of %d", n, w)}
				if cl.ProduceSync(ctx, r).FirstErr() == nil {
					mu.Lock()
					acked[string(r.Value)] = true
					mu.Unlock()
				} else { // this client holds on to the id of a topic until it is told otherwise
					cl.PurgeTopicsFromProducing("t")
				}
			}
		})
	}
	flowing := func() {
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(acked)
		}
		from := count()
		soon(ctx, func() bool { return count() >= from+20 })
	}
	for range 4 {
		flowing()
		if _, err := admin.DeleteTopics(ctx, "t"); err != nil {
			t.Fatal(err)
		}
		create()
	}
	flowing()
	close(stop)
	writers.Wait()
	ends, err := admin.ListEndOffsets(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
	if total == 0 {
		t.Fatal("nothing came to the last topic")
	}
	seen := map[string]bool{}
	consumer := c.Client(t, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for _, r := range consume(ctx, t, consumer, int(total)) {
		if v := string(r.Value); seen[v] || old[v] {
			t.Errorf("%q is there twice: %v; or was acknowledged before: %v", v, seen[v], old[v])
		}
		seen[string(r.Value)] = true
	}
}
