package api_test

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The requests of the hot paths, whole: what one costs must not depend on how many records it carries.
const (
	produceBudget = 14 // allocations of a request with one batch
	fetchBudget   = 18
)

// producing is a request for one batch of so many records, acks=1: nothing waits for the disk.
func producing(tb testing.TB, records int) []byte {
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(9)
	req.Acks = 1
	t := kmsg.NewProduceRequestTopic()
	t.Topic = "t"
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = apitest.Batch(tb, make([]string, records)...)
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return apitest.Frame(req, 1)
}

func fetching() []byte {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(12)
	req.MaxBytes = 1 << 30
	t := kmsg.NewFetchRequestTopic()
	t.Topic = "t"
	p := kmsg.NewFetchRequestTopicPartition()
	p.CurrentLeaderEpoch, p.PartitionMaxBytes = -1, 1<<30
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	req.SessionEpoch = -1
	return apitest.Frame(req, 1)
}

// served serves a request again and again. Its answer must be there at once.
func served(tb testing.TB, r *apitest.Rig, request []byte) func() {
	frame := make([]byte, len(request))
	return func() {
		answered := false
		copy(frame, request) // the log writes offsets into it
		r.API.Serve(&api.Call{Context: context.Background(), ClientHost: "127.0.0.1"}, frame, func(reply api.Reply, err error) {
			answered = err == nil && len(reply.Bytes) < 80 || len(reply.Inserts) > 0 // an error has a text
			reply.Release()
		})
		if !answered {
			tb.Fatal("no answer")
		}
	}
}

func pathRig(tb testing.TB) *apitest.Rig {
	r := apitest.New(tb, vfs.Default, tb.TempDir(), nil)
	r.Topic("t", 1)
	return r
}

func TestHotPathsAllocateNothingPerRecord(t *testing.T) {
	r := pathRig(t)
	for _, records := range []int{1, 1000} {
		if n := testing.AllocsPerRun(200, served(t, r, producing(t, records))); n > produceBudget {
			t.Errorf("produce with %d records: %v allocations, the budget is %d", records, n, produceBudget)
		}
	}
	// By now the topic has 200 thousand records in 400 batches, more than is copied into an answer.
	r.Append("t", 0, "the last, so that all are visible")
	if n := testing.AllocsPerRun(200, served(t, r, fetching())); n > fetchBudget {
		t.Errorf("fetch: %v allocations, the budget is %d", n, fetchBudget)
	}
}

func BenchmarkProduceRequest(b *testing.B) {
	serve := served(b, pathRig(b), producing(b, 16))
	b.ReportAllocs()
	for b.Loop() {
		serve()
	}
}

func BenchmarkFetchRequest(b *testing.B) {
	r := pathRig(b)
	serve := served(b, r, producing(b, 1000))
	for range 100 {
		serve()
	}
	serve = served(b, r, fetching())
	b.ReportAllocs()
	for b.Loop() {
		serve()
	}
}
