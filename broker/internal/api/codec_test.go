package api_test

import (
	"context"
	"slices"
	"testing"

	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestProduceAndFetchSpeakAsKmsgDoes: what kmsg writes in each version is understood, and kmsg reads the whole answer.
func TestProduceAndFetchSpeakAsKmsgDoes(t *testing.T) {
	r := rig(t, nil)
	ids := map[string][16]byte{"a": r.Topic("a", 3), "b": r.Topic("b", 2)}
	var want []string
	for version := int16(3); version <= 13; version++ {
		value := string(rune('a' + version))
		want = append(want, value)
		req := kmsg.NewPtrProduceRequest()
		req.Version, req.Acks, req.TimeoutMillis = version, -1, 1000
		for _, name := range []string{"a", "b"} {
			rt := kmsg.NewProduceRequestTopic()
			rt.Topic, rt.TopicID = name, ids[name]
			for p := range int32(2) {
				rp := kmsg.NewProduceRequestTopicPartition()
				rp.Partition, rp.Records = p, apitest.Batch(t, value)
				rt.Partitions = append(rt.Partitions, rp)
			}
			rp := kmsg.NewProduceRequestTopicPartition()
			rp.Partition = 9
			rt.Partitions = append(rt.Partitions, rp)
			req.Topics = append(req.Topics, rt)
		}
		resp := r.Ask(req).(*kmsg.ProduceResponse)
		if len(resp.Topics) != 2 {
			t.Fatalf("version %d: %+v", version, resp)
		}
		for _, rt := range resp.Topics {
			for i, p := range rt.Partitions {
				ok := p.ErrorCode == 0 && p.BaseOffset == int64(len(want)-1) && p.Partition == int32(i)
				if i == 2 {
					ok = p.ErrorCode == 3 && p.BaseOffset == -1 && p.Partition == 9 && (version < 8 || p.ErrorMessage != nil)
				}
				if !ok {
					t.Errorf("version %d: %+v", version, p)
				}
			}
		}
	}
	for version := int16(4); version <= 18; version++ {
		req := kmsg.NewPtrFetchRequest()
		req.Version, req.MaxBytes, req.SessionEpoch = version, 1<<20, -1
		for _, name := range []string{"b", "a"} {
			rt := kmsg.NewFetchRequestTopic()
			rt.Topic, rt.TopicID = name, ids[name]
			for _, p := range []int32{1, 0, 9} {
				rp := kmsg.NewFetchRequestTopicPartition()
				rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = p, int64(2+p), 1<<20
				rt.Partitions = append(rt.Partitions, rp)
			}
			req.Topics = append(req.Topics, rt)
		}
		resp := r.Ask(req).(*kmsg.FetchResponse)
		if len(resp.Topics) != 2 || version < 13 && resp.Topics[0].Topic != "b" || version >= 13 && resp.Topics[0].TopicID != ids["b"] {
			t.Fatalf("version %d: %+v", version, resp)
		}
		for _, rt := range resp.Topics {
			for i, index := range []int32{1, 0, 9} {
				p := rt.Partitions[i]
				got, _ := apitest.Values(t, p.RecordBatches, int64(2+index))
				ok := p.Partition == index && p.ErrorCode == 3 && len(got) == 0
				if index < 2 {
					ok = p.Partition == index && p.ErrorCode == 0 && slices.Equal(got, want[2+index:]) && p.HighWatermark == int64(len(want))
				}
				if !ok {
					t.Errorf("version %d, partition %d: code %d, %q", version, index, p.ErrorCode, got)
				}
			}
		}
	}
}

func TestUnreadableVersionsOfApiVersionsAreAnswered(t *testing.T) {
	r := rig(t, nil)
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = 3
	frame := apitest.Frame(req, 7)
	frame[3] = 77
	a := <-r.Serve(context.Background(), frame)
	if a.Err != nil {
		t.Fatal(a.Err)
	}
	old := kmsg.NewPtrApiVersionsRequest()
	resp := apitest.Body(t, old, a.Reply.Bytes).(*kmsg.ApiVersionsResponse)
	if resp.ErrorCode != 35 || len(resp.ApiKeys) != len(api.Versions()) {
		t.Errorf("%+v", resp)
	}
}
