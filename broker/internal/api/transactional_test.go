package api_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// produceIn is a request with one batch of a transaction for partition 0 of topic t.
func produceIn(t *testing.T, transactionalID *string, producer int64, epoch int16, sequence int32) *kmsg.ProduceRequest {
	raw := apitest.Batch(t, "a")
	batch.SetTransactional(raw)
	batch.SetProducer(raw, producer, epoch, sequence)
	batch.Seal(raw)
	partition := kmsg.NewProduceRequestTopicPartition()
	partition.Records = raw
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TransactionID = 12, -1, transactionalID
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{partition}}}
	return req
}

// TestATransactionIsNamed: records of a transaction come in a request that says which, or nobody has asked whether the client
// may write in it (CVE-2018-17196).
func TestATransactionIsNamed(t *testing.T) {
	r := rig(t, nil)
	r.Topic("t", 1)
	codes := codesOf(r.Ask(produceIn(t, nil, 7, 0, 0)))
	if len(codes) != 1 || codes[0] != kerr.TransactionalIDAuthorizationFailed.Code {
		t.Errorf("codes %v", codes)
	}
}

// TestBatchesThatWaitForTheCoordinatorKeepTheirOrder: the first batch of a transaction in a partition is kept until the
// coordinator's record is durable, and those that come meanwhile stay behind it.
func TestBatchesThatWaitForTheCoordinatorKeepTheirOrder(t *testing.T) {
	var gate atomic.Pointer[chan struct{}]
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			if g := gate.Load(); g != nil {
				<-*g
			}
		default:
		}
		return nil
	}))
	r := apitest.New(t, fs, "data", nil)
	r.Topic("t", 1)
	r.Append("t", 0, "before")
	transaction(t, r)
	began, err := r.API.Txns.Describe(context.Background(), "t")
	if err != nil {
		t.Fatal(err)
	}
	held := make(chan struct{})
	gate.Store(&held)
	var answers []<-chan apitest.Answer
	const batches = 5
	for i := range int32(batches) {
		req := produceIn(t, kmsg.StringPtr("t"), began.Producer.ID, began.Producer.Epoch, i)
		answers = append(answers, r.Serve(context.Background(), apitest.Frame(req, i)))
	}
	close(held)
	for i, answer := range answers {
		a := <-answer
		if a.Err != nil {
			t.Fatal(a.Err)
		}
		p := apitest.Body(t, produceIn(t, nil, 0, 0, 0), apitest.Bytes(t, a.Reply)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || p.BaseOffset != int64(1+i) {
			t.Errorf("batch %d is at %d: %v", i, p.BaseOffset, kerr.ErrorForCode(p.ErrorCode))
		}
	}
}
