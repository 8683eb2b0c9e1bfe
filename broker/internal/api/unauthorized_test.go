package api_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// expectation is what a client that may do nothing gets of an API.
type expectation struct {
	codes []*kerr.Error // its answers have one of these at least, and no other code
	ok    bool          // there may be nothing to refuse: the answer is for everybody, or leaves out what the client may not see
	// What the request with "t" for every name lacks, for each way to ask.
	ways []func(kmsg.Request)
}

var (
	noTopic   = []*kerr.Error{kerr.TopicAuthorizationFailed}
	noGroup   = []*kerr.Error{kerr.GroupAuthorizationFailed}
	noCluster = []*kerr.Error{kerr.ClusterAuthorizationFailed}
	noTxn     = []*kerr.Error{kerr.TransactionalIDAuthorizationFailed}
	public    = expectation{ok: true}
)

// expectations has a line for every API. Who adds an API adds its line: which permission it asks for, said by the code.
var expectations = map[int16]expectation{
	0:  {codes: slices.Concat(noTopic, noTxn), ways: []func(kmsg.Request){produceWith(kmsg.StringPtr("t")), produceWith(nil)}},
	1:  {codes: noTopic},
	2:  {codes: noTopic},
	3:  {codes: noTopic, ok: true, ways: []func(kmsg.Request){metadataByName, allTopics, metadataByID}},
	8:  {codes: noGroup},
	9:  {codes: noGroup},
	10: {codes: slices.Concat(noGroup, noTxn), ways: []func(kmsg.Request){coordinatorOf(0), coordinatorOf(1)}},
	11: {codes: noGroup},
	12: {codes: noGroup},
	13: {codes: noGroup},
	14: {codes: noGroup},
	15: {codes: noGroup},
	16: {ok: true},
	17: public, // before authentication
	18: public,
	19: {codes: noTopic},
	20: {codes: noTopic, ways: []func(kmsg.Request){nothing, deleteByID}},
	21: {codes: noTopic},
	22: {codes: slices.Concat(noTxn, noCluster), ways: []func(kmsg.Request){nothing, func(r kmsg.Request) { r.(*kmsg.InitProducerIDRequest).TransactionalID = nil }}},
	23: {codes: noTopic},
	24: {codes: slices.Concat(noTxn, noCluster)},
	25: {codes: noTxn},
	26: {codes: noTxn},
	27: {codes: noCluster},
	28: {codes: noTxn},
	29: {codes: noCluster},
	30: {codes: noCluster},
	31: {codes: noCluster},
	32: {codes: slices.Concat(noTopic, noGroup, noCluster), ways: configs(func(r kmsg.Request, t kmsg.ConfigResourceType) {
		r.(*kmsg.DescribeConfigsRequest).Resources[0].ResourceType = t
	})},
	33: {codes: slices.Concat(noTopic, noGroup, noCluster), ways: configs(func(r kmsg.Request, t kmsg.ConfigResourceType) {
		r.(*kmsg.AlterConfigsRequest).Resources[0].ResourceType = t
	})},
	34: {codes: noCluster},
	35: {codes: noCluster, ok: true}, // versions before 3 have no place for the code, and show no directory
	36: public,                       // before authentication
	37: {codes: noTopic},
	42: {codes: noGroup},
	43: {codes: noCluster, ok: true}, // version 0 has no place for it but with each partition
	44: {codes: slices.Concat(noTopic, noGroup, noCluster), ways: configs(func(r kmsg.Request, t kmsg.ConfigResourceType) {
		r.(*kmsg.IncrementalAlterConfigsRequest).Resources[0].ResourceType = t
	})},
	45: {codes: noCluster},
	46: {codes: noCluster},
	47: {codes: noGroup},
	48: {codes: noCluster},
	49: {codes: noCluster},
	50: {codes: noCluster},
	51: {codes: noCluster},
	55: {codes: noCluster},
	57: {codes: noCluster},
	60: public,
	61: {codes: noTopic},
	64: {codes: noCluster},
	65: {codes: noTxn},
	66: {ok: true, ways: []func(kmsg.Request){nothing, allTransactions}},
	68: {codes: noGroup},
	69: {codes: noGroup},
	71: public, // every client is asked to subscribe
	72: public,
	74: {codes: noCluster},
	75: {codes: noTopic, ok: true, ways: []func(kmsg.Request){nothing, func(r kmsg.Request) {
		all := r.(*kmsg.DescribeTopicPartitionsRequest)
		all.Topics, all.Cursor = nil, nil
	}}},
}

func nothing(kmsg.Request) {}

func allTopics(r kmsg.Request) { r.(*kmsg.MetadataRequest).Topics = nil }

func metadataByName(r kmsg.Request) {
	r.(*kmsg.MetadataRequest).Topics[0].TopicID = [16]byte{}
}

func allTransactions(r kmsg.Request) {
	req := r.(*kmsg.ListTransactionsRequest)
	req.StateFilters, req.ProducerIDFilters, req.DurationFilterMillis, req.TransactionalIDPattern = nil, nil, -1, nil
}

func metadataByID(r kmsg.Request) {
	if r.GetVersion() < 12 {
		metadataByName(r)
		return
	}
	r.(*kmsg.MetadataRequest).Topics[0].Topic = nil
}

func deleteByID(r kmsg.Request) {
	if req := r.(*kmsg.DeleteTopicsRequest); r.GetVersion() >= 6 {
		req.Topics[0].Topic = nil
	}
}

func produceWith(transactionalID *string) func(kmsg.Request) {
	return func(r kmsg.Request) {
		req := r.(*kmsg.ProduceRequest)
		req.Acks, req.TransactionID = -1, transactionalID
		req.Topics[0].Partitions[0].Records = produced
	}
}

var produced []byte // a batch

func coordinatorOf(kind int8) func(kmsg.Request) {
	return func(r kmsg.Request) {
		if r.GetVersion() > 0 {
			r.(*kmsg.FindCoordinatorRequest).CoordinatorType = kind
		}
	}
}

func configs(set func(kmsg.Request, kmsg.ConfigResourceType)) (ways []func(kmsg.Request)) {
	for _, t := range []kmsg.ConfigResourceType{kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger, kmsg.ConfigResourceTypeGroupConfig} {
		ways = append(ways, func(r kmsg.Request) { set(r, t) })
	}
	return ways
}

// guarded is a rig where ACLs are in force and there are none.
func guarded(t *testing.T) *apitest.Rig {
	r := rig(t, nil)
	super := auth.Principal{Type: "User", Name: "super"}
	standard := auth.NewStandard([]auth.Principal{super}, false)
	r.Meta.Subscribe(func(old, image *meta.Image) {
		if !image.SameACLs(old) {
			standard.Follow(image.ACLs())
		}
	})
	r.API.Auth = standard
	r.Who = super
	return r
}

// secrets makes a topic, records and a group, all called t, and returns the topic's id.
func secrets(t *testing.T, r *apitest.Rig) [16]byte {
	id := r.Topic("t", 1)
	r.Append("t", 0, "secret")
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group, commit.Generation = 7, "t", -1
	ct := kmsg.NewOffsetCommitRequestTopic()
	ct.Topic = "t"
	ct.Partitions = append(ct.Partitions, kmsg.NewOffsetCommitRequestTopicPartition())
	commit.Topics = append(commit.Topics, ct)
	for _, topic := range r.Ask(commit).(*kmsg.OffsetCommitResponse).Topics {
		if c := topic.Partitions[0].ErrorCode; c != 0 {
			t.Fatal(kerr.ErrorForCode(c))
		}
	}
	return id
}

// TestNothingForTheUnauthorized walks every way to ask every API in every version as a client that may do nothing. It is
// refused with the expected codes; its answers do not tell a broker that has what it asks about from one that has not (but
// that an id is known, as with Kafka); and nothing has changed afterwards.
func TestNothingForTheUnauthorized(t *testing.T) {
	with, without := guarded(t), guarded(t)
	id := secrets(t, with)
	secrets(t, without)
	forget(t, without)
	transaction(t, with)
	produced = apitest.Batch(t, "more")
	nobody := auth.Principal{Type: "User", Name: "nobody"}
	with.Who, without.Who = nobody, nobody
	before := state(t, with)
	walk(t, id, func(t *testing.T, e expectation, make func() kmsg.Request) {
		got, other := with.Ask(make()), without.Ask(make())
		checkCodes(t, e, codesOf(got))
		if got.Key() == 18 {
			return // shows how many decisions there were, to everybody
		}
		sameCode(got)
		sameCode(other)
		if !reflect.DeepEqual(got, other) {
			t.Errorf("version %d shows a difference:\n%+v\n%+v", got.GetVersion(), got, other)
		}
	})
	if after := state(t, with); after != before {
		t.Errorf("something has changed: from\n%s\nto\n%s", before, after)
	}
}

// transaction makes a transactional id called t.
func transaction(t *testing.T, r *apitest.Rig) {
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.Version, begin.TransactionalID, begin.TransactionTimeoutMillis = 4, kmsg.StringPtr("t"), 60_000
	begin.ProducerID, begin.ProducerEpoch = -1, -1
	if c := r.Ask(begin).(*kmsg.InitProducerIDResponse).ErrorCode; c != 0 {
		t.Fatal(kerr.ErrorForCode(c))
	}
}

// forget deletes what secrets made.
func forget(t *testing.T, r *apitest.Rig) {
	topics := kmsg.NewPtrDeleteTopicsRequest()
	topics.Version, topics.TopicNames = 1, []string{"t"}
	r.Ask(topics)
	groups := kmsg.NewPtrDeleteGroupsRequest()
	groups.Groups = []string{"t"}
	if c := r.Ask(groups).(*kmsg.DeleteGroupsResponse).Groups[0].ErrorCode; c != 0 && c != kerr.GroupIDNotFound.Code {
		t.Fatal(kerr.ErrorForCode(c))
	}
}

// TestEverythingForSuperUsers: where the one gets a refusal, the other gets none.
func TestEverythingForSuperUsers(t *testing.T) {
	r := guarded(t)
	id := secrets(t, r)
	produced = apitest.Batch(t, "more")
	refusals := slices.Concat(noTopic, noGroup, noCluster)
	if r.API.Txns != nil { // else nobody has transactions
		refusals = append(refusals, noTxn...)
	}
	walk(t, id, func(t *testing.T, _ expectation, make func() kmsg.Request) {
		req := make()
		ctx, leave := context.WithCancel(context.Background())
		answer := r.Serve(ctx, apitest.Frame(req, 7))
		leave() // what waits for others is answered now
		select {
		case a := <-answer:
			if a.Err != nil {
				t.Fatal(a.Err)
			}
			for _, c := range codesOf(apitest.Body(t, req, apitest.Bytes(t, a.Reply))) {
				if slices.Contains(refusals, kerr.TypedErrorForCode(c)) {
					t.Errorf("version %d: %v", req.GetVersion(), kerr.ErrorForCode(c))
				}
			}
		case <-time.After(patience):
			t.Fatal("no answer")
		}
	})
}

// walk calls fn with every way to ask every API in every version; id is that of the topic.
func walk(t *testing.T, id [16]byte, fn func(t *testing.T, e expectation, make func() kmsg.Request)) {
	for _, v := range api.Versions() {
		t.Run(kmsg.NameForKey(v.Key), func(t *testing.T) {
			e, ok := expectations[v.Key]
			if !ok {
				t.Fatalf("API %d has no line in the table of expectations: what does a client get that may do nothing?", v.Key)
			}
			if e.ways == nil {
				e.ways = []func(kmsg.Request){nothing}
			}
			for version := v.Min; version <= v.Max; version++ {
				if v.Key == 0 && version < 3 {
					continue // advertised, and refused
				}
				for _, way := range e.ways {
					fn(t, e, func() kmsg.Request {
						req := kmsg.RequestForKey(v.Key)
						req.SetVersion(version)
						example(req)
						identify(req, id)
						way(req)
						return req
					})
				}
			}
		})
	}
}

// identify puts id into every field for one.
func identify(req kmsg.Request, id [16]byte) {
	structs(reflect.ValueOf(req), func(v reflect.Value) {
		if f := v.FieldByName("TopicID"); f.IsValid() {
			f.Set(reflect.ValueOf(id))
		}
	})
}

// codesOf are the error codes of a response and its parts, each once.
func codesOf(resp kmsg.Response) (codes []int16) {
	structs(reflect.ValueOf(resp), func(v reflect.Value) {
		if f := v.FieldByName("ErrorCode"); f.IsValid() {
			codes = append(codes, int16(f.Int()))
		}
	})
	slices.Sort(codes)
	return slices.Compact(codes)
}

// sameCode takes out what tells an id that leads nowhere from one that leads to a topic that is not for the client.
func sameCode(resp kmsg.Response) {
	unknown, unauthorized := int64(kerr.UnknownTopicID.Code), int64(kerr.TopicAuthorizationFailed.Code)
	structs(reflect.ValueOf(resp), func(v reflect.Value) {
		code, message := v.FieldByName("ErrorCode"), v.FieldByName("ErrorMessage")
		if code.IsValid() && (code.Int() == unknown || code.Int() == unauthorized) {
			code.SetInt(unauthorized)
			if message.IsValid() {
				message.SetZero()
			}
		}
	})
}

// structs calls fn with every struct in v.
func structs(v reflect.Value, fn func(reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			structs(v.Elem(), fn)
		}
	case reflect.Slice:
		for i := range v.Len() {
			structs(v.Index(i), fn)
		}
	case reflect.Struct:
		fn(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				structs(v.Field(i), fn)
			}
		}
	}
}

func checkCodes(t *testing.T, e expectation, codes []int16) {
	t.Helper()
	refused := false
	for _, c := range codes {
		switch {
		case c == 0, len(e.codes) == 0:
		case slices.Contains(e.codes, kerr.TypedErrorForCode(c)), c == kerr.UnknownTopicID.Code:
			refused = true
		default:
			t.Errorf("unexpected: %v", kerr.ErrorForCode(c))
		}
	}
	if !refused && !e.ok {
		t.Errorf("it is not refused: codes %v", codes)
	}
}

// state is what there is: metadata, the ends of logs, groups.
func state(t *testing.T, r *apitest.Rig) string {
	text := fmt.Sprintf("%+v", r.Meta.Image().Records())
	for _, topic := range r.Meta.Image().Topics() {
		for i := range topic.Partitions {
			p := r.Replicas.Get(replica.ID{Topic: topic.ID, Partition: int32(i)})
			start, err := p.StartOffset()
			if err != nil {
				t.Fatal(err)
			}
			end, err := p.EndOffset()
			if err != nil {
				t.Fatal(err)
			}
			text += fmt.Sprintf("\n%s %d: %d to %d", topic.Name, i, start, end)
		}
	}
	groups, err := r.API.Groups.List()
	if err != nil {
		t.Fatal(err)
	}
	return text + fmt.Sprintf("\n%+v", groups)
}

// TestNobodyJoinsAnothersTransaction: who may write to the topic, and knows the producer id, still needs the transactional
// id to write into a transaction that is open there (CVE-2018-17196).
func TestNobodyJoinsAnothersTransaction(t *testing.T) {
	r := guarded(t)
	r.Topic("t", 1)
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.Version, begin.TransactionalID, begin.TransactionTimeoutMillis = 4, kmsg.StringPtr("alice's"), 60_000
	id := r.Ask(begin).(*kmsg.InitProducerIDResponse)
	if id.ErrorCode != 0 {
		t.Fatal(kerr.ErrorForCode(id.ErrorCode))
	}
	produce := func(transactionalID *string, sequence int32) int16 {
		req := kmsg.NewPtrProduceRequest()
		req.Version, req.Acks, req.TransactionID = 12, -1, transactionalID
		raw := apitest.Batch(t, "record")
		batch.SetTransactional(raw)
		batch.SetProducer(raw, id.ProducerID, id.ProducerEpoch, sequence)
		batch.Seal(raw)
		rt, rp := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
		rt.Topic, rp.Records = "t", raw
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		return r.Ask(req).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
	}
	if c := produce(begin.TransactionalID, 0); c != 0 {
		t.Fatal(kerr.ErrorForCode(c))
	}
	acls := []auth.ACL{{Kind: auth.Topic, Pattern: auth.Literal, Name: "t", Principal: "User:mallory", Host: "*", Operation: auth.Write, Permission: auth.Allow}}
	r.API.Auth.(*auth.Standard).Follow(slices.Values(acls))
	r.Who = auth.Principal{Type: "User", Name: "mallory"}
	before := state(t, r)
	for _, name := range []*string{nil, kmsg.StringPtr(""), begin.TransactionalID} {
		if c := produce(name, 1); c != kerr.TransactionalIDAuthorizationFailed.Code {
			t.Errorf("%v: %v", name, kerr.ErrorForCode(c))
		}
	}
	if after := state(t, r); after != before {
		t.Errorf("something was written: from\n%s\nto\n%s", before, after)
	}
}

// TestAGroupIsNotItsTopics: who may do everything with a group and a transaction still may not name another's topic in
// them. It is refused with the topic's code, and the topic stays as it is.
func TestAGroupIsNotItsTopics(t *testing.T) {
	r := guarded(t)
	id := secrets(t, r)
	produced = apitest.Batch(t, "more")
	half := auth.Principal{Type: "User", Name: "half"}
	var acls []auth.ACL
	for _, kind := range []auth.Kind{auth.Group, auth.TransactionalID} {
		acls = append(acls, auth.ACL{Kind: kind, Pattern: auth.Literal, Name: "t", Principal: half.String(), Host: "*", Operation: auth.All, Permission: auth.Allow})
	}
	r.API.Auth.(*auth.Standard).Follow(slices.Values(acls))
	r.Who = half
	named := map[int16]int16{0: 3, 1: 4, 2: 1, 8: 2, 9: 1, 24: 0, 28: 0, 47: 0, 68: 0} // and the first version that has a place for the code
	end, err := r.Replicas.Get(replica.ID{Topic: id}).EndOffset()
	if err != nil {
		t.Fatal(err)
	}
	walk(t, id, func(t *testing.T, _ expectation, make func() kmsg.Request) {
		req := make()
		since, ok := named[req.Key()]
		if !ok || req.GetVersion() < since || req.Key() == 24 && req.GetVersion() > 3 { // which brokers send each other
			return
		}
		if codes := codesOf(r.Ask(req)); !slices.Contains(codes, kerr.TopicAuthorizationFailed.Code) {
			t.Errorf("version %d: codes %v", req.GetVersion(), codes)
		}
	})
	if now, err := r.Replicas.Get(replica.ID{Topic: id}).EndOffset(); err != nil || now != end {
		t.Errorf("the topic ends at %d, not %d (%v)", now, end, err)
	}
}

// TestAGroupDoesNotShowTopics: who may see a consumer group sees nothing of it as long as one of its topics is hidden.
func TestAGroupDoesNotShowTopics(t *testing.T) {
	r := guarded(t)
	r.Topic("t", 1)
	join := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	join.Version, join.Group, join.MemberID, join.RebalanceTimeoutMillis = 1, "t", "m", 1000
	join.SubscribedTopicNames, join.Topics = []string{"t"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	if codes := codesOf(r.Ask(join)); len(codes) != 1 || codes[0] != 0 {
		t.Fatal(codes)
	}
	describe := kmsg.NewPtrConsumerGroupDescribeRequest()
	describe.Version, describe.Groups = 1, []string{"t"}
	reader := auth.Principal{Type: "User", Name: "reader"}
	r.Who = reader
	acls := []auth.ACL{{Kind: auth.Group, Pattern: auth.Literal, Name: "t", Principal: reader.String(), Host: "*", Operation: auth.Describe, Permission: auth.Allow}}
	r.API.Auth.(*auth.Standard).Follow(slices.Values(acls))
	if g := r.Ask(describe).(*kmsg.ConsumerGroupDescribeResponse).Groups[0]; g.ErrorCode != kerr.TopicAuthorizationFailed.Code || len(g.Members) != 0 {
		t.Errorf("%+v", g)
	}
	topic := acls[0]
	topic.Kind = auth.Topic
	r.API.Auth.(*auth.Standard).Follow(slices.Values(append(acls, topic)))
	if g := r.Ask(describe).(*kmsg.ConsumerGroupDescribeResponse).Groups[0]; g.ErrorCode != 0 || len(g.Members) != 1 || len(g.Members[0].Assignment.TopicPartitions) != 1 {
		t.Errorf("%+v", g)
	}
}
