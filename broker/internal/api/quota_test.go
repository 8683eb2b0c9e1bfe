package api_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// quotas is a rig whose clock stands still, and what its one connection was told.
type quotas struct {
	*apitest.Rig
	t     *testing.T
	now   time.Time
	who   auth.Principal
	muted time.Duration // by the latest answer
}

func withQuotas(t *testing.T, limits map[string]float64) *quotas {
	q := &quotas{Rig: rig(t, nil), t: t, now: time.Unix(1_700_000_000, 0)}
	q.API.Clock = func() time.Time { return q.now }
	for name, limit := range limits {
		req := kmsg.NewPtrAlterClientQuotasRequest()
		entry := kmsg.NewAlterClientQuotasRequestEntry()
		entry.Entity = []kmsg.AlterClientQuotasRequestEntryEntity{{Type: "user", Name: kmsg.StringPtr("ANONYMOUS")}}
		entry.Ops = []kmsg.AlterClientQuotasRequestEntryOp{{Key: name, Value: limit}}
		req.Entries = append(req.Entries, entry)
		if r := q.Ask(req).(*kmsg.AlterClientQuotasResponse); r.Entries[0].ErrorCode != 0 {
			t.Fatal(*r.Entries[0].ErrorMessage)
		}
	}
	return q
}

func (q *quotas) ask(req kmsg.Request) kmsg.Response {
	q.t.Helper()
	answers := make(chan apitest.Answer, 1)
	q.API.Serve(&api.Call{Context: q.t.Context(), Principal: q.who}, apitest.Frame(req, 1),
		func(r api.Reply, err error) { answers <- apitest.Answer{Reply: r, Err: err} })
	a := <-answers
	if a.Err != nil {
		q.t.Fatal(a.Err)
	}
	if q.muted = a.Reply.Mute; a.Reply.Empty {
		return nil
	}
	return apitest.Body(q.t, req, apitest.Bytes(q.t, a.Reply))
}

// told is the throttle time of an answer, which must be what the connection is muted for.
func (q *quotas) told(ms int32) time.Duration {
	q.t.Helper()
	if d := time.Duration(ms) * time.Millisecond; d < q.muted || d > q.muted+time.Millisecond {
		q.t.Errorf("told %s, muted for %s", d, q.muted)
	}
	return q.muted
}

func (q *quotas) produce(size int, acks int16) time.Duration {
	q.t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks = 9, acks
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{
		{Records: apitest.Batch(q.t, string(make([]byte, size)))}}}}
	resp, ok := q.ask(req).(*kmsg.ProduceResponse)
	if !ok {
		return q.muted
	}
	if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 {
		q.t.Fatal(kerr.ErrorForCode(p.ErrorCode))
	}
	return q.told(resp.ThrottleMillis)
}

func TestProduceBeyondItsQuotaIsStoredAndThrottled(t *testing.T) {
	q := withQuotas(t, map[string]float64{"producer_byte_rate": 1000})
	q.Topic("t", 1)
	if wait := q.produce(5000, -1); wait != 0 {
		t.Errorf("within: %s", wait)
	}
	if wait := q.produce(10_000, -1); wait < 5*time.Second || wait > 6*time.Second { // 15,000 and some at 1,000 a second, of which ten seconds are there
		t.Errorf("beyond: %s", wait)
	}
	if wait := q.produce(1000, 0); wait < 6*time.Second || wait > 8*time.Second {
		t.Errorf("without an answer: %s", wait)
	}
	q.now = q.now.Add(12 * time.Second)
	if wait := q.produce(100, -1); wait != 0 {
		t.Errorf("a window later: %s", wait)
	}
}

// TestAQuotaOfAUserIsHisOwn: another user of the same client id goes on.
func TestAQuotaOfAUserIsHisOwn(t *testing.T) {
	q := withQuotas(t, map[string]float64{"producer_byte_rate": 1000})
	q.Topic("t", 1)
	if wait := q.produce(20_000, -1); wait == 0 {
		t.Error("User:ANONYMOUS does not wait")
	}
	q.who = auth.Principal{Type: "User", Name: "alice"}
	if wait := q.produce(20_000, -1); wait != 0 {
		t.Errorf("User:alice waits %s", wait)
	}
}

func TestFetchBeyondItsQuotaIsThrottled(t *testing.T) {
	q := withQuotas(t, map[string]float64{"consumer_byte_rate": 1000})
	q.Topic("t", 1)
	for range 4 {
		q.Append("t", 0, string(make([]byte, 6000)))
	}
	fetch := func(offset int64) (records int, wait time.Duration) {
		req := fetchOf(0, -1, wanted(0, offset))
		resp := q.ask(req).(*kmsg.FetchResponse)
		values, _ := apitest.Values(t, resp.Topics[0].Partitions[0].RecordBatches, offset)
		return len(values), q.told(resp.ThrottleMillis)
	}
	if n, wait := fetch(0); n != 1 || wait != 0 { // as many as a window has room for
		t.Errorf("%d records, %s", n, wait)
	}
	if n, wait := fetch(1); n != 1 || wait < 2*time.Second || wait > 4*time.Second {
		t.Errorf("%d records, %s", n, wait)
	}
}

// TestRequestsAreChargedForTheirTime: the clock moves by 30 ms whenever a handler looks at it.
func TestRequestsAreChargedForTheirTime(t *testing.T) {
	q := withQuotas(t, map[string]float64{"request_percentage": 1})
	q.API.Clock = func() time.Time { q.now = q.now.Add(30 * time.Millisecond); return q.now }
	list := func() time.Duration {
		req := kmsg.NewPtrListGroupsRequest()
		req.Version = 3
		return q.told(q.ask(req).(*kmsg.ListGroupsResponse).ThrottleMillis)
	}
	if wait := list(); wait != 0 {
		t.Errorf("the first: %s", wait)
	}
	var wait time.Duration
	for i := 0; wait == 0; i++ {
		if wait = list(); i > 10 {
			t.Fatal("a tenth of a second of ten is one per cent, and nobody waits")
		}
	}
	if wait > time.Second {
		t.Errorf("waits %s", wait)
	}
}

func TestChangesOfPartitionsBeyondTheQuota(t *testing.T) {
	q := withQuotas(t, map[string]float64{"controller_mutation_rate": 1})
	create := func(version int16, validate bool, names ...string) (codes []int16, wait time.Duration) {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.ValidateOnly = version, validate
		for _, name := range names {
			rt := kmsg.NewCreateTopicsRequestTopic()
			rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, 8, 1
			req.Topics = append(req.Topics, rt)
		}
		resp := q.ask(req).(*kmsg.CreateTopicsResponse)
		for _, rt := range resp.Topics {
			codes = append(codes, rt.ErrorCode)
		}
		return codes, q.told(resp.ThrottleMillis)
	}
	throttled := kerr.ThrottlingQuotaExceeded.Code
	expect := func(what string, codes []int16, wait time.Duration, wantCodes []int16, wantWait time.Duration) {
		t.Helper()
		if fmt.Sprint(codes) != fmt.Sprint(wantCodes) || wait != wantWait {
			t.Errorf("%s: %v, %s", what, codes, wait)
		}
	}
	codes, wait := create(7, true, "v1", "v2", "v3")
	expect("validation", codes, wait, []int16{0, 0, 0}, 0)
	codes, wait = create(7, false, "a", "b", "c") // eleven are free, the second topic overdraws, the third is refused
	expect("a new client", codes, wait, []int16{0, 0, throttled}, 5*time.Second)
	codes, wait = create(5, false, "d")
	expect("an old client", codes, wait, []int16{0}, 13*time.Second)

	grow := kmsg.NewPtrCreatePartitionsRequest()
	grow.Version = 3
	grow.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "a", Count: 9}}
	grown := q.ask(grow).(*kmsg.CreatePartitionsResponse)
	expect("growth", []int16{grown.Topics[0].ErrorCode}, q.told(grown.ThrottleMillis), []int16{throttled}, 13*time.Second)

	remove := kmsg.NewPtrDeleteTopicsRequest()
	remove.Version = 6
	remove.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("a")}}
	q.now = q.now.Add(13 * time.Second)
	removed := q.ask(remove).(*kmsg.DeleteTopicsResponse)
	expect("a deletion when the debt is paid", []int16{removed.Topics[0].ErrorCode}, q.told(removed.ThrottleMillis), []int16{0}, 8*time.Second)

	ask := kmsg.NewPtrMetadataRequest()
	ask.Version, ask.AllowAutoTopicCreation = 9, true
	ask.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("asked")}}
	asked := q.ask(ask).(*kmsg.MetadataResponse)
	expect("creation by asking", []int16{asked.Topics[0].ErrorCode}, q.told(asked.ThrottleMillis), []int16{0}, 9*time.Second)
}
