package wire_test

import (
	"strings"
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

// TestLimitsFollow: what is set while the server runs holds for the next connection.
func TestLimitsFollow(t *testing.T) {
	s := serve(t, rig(t).API, defaults)
	a := s.dial()
	a.works()
	limits := defaults.Limits
	limits.PerIP = 1
	s.srv.SetLimits(limits)
	b := s.dial()
	b.gone()
	if said := s.log.wait(t, b.name); !strings.Contains(said[0], "max.connections.per.ip") {
		t.Errorf("%q", said)
	}
	limits.IPs = map[string]int{"127.0.0.1": 2}
	s.srv.SetLimits(limits)
	s.dial().works()
	s.dial().gone()
	a.works()
	limits.IPs, limits.PerIP, limits.Rate = nil, 100, 1
	s.srv.SetLimits(limits)
	began := time.Now()
	for range 9 { // with the four before, three more than a window has for free: the listener waits behind each
		s.dial().works()
	}
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("nine connections in %s, of which one a second is allowed", took)
	}
}
