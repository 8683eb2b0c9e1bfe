package api_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestAGroupsOwnConfigurationReachesItsMembers: from the next heartbeat on, and nobody else's.
func TestAGroupsOwnConfigurationReachesItsMembers(t *testing.T) {
	r := rig(t, nil)
	r.Topic("t", 1)
	set := func(group, ms string) {
		t.Helper()
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Version = 1
		req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
			ResourceType: kmsg.ConfigResourceTypeGroupConfig, ResourceName: group,
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "consumer.heartbeat.interval.ms", Value: &ms}},
		}}
		if got := r.Ask(req).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]; got.ErrorCode != 0 {
			t.Fatal(*got.ErrorMessage)
		}
	}
	beat := func(group string, epoch int32) *kmsg.ConsumerGroupHeartbeatResponse {
		t.Helper()
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.MemberEpoch, req.RebalanceTimeoutMillis = 1, group, "m", epoch, 60_000
		req.SubscribedTopicNames, req.Topics = []string{"t"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		resp := r.Ask(req).(*kmsg.ConsumerGroupHeartbeatResponse)
		if resp.ErrorCode != 0 {
			t.Fatal(kerr.ErrorForCode(resp.ErrorCode))
		}
		return resp
	}
	usual := beat("other", 0).HeartbeatIntervalMillis
	set("g", "10000")
	first := beat("g", 0)
	if first.HeartbeatIntervalMillis != 2*usual { // the broker's is 5000, and a young group calls as many times as often
		t.Errorf("%d ms, others have %d", first.HeartbeatIntervalMillis, usual)
	}
	set("g", "15000")
	if next := beat("g", first.MemberEpoch); next.HeartbeatIntervalMillis != 3*usual {
		t.Errorf("then %d ms, others have %d", next.HeartbeatIntervalMillis, usual)
	}
	if other := beat("another", 0); other.HeartbeatIntervalMillis != usual {
		t.Errorf("another group: %d ms", other.HeartbeatIntervalMillis)
	}
}
