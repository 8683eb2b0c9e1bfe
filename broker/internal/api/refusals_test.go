package api_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// at sets the version of a request, and changes it.
func at[R kmsg.Request](version int16, req R, change func(R)) kmsg.Request {
	req.SetVersion(version)
	change(req)
	return req
}

// TestRequestsThatMakeNoSenseAreRefused: each has one thing wrong; nil is beside it what is right.
func TestRequestsThatMakeNoSenseAreRefused(t *testing.T) {
	r := guarded(t)
	id := secrets(t, r)
	name := kmsg.StringPtr("t")
	client := func(change func(*kmsg.ApiVersionsRequest)) func(*kmsg.ApiVersionsRequest) {
		return func(q *kmsg.ApiVersionsRequest) {
			q.ClientSoftwareName, q.ClientSoftwareVersion = "apache-kafka-java", "4.4.0"
			change(q)
		}
	}
	topics := func(all ...kmsg.DeleteTopicsRequestTopic) func(*kmsg.DeleteTopicsRequest) {
		return func(q *kmsg.DeleteTopicsRequest) { q.Topics = all }
	}
	more := kmsg.CreatePartitionsRequestTopic{Topic: "t", Count: 2}
	for what, c := range map[string]struct {
		req  kmsg.Request
		want *kerr.Error
	}{
		"a client with a name": {at(3, kmsg.NewPtrApiVersionsRequest(), client(func(*kmsg.ApiVersionsRequest) {})), nil},
		"a client's name with a space": {at(3, kmsg.NewPtrApiVersionsRequest(), client(func(q *kmsg.ApiVersionsRequest) {
			q.ClientSoftwareName = "apache kafka"
		})), kerr.InvalidRequest},
		"a client without a version": {at(3, kmsg.NewPtrApiVersionsRequest(), client(func(q *kmsg.ApiVersionsRequest) {
			q.ClientSoftwareVersion = ""
		})), kerr.InvalidRequest},
		"this broker": {at(5, kmsg.NewPtrApiVersionsRequest(), client(func(q *kmsg.ApiVersionsRequest) {
			q.NodeID, q.ClusterID = 0, kmsg.StringPtr("cluster")
		})), nil},
		"a node of no cluster": {at(5, kmsg.NewPtrApiVersionsRequest(), client(func(q *kmsg.ApiVersionsRequest) {
			q.NodeID, q.ClusterID = 0, nil
		})), kerr.InvalidRequest},
		"another node": {at(5, kmsg.NewPtrApiVersionsRequest(), client(func(q *kmsg.ApiVersionsRequest) {
			q.NodeID, q.ClusterID = 1, kmsg.StringPtr("cluster")
		})), kerr.RebootstrapRequired},
		"another cluster": {at(5, kmsg.NewPtrApiVersionsRequest(), client(func(q *kmsg.ApiVersionsRequest) {
			q.NodeID, q.ClusterID = 0, kmsg.StringPtr("other")
		})), kerr.RebootstrapRequired},
		"a producer id without an epoch": {at(5, kmsg.NewPtrInitProducerIDRequest(), func(q *kmsg.InitProducerIDRequest) {
			q.TransactionalID, q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = name, 1000, 5, -1
		}), kerr.InvalidRequest},
		"an epoch without a producer id": {at(5, kmsg.NewPtrInitProducerIDRequest(), func(q *kmsg.InitProducerIDRequest) {
			q.TransactionalID, q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = name, 1000, -1, 5
		}), kerr.InvalidRequest},
		"a topic by name and id": {at(6, kmsg.NewPtrDeleteTopicsRequest(), topics(kmsg.DeleteTopicsRequestTopic{Topic: name, TopicID: id})), kerr.InvalidRequest},
		"a topic by neither":     {at(6, kmsg.NewPtrDeleteTopicsRequest(), topics(kmsg.DeleteTopicsRequestTopic{})), kerr.InvalidRequest},
		"a kind of resource that there is not": {at(3, kmsg.NewPtrDescribeACLsRequest(), func(q *kmsg.DescribeACLsRequest) {
			q.ResourceType, q.ResourcePatternType, q.Operation, q.PermissionType = 99, kmsg.ACLResourcePatternTypeAny, kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
		}), kerr.InvalidRequest},
		"a topic that is to grow twice": {at(3, kmsg.NewPtrCreatePartitionsRequest(), func(q *kmsg.CreatePartitionsRequest) {
			q.Topics, q.ValidateOnly = []kmsg.CreatePartitionsRequestTopic{more, more}, true
		}), kerr.InvalidRequest},
		"a quota of nothing": {at(1, kmsg.NewPtrDescribeClientQuotasRequest(), func(q *kmsg.DescribeClientQuotasRequest) {
			q.Components = []kmsg.DescribeClientQuotasRequestComponent{{MatchType: 2}}
		}), kerr.InvalidRequest},
		"a quota of whom it does not say": {at(1, kmsg.NewPtrDescribeClientQuotasRequest(), func(q *kmsg.DescribeClientQuotasRequest) {
			q.Components = []kmsg.DescribeClientQuotasRequestComponent{{EntityType: "user", MatchType: 0}}
		}), kerr.InvalidRequest},
		"a quota of anybody by name": {at(1, kmsg.NewPtrDescribeClientQuotasRequest(), func(q *kmsg.DescribeClientQuotasRequest) {
			q.Components = []kmsg.DescribeClientQuotasRequestComponent{{EntityType: "user", MatchType: 2, Match: name}}
		}), kerr.InvalidRequest},
		"a way to match that there is not": {at(1, kmsg.NewPtrDescribeClientQuotasRequest(), func(q *kmsg.DescribeClientQuotasRequest) {
			q.Components = []kmsg.DescribeClientQuotasRequestComponent{{EntityType: "user", MatchType: 3}}
		}), kerr.InvalidRequest},
		"a way to upgrade that there is not": {at(2, kmsg.NewPtrUpdateFeaturesRequest(), func(q *kmsg.UpdateFeaturesRequest) {
			q.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: "group.version", MaxVersionLevel: 1, UpgradeType: 9}}
		}), kerr.InvalidUpdateVersion},
		"records for a topic of the broker's own": {at(9, kmsg.NewPtrProduceRequest(), func(q *kmsg.ProduceRequest) {
			partition := kmsg.NewProduceRequestTopicPartition()
			partition.Records = apitest.Batch(t, "a")
			q.Acks, q.Topics = -1, []kmsg.ProduceRequestTopic{{Topic: "__consumer_offsets", Partitions: []kmsg.ProduceRequestTopicPartition{partition}}}
		}), kerr.InvalidTopicException},
		"a fetch of a follower":             {at(11, kmsg.NewPtrFetchRequest(), func(q *kmsg.FetchRequest) { q.ReplicaID = 1 }), kerr.ClusterAuthorizationFailed},
		"leaders for all, all of whom lead": {at(2, kmsg.NewPtrElectLeadersRequest(), func(q *kmsg.ElectLeadersRequest) { q.Topics = nil }), nil},
	} {
		t.Run(what, func(t *testing.T) {
			var want int16
			if c.want != nil {
				want = c.want.Code
			}
			for _, code := range codesOf(r.Ask(c.req)) {
				if code != want {
					t.Errorf("%v, want %v", kerr.ErrorForCode(code), c.want)
				}
			}
		})
	}
	if r.Meta.Image().Topic("t") == nil {
		t.Error("what was refused has happened")
	}
}

// TestRightsOnTheClusterAreRightsOnItsTopics: who may create or delete whatever it likes, or produce with an id, need not be
// allowed it for each topic.
func TestRightsOnTheClusterAreRightsOnItsTopics(t *testing.T) {
	r := guarded(t)
	r.Topic("t", 1)
	allow := kmsg.NewPtrCreateACLsRequest()
	allow.Version = 3
	for _, op := range []kmsg.ACLOperation{kmsg.ACLOperationCreate, kmsg.ACLOperationDelete, kmsg.ACLOperationIdempotentWrite} {
		acl := kmsg.NewCreateACLsRequestCreation()
		acl.ResourceType, acl.ResourceName, acl.ResourcePatternType = kmsg.ACLResourceTypeCluster, "kafka-cluster", kmsg.ACLResourcePatternTypeLiteral
		acl.Principal, acl.Host, acl.Operation, acl.PermissionType = "User:alice", "*", op, kmsg.ACLPermissionTypeAllow
		allow.Creations = append(allow.Creations, acl)
	}
	if codes := codesOf(r.Ask(allow)); len(codes) != 1 || codes[0] != 0 {
		t.Fatal(codes)
	}
	create := at(7, kmsg.NewPtrCreateTopicsRequest(), func(q *kmsg.CreateTopicsRequest) {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "new", 1, 1
		q.Topics = append(q.Topics, topic)
	})
	remove := at(6, kmsg.NewPtrDeleteTopicsRequest(), func(q *kmsg.DeleteTopicsRequest) {
		q.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("t")}}
	})
	produce := at(5, kmsg.NewPtrInitProducerIDRequest(), func(q *kmsg.InitProducerIDRequest) { q.ProducerID, q.ProducerEpoch = -1, -1 })
	for who, may := range map[string]bool{"bob": false, "alice": true} {
		r.Who = auth.Principal{Type: "User", Name: who}
		for _, req := range []kmsg.Request{create, remove, produce} {
			if codes := codesOf(r.Ask(req)); (len(codes) == 1 && codes[0] == 0) != may {
				t.Errorf("%s, %s: %v", who, kmsg.NameForKey(req.Key()), codes)
			}
		}
	}
	carol := auth.Principal{Type: "User", Name: "carol"}
	acl := auth.ACL{Kind: auth.Topic, Pattern: auth.Prefixed, Name: "some", Principal: carol.String(), Host: "*", Operation: auth.Write, Permission: auth.Allow}
	r.API.Auth.(*auth.Standard).Follow(slices.Values([]auth.ACL{acl}))
	r.Who = carol
	if codes := codesOf(r.Ask(produce)); len(codes) != 1 || codes[0] != 0 {
		t.Errorf("who may write to some topic produces with an id as well (KIP-679): %v", codes)
	}
}

// TestOldProducersAreTurnedAway: their versions are advertised, because old clients look for them, and not served.
func TestOldProducersAreTurnedAway(t *testing.T) {
	produce := kmsg.NewPtrProduceRequest()
	produce.Version = 2
	if a := <-rig(t, nil).Serve(context.Background(), apitest.Frame(produce, 7)); !errors.Is(a.Err, api.ErrMalformed) {
		t.Error(a.Err)
	}
}

// TestOldCommitsSayHowLongTheyLast: the retention of versions 2 to 4 holds in place of the broker's.
func TestOldCommitsSayHowLongTheyLast(t *testing.T) {
	r := rig(t, nil)
	r.Topic("t", 1)
	for group, retention := range map[string]int64{"short": 1000, "usual": -1} {
		commit := kmsg.NewPtrOffsetCommitRequest()
		commit.Version, commit.Group, commit.Generation, commit.RetentionTimeMillis = 2, group, -1, retention
		topic := kmsg.NewOffsetCommitRequestTopic()
		topic.Topic = "t"
		topic.Partitions = append(topic.Partitions, kmsg.NewOffsetCommitRequestTopicPartition())
		commit.Topics = append(commit.Topics, topic)
		if codes := codesOf(r.Ask(commit)); len(codes) != 1 || codes[0] != 0 {
			t.Fatal(codes)
		}
	}
	r.Later(2 * time.Second)
	r.API.Groups.Expire()
	for group, want := range map[string]int{"short": 0, "usual": 1} {
		if offsets, err := r.API.Groups.Offsets(context.Background(), group); len(offsets) != want || err != nil {
			t.Errorf("%s: %v, %v", group, offsets, err)
		}
	}
}

// TestNobodyAnswersWhoWantsNoAnswer: acks=0 gets none, and an error is told by closing the connection.
func TestNobodyAnswersWhoWantsNoAnswer(t *testing.T) {
	r := rig(t, nil)
	r.Topic("t", 1)
	for topic, well := range map[string]bool{"t": true, "unknown": false} {
		produce := kmsg.NewPtrProduceRequest()
		produce.Version, produce.Acks = 9, 0
		partition := kmsg.NewProduceRequestTopicPartition()
		partition.Records = apitest.Batch(t, "a")
		produce.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, Partitions: []kmsg.ProduceRequestTopicPartition{partition}}}
		a := <-r.Serve(context.Background(), apitest.Frame(produce, 7))
		if !a.Reply.Empty || len(a.Reply.Bytes) != 0 || (a.Err == nil) != well {
			t.Errorf("%s: %d bytes, %v", topic, len(a.Reply.Bytes), a.Err)
		}
	}
}
