package broker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience is how long anything may take on a busy machine.
const patience = 3 * time.Minute

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// consume reads n records of topic from the start.
func consume(ctx context.Context, t *testing.T, cl *kgo.Client, n int) []*kgo.Record {
	t.Helper()
	var out []*kgo.Record
	for len(out) < n {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("%d of %d records: %v", len(out), n, err)
		}
		fetches.EachError(func(topic string, p int32, err error) { t.Errorf("fetch %s-%d: %v", topic, p, err) })
		fetches.EachRecord(func(r *kgo.Record) { out = append(out, r) })
	}
	return out
}

func TestEveryCompressionRoundTrips(t *testing.T) {
	for _, door := range []struct {
		name string
		opts []brokertest.Option
	}{{"tcp", nil}, {"memory", []brokertest.Option{brokertest.InMemory()}}} {
		t.Run(door.name, func(t *testing.T) {
			c := brokertest.Start(t, 1, door.opts...)
			for name, codec := range map[string]kgo.CompressionCodec{
				"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
				"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
			} {
				t.Run(name, func(t *testing.T) {
					ctx := testContext(t)
					cl := c.Client(t, kgo.AllowAutoTopicCreation(), kgo.ProducerBatchCompression(codec),
						kgo.ConsumeTopics("t-"+name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
					var records []*kgo.Record
					for i := range 1000 {
						records = append(records, &kgo.Record{Topic: "t-" + name, Key: fmt.Appendf(nil, "k%d", i%7), Value: fmt.Appendf(nil, "value %d", i),
							Headers: []kgo.RecordHeader{{Key: "i", Value: fmt.Append(nil, i)}}})
					}
					if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
						t.Fatal(err)
					}
					for i, r := range consume(ctx, t, cl, len(records)) {
						if string(r.Value) != fmt.Sprintf("value %d", i) || r.Offset != int64(i) || string(r.Headers[0].Value) != fmt.Sprint(i) {
							t.Fatalf("record %d is %q at %d", i, r.Value, r.Offset)
						}
					}
				})
			}
		})
	}
}
