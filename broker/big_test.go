package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// built is a batch of n records with values of size bytes.
func built(t *testing.T, n, size int, headers ...batch.HeaderKV) []byte {
	t.Helper()
	b := batch.NewBuilder(batch.None)
	value := bytes.Repeat([]byte("x"), size)
	for range n {
		b.Append(time.Now().UnixMilli(), nil, value, headers)
	}
	raw, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// sized is a batch of exactly n bytes.
func sized(t *testing.T, n int) []byte {
	t.Helper()
	for size := n - 80; size < n; size++ {
		if raw := built(t, 1, size); len(raw) == n {
			return raw
		}
	}
	t.Fatalf("no batch has %d bytes", n)
	return nil
}

// put produces a batch as it is, and returns what the broker says.
func put(ctx context.Context, cl *kgo.Client, topic string, raw []byte) error {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 30000
	rt := kmsg.NewProduceRequestTopic()
	details, err := kadm.NewClient(cl).ListTopics(ctx, topic)
	if err != nil {
		return err
	}
	rt.Topic, rt.TopicID = topic, details[topic].ID // the client decides which version it speaks
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Records = raw
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := cl.Broker(0).Request(ctx, req)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode)
}

// TestLargest holds limits to the byte: of a batch, and of a request, beyond which the connection ends and no other.
func TestLargest(t *testing.T) {
	c := brokertest.Start(t, 1, brokertest.Properties(map[string]string{"socket.request.max.bytes": "3000000"}))
	ctx := testContext(t)
	cl := c.Client(t, kgo.BrokerMaxWriteBytes(100<<20))
	adm := kadm.NewClient(cl)
	for name, most := range map[string]string{"t": "1000000", "big": "2147483647"} {
		if r, err := adm.CreateTopic(ctx, 1, 1, map[string]*string{"max.message.bytes": &most}, name); err != nil || r.Err != nil {
			t.Fatal(err, r.Err)
		}
	}
	if err := put(ctx, cl, "t", sized(t, 1_000_000)); err != nil {
		t.Errorf("a batch of max.message.bytes: %v", err)
	}
	if err := put(ctx, cl, "t", sized(t, 1_000_001)); !errors.Is(err, kerr.MessageTooLarge) {
		t.Errorf("a batch of one byte more: %v", err)
	}
	if got := consume(ctx, t, c.Client(t, kgo.ConsumeTopics("t")), 1); len(got[0].Value) < 999_000 {
		t.Errorf("%d bytes came back", len(got[0].Value))
	}
	if err := put(ctx, cl, "big", built(t, 1, 2_900_000)); err != nil {
		t.Errorf("a request within socket.request.max.bytes: %v", err)
	}
	if err := put(ctx, cl, "big", built(t, 1, 3_000_000)); err == nil {
		t.Error("a request beyond socket.request.max.bytes was taken")
	}
	if err := put(ctx, cl, "big", built(t, 1, 10)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestManyInOne: a million records in a batch, and a record with 64,000 headers, come back as they were sent.
func TestManyInOne(t *testing.T) {
	c := brokertest.Start(t, 1)
	ctx := testContext(t)
	cl := c.Client(t)
	most := "20000000"
	for _, name := range []string{"records", "headers"} {
		if r, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 1, map[string]*string{"max.message.bytes": &most}, name); err != nil || r.Err != nil {
			t.Fatal(err, r.Err)
		}
	}
	if err := put(ctx, cl, "records", built(t, 1_000_000, 3)); err != nil {
		t.Fatal(err)
	}
	reader := c.Client(t, kgo.ConsumeTopics("records"), kgo.FetchMaxBytes(50<<20), kgo.FetchMaxPartitionBytes(50<<20))
	if got := consume(ctx, t, reader, 1_000_000); got[999_999].Offset != 999_999 {
		t.Errorf("the last record is at %d", got[999_999].Offset)
	}
	var headers []batch.HeaderKV
	for i := range 64_000 {
		headers = append(headers, batch.HeaderKV{Key: fmt.Sprint(i), Value: []byte("v")})
	}
	if err := put(ctx, cl, "headers", built(t, 1, 3, headers...)); err != nil {
		t.Fatal(err)
	}
	reader = c.Client(t, kgo.ConsumeTopics("headers"))
	if got := consume(ctx, t, reader, 1); len(got[0].Headers) != 64_000 || got[0].Headers[63_999].Key != "63999" {
		t.Errorf("%d headers came back", len(got[0].Headers))
	}
}

// TestLengthsThatCannotBe end their connection and no other, without a word.
func TestLengthsThatCannotBe(t *testing.T) {
	c := brokertest.Start(t, 1)
	neighbour := c.Client(t)
	for _, length := range [][]byte{{0xff, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0}, {0x7f, 0xff, 0xff, 0xff}, {0, 0, 0, 0}, {0, 0, 0, 7}, []byte("GET "), {0x16, 3, 1, 0}} {
		nc, err := net.Dial("tcp", c.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write(append(length, 0, 18, 0, 0, 0, 0, 0, 1)); err != nil {
			t.Fatal(err)
		}
		_ = nc.SetReadDeadline(time.Now().Add(patience))
		if n, err := io.Copy(io.Discard, nc); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("length %x: %d bytes, %v", length, n, err)
		}
		nc.Close()
		if err := neighbour.Ping(testContext(t)); err != nil {
			t.Errorf("after length %x: %v", length, err)
		}
	}
}
