package api_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestNoWakeUpIsLost: consumers poll while a record comes, again and again, so that it comes before, while and after they
// park. None may have to wait for the end of its poll.
func TestNoWakeUpIsLost(t *testing.T) {
	for name, unsynced := range map[string]bool{"durable": false, "written": true} {
		t.Run(name, func(t *testing.T) {
			const partitions, consumers, rounds = 3, 4, 1000
			r := apitest.New(t, vfs.NewMem(), "", nil)
			r.Topic("t", partitions)
			if unsynced {
				r.Unsynced("t")
			}
			var offsets [partitions]int64
			for round := range rounds {
				poll := fetchOf(0, -1)
				poll.MaxWaitMillis, poll.MinBytes = 3_600_000, 1
				poll.Topics = []kmsg.FetchRequestTopic{{Topic: "t"}}
				for p, offset := range offsets {
					poll.Topics[0].Partitions = append(poll.Topics[0].Partitions, wanted(int32(p), offset))
				}
				frame := apitest.Frame(poll, 1)
				answers := make(chan apitest.Answer, consumers)
				for range consumers {
					go func() { answers <- <-r.Serve(context.Background(), frame) }()
				}
				for range rand.IntN(40) {
					runtime.Gosched()
				}
				p := rand.Int32N(partitions)
				if resp := r.Ask(produceOne(t, p, "v")).(*kmsg.ProduceResponse); resp.Topics[0].Partitions[0].ErrorCode != 0 {
					t.Fatal(resp)
				}
				for range consumers {
					select {
					case a := <-answers:
						got := fetched(apitest.Body(t, poll, apitest.Bytes(t, a.Reply)).(*kmsg.FetchResponse))
						if values, _ := apitest.Values(t, got[p].RecordBatches, offsets[p]); len(values) != 1 {
							t.Fatalf("round %d: %q", round, values)
						}
					case <-time.After(time.Minute):
						t.Fatalf("round %d: a consumer was not told of a record", round)
					}
				}
				offsets[p]++
			}
		})
	}
}

// TestPollsAnswerOnce, whatever of a record, the end of the wait and the end of the connection comes first.
func TestPollsAnswerOnce(t *testing.T) {
	r := apitest.New(t, vfs.NewMem(), "", nil)
	r.Topic("t", 1)
	r.Unsynced("t")
	var polls sync.WaitGroup
	for range 8 {
		polls.Go(func() {
			for range 300 {
				ctx, cancel := context.WithCancel(context.Background())
				poll := fetchOf(0, -1, wanted(0, 0))
				poll.MaxWaitMillis, poll.MinBytes = rand.Int32N(3), 1<<20
				answers := r.Serve(ctx, apitest.Frame(poll, 1))
				for range rand.IntN(20) {
					runtime.Gosched()
				}
				cancel()
				a := <-answers
				a.Reply.Release()
				if a.Err != nil || len(answers) > 0 {
					t.Errorf("%d more answers, %v", len(answers), a.Err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		polls.Wait()
		close(done)
	}()
	for {
		select {
		case <-done:
			return
		default:
			r.Ask(produceOne(t, 0, "v"))
		}
	}
}

func produceOne(t *testing.T, partition int32, value string) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks = 9, -1
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, apitest.Batch(t, value)
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{p}}}
	return req
}
