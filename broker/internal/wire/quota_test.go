package wire_test

import (
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func setQuota(t *testing.T, r *apitest.Rig, kind string, name *string, quota string, limit float64) {
	t.Helper()
	req := kmsg.NewPtrAlterClientQuotasRequest()
	entry := kmsg.NewAlterClientQuotasRequestEntry()
	entry.Entity = []kmsg.AlterClientQuotasRequestEntryEntity{{Type: kind, Name: name}}
	entry.Ops = []kmsg.AlterClientQuotasRequestEntryOp{{Key: quota, Value: limit}}
	req.Entries = append(req.Entries, entry)
	if resp := r.Ask(req).(*kmsg.AlterClientQuotasResponse); resp.Entries[0].ErrorCode != 0 {
		t.Fatal(*resp.Entries[0].ErrorMessage)
	}
}

// TestAThrottledConnectionIsAnsweredAndThenNotRead: what was told is waited for, and other connections are not.
func TestAThrottledConnectionIsAnsweredAndThenNotRead(t *testing.T) {
	r := rig(t)
	r.Topic("t", 1)
	setQuota(t, r, "client-id", nil, "producer_byte_rate", 1000)
	s := serve(t, r.API, defaults)
	c, neighbour := s.dial(), s.dial()
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks = 9, -1
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{
		{Records: apitest.Batch(t, string(make([]byte, 11_200)))}}}}
	began := time.Now()
	told := time.Duration(c.ask(req).(*kmsg.ProduceResponse).ThrottleMillis) * time.Millisecond
	if told < 200*time.Millisecond {
		t.Fatalf("told to wait %s", told)
	}
	answered := time.Since(began)
	neighbour.works()
	c.works()
	if waited := time.Since(began); waited < told {
		t.Errorf("read again after %s, not %s; the answer came after %s", waited, told, answered)
	}
}

// TestAThrottledConnectionEndsWithTheServer: nobody waits for it.
func TestAThrottledConnectionEndsWithTheServer(t *testing.T) {
	r := rig(t)
	r.Topic("t", 1)
	setQuota(t, r, "client-id", nil, "producer_byte_rate", 1)
	s := serve(t, r.API, defaults)
	c := s.dial()
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks = 9, -1
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{
		{Records: apitest.Batch(t, string(make([]byte, 10_000)))}}}}
	if told := c.ask(req).(*kmsg.ProduceResponse).ThrottleMillis; told < 60_000 {
		t.Fatalf("told to wait %d ms", told)
	}
	c.send(framed(apitest.Frame(metadata(), 1)))
	if took := s.shutdown(30 * time.Second); took > 20*time.Second {
		t.Errorf("the stop took %s", took)
	}
}

// TestConnectionsOfAnAddressBeyondItsQuota are closed, and later ones served.
func TestConnectionsOfAnAddressBeyondItsQuota(t *testing.T) {
	r := rig(t)
	ip := "127.0.0.1"
	setQuota(t, r, "ip", &ip, "connection_creation_rate", 1)
	s := serve(t, r.API, defaults)
	var served []*client
	for range 10 {
		c := s.dial()
		c.works()
		served = append(served, c)
	}
	s.dial().gone() // ten seconds' worth are spent
	for _, c := range served {
		c.works()
	}
}
