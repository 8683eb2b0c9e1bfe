package api_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestListOffsetsKnowsWhatItIsAskedFor: a meaning that is not known is not a time before all records.
func TestListOffsetsKnowsWhatItIsAskedFor(t *testing.T) {
	r := apitest.New(t, vfs.NewMem(), "data", nil)
	r.Topic("t", 1)
	r.Append("t", 0, "a", "b")
	for ts, want := range map[int64]struct {
		code   int16
		offset int64
	}{-1: {0, 2}, -2: {0, 0}, -4: {0, 0}, -5: {0, -1}, -6: {0, -1}, -7: {35, -1}, -99: {35, -1}, 0: {0, 0}, 1 << 60: {0, -1}} {
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version, req.ReplicaID = 11, -1
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.CurrentLeaderEpoch, p.Timestamp = -1, ts
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
		got := r.Ask(req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		if got.ErrorCode != want.code || got.Offset != want.offset {
			t.Errorf("%d: code %d, offset %d", ts, got.ErrorCode, got.Offset)
		}
	}
}
