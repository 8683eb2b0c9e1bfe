package api_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

func wanted(p int32, offset int64) kmsg.FetchRequestTopicPartition {
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes, rp.CurrentLeaderEpoch = p, offset, 1<<20, -1
	return rp
}

func fetchOf(session, epoch int32, partitions ...kmsg.FetchRequestTopicPartition) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.SessionID, req.SessionEpoch = 12, 1<<20, session, epoch
	if len(partitions) > 0 {
		req.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: partitions}}
	}
	return req
}

func fetched(resp *kmsg.FetchResponse) (out []kmsg.FetchResponseTopicPartition) {
	for _, t := range resp.Topics {
		out = append(out, t.Partitions...)
	}
	return out
}

// TestFetchSessionsAreExactlyWhatChanged plays random appends, changes of what is wanted and incremental fetches against
// a model that knows what a client has seen of each partition.
func TestFetchSessionsAreExactlyWhatChanged(t *testing.T) {
	const partitions = 4
	rapid.Check(t, func(rt *rapid.T) {
		r := rig(t, nil)
		r.Topic("t", partitions)
		var log [partitions][]string
		var next [partitions]int64
		high := map[int32]int64{} // of the partitions in the session, as the client knows it
		var session, epoch int32
		take := func(resp *kmsg.FetchResponse, full bool) {
			answered := map[int32]bool{}
			for _, p := range fetched(resp) {
				known, in := high[p.Partition]
				if !in || answered[p.Partition] {
					rt.Fatalf("partition %d is not wanted, or answered twice", p.Partition)
				}
				answered[p.Partition] = true
				values, to := apitest.Values(t, p.RecordBatches, next[p.Partition])
				if !slices.Equal(values, log[p.Partition][next[p.Partition]:to]) {
					rt.Fatalf("partition %d from %d: %q", p.Partition, next[p.Partition], values)
				}
				if !full && len(values) == 0 && known == p.HighWatermark {
					rt.Fatalf("partition %d has not changed", p.Partition)
				}
				next[p.Partition], high[p.Partition] = to, p.HighWatermark
			}
			for p, known := range high {
				if !answered[p] && (full || int64(len(log[p])) != known || next[p] < int64(len(log[p]))) {
					rt.Fatalf("partition %d is left out", p)
				}
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				p := rapid.Int32Range(0, partitions-1).Draw(rt, "partition")
				var values []string
				for range rapid.IntRange(1, 3).Draw(rt, "records") {
					values = append(values, fmt.Sprint(p, len(log[p])+len(values)))
				}
				r.Append("t", p, values...)
				log[p] = append(log[p], values...)
			},
			"full": func(rt *rapid.T) {
				old := session
				clear(high)
				var want []kmsg.FetchRequestTopicPartition
				for p := range int32(partitions) {
					if rapid.Bool().Draw(rt, "wanted") {
						high[p] = -1
						want = append(want, wanted(p, next[p]))
					}
				}
				resp := r.Ask(fetchOf(old, 0, want...)).(*kmsg.FetchResponse)
				session, epoch = resp.SessionID, 1
				if session == 0 || session == old {
					rt.Fatalf("session %d after %d", session, old)
				}
				take(resp, true)
				if got := r.Ask(fetchOf(old, 5)).(*kmsg.FetchResponse).ErrorCode; got != kerr.FetchSessionIDNotFound.Code {
					rt.Fatalf("the old session lives: %d", got)
				}
			},
			"incremental": func(rt *rapid.T) {
				if session == 0 {
					rt.Skip()
				}
				req := fetchOf(session, epoch)
				var forget []int32
				var want []kmsg.FetchRequestTopicPartition
				for p := range int32(partitions) {
					_, in := high[p]
					switch {
					case in && rapid.IntRange(0, 5).Draw(rt, "forget") == 0:
						forget = append(forget, p)
						delete(high, p)
					case in:
						want = append(want, wanted(p, next[p])) // the client has moved on
					case rapid.Bool().Draw(rt, "add"):
						high[p] = -1
						want = append(want, wanted(p, next[p]))
					}
				}
				req.Topics = fetchOf(0, 0, want...).Topics
				if forget != nil {
					req.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "t", Partitions: forget}}
				}
				if rapid.IntRange(0, 4).Draw(rt, "wrong epoch") == 0 {
					wrong := fetchOf(session, epoch+1)
					if got := r.Ask(wrong).(*kmsg.FetchResponse).ErrorCode; got != kerr.InvalidFetchSessionEpoch.Code {
						rt.Fatalf("a wrong epoch gives %d", got)
					}
				}
				epoch++
				resp := r.Ask(req).(*kmsg.FetchResponse)
				if resp.ErrorCode != 0 || resp.SessionID != session {
					rt.Fatalf("code %d, session %d", resp.ErrorCode, resp.SessionID)
				}
				take(resp, false)
			},
		})
	})
}

func TestNoSlotIsNoSession(t *testing.T) {
	r := rig(t, map[string]string{"max.incremental.fetch.session.cache.slots": "1"})
	r.Topic("t", 1)
	r.Append("t", 0, "v")
	first := r.Ask(fetchOf(0, 0, wanted(0, 0))).(*kmsg.FetchResponse)
	second := r.Ask(fetchOf(0, 0, wanted(0, 0))).(*kmsg.FetchResponse)
	if first.SessionID == 0 || second.SessionID != 0 || len(fetched(second)) != 1 {
		t.Fatalf("%d, %d", first.SessionID, second.SessionID)
	}
	closed := r.Ask(fetchOf(first.SessionID, -1)).(*kmsg.FetchResponse)
	if third := r.Ask(fetchOf(0, 0, wanted(0, 0))).(*kmsg.FetchResponse); closed.SessionID != 0 || third.SessionID == 0 {
		t.Fatal("a closed session keeps its slot")
	}
}

// TestNoPartitionStarves: each answer has room for one batch, and every partition has its turn.
func TestNoPartitionStarves(t *testing.T) {
	const partitions = 5
	r := rig(t, nil)
	r.Topic("t", partitions)
	var want []kmsg.FetchRequestTopicPartition
	for p := range int32(partitions) {
		for range 3 {
			r.Append("t", p, "one", "two")
		}
		want = append(want, wanted(p, 0))
	}
	req := fetchOf(0, 0, want...)
	var next [partitions]int64
	var turns []int32
	for epoch := range int32(3 * partitions) {
		req.MaxBytes, req.SessionEpoch = 1, epoch // less than a batch: one comes whole all the same (KIP-74)
		resp := r.Ask(req).(*kmsg.FetchResponse)
		req = fetchOf(resp.SessionID, epoch+1)
		for _, p := range fetched(resp) {
			values, to := apitest.Values(t, p.RecordBatches, next[p.Partition])
			if len(values) == 0 {
				continue
			}
			if len(values) != 2 {
				t.Fatalf("%q", values)
			}
			next[p.Partition] = to
			turns = append(turns, p.Partition)
			req.Topics = fetchOf(0, 0, wanted(p.Partition, to)).Topics
		}
	}
	if want := []int32{0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4}; !slices.Equal(turns, want) {
		t.Errorf("turns %v", turns)
	}
}

func TestLongPolls(t *testing.T) {
	r := rig(t, nil)
	r.Topic("t", 1)
	poll := func(wait time.Duration, minBytes int32) <-chan apitest.Answer {
		req := fetchOf(0, -1, wanted(0, 0))
		req.MaxWaitMillis, req.MinBytes = int32(wait.Milliseconds()), minBytes
		return r.Serve(context.Background(), apitest.Frame(req, 1))
	}
	size := func(a apitest.Answer) int {
		if a.Err != nil {
			t.Fatal(a.Err)
		}
		return len(fetched(apitest.Body(t, fetchOf(0, -1), apitest.Bytes(t, a.Reply)).(*kmsg.FetchResponse))[0].RecordBatches)
	}
	start := time.Now()
	if n := size(<-poll(50*time.Millisecond, 1)); n != 0 || time.Since(start) < 50*time.Millisecond {
		t.Errorf("%d bytes after %v", n, time.Since(start))
	}
	one := int32(len(apitest.Batch(t, "v")))
	any, two := poll(time.Hour, 1), poll(time.Hour, one+1)
	r.Append("t", 0, "v")
	if n := size(<-any); n != int(one) {
		t.Errorf("%d bytes", n)
	}
	if len(two) > 0 {
		t.Error("an answer of less than the minimum before its time")
	}
	r.Append("t", 0, "v")
	if n := size(<-two); n != int(2*one) {
		t.Errorf("%d bytes", n)
	}
	full := fetchOf(0, -1, wanted(0, 0)) // what fits is less than what is waited for
	full.MaxWaitMillis, full.MinBytes, full.MaxBytes = 3_600_000, 1<<20, one
	if n := size(<-r.Serve(context.Background(), apitest.Frame(full, 1))); n != int(one) {
		t.Errorf("%d bytes", n)
	}
}

// TestSessionsByIDOutliveTheirTopic: a session goes on about a topic that is gone, and does not take one that was made anew
// under its name for it.
func TestSessionsByIDOutliveTheirTopic(t *testing.T) {
	r := rig(t, nil)
	by := func(session, epoch int32, id [16]byte) *kmsg.FetchRequest {
		req := fetchOf(session, epoch, wanted(0, 0))
		req.Version = 18
		req.Topics[0].Topic, req.Topics[0].TopicID = "", id
		return req
	}
	remove := func() {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Version = 6
		req.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("t")}}
		if resp := r.Ask(req).(*kmsg.DeleteTopicsResponse); resp.Topics[0].ErrorCode != 0 {
			t.Fatal(kerr.ErrorForCode(resp.Topics[0].ErrorCode))
		}
	}
	one := func(req *kmsg.FetchRequest, id [16]byte) kmsg.FetchResponseTopicPartition {
		t.Helper()
		resp := r.Ask(req).(*kmsg.FetchResponse)
		if resp.ErrorCode != 0 || len(resp.Topics) != 1 || resp.Topics[0].TopicID != id {
			t.Fatalf("%+v", resp)
		}
		return resp.Topics[0].Partitions[0]
	}
	old := r.Topic("t", 1)
	r.Append("t", 0, "old")
	resp := r.Ask(by(0, 0, old)).(*kmsg.FetchResponse)
	again := func(epoch int32) *kmsg.FetchRequest {
		req := fetchOf(resp.SessionID, epoch)
		req.Version = 18
		return req
	}
	remove()
	if p := one(again(1), old); p.ErrorCode != kerr.UnknownTopicID.Code {
		t.Errorf("gone: %v", kerr.ErrorForCode(p.ErrorCode))
	}
	fresh := r.Topic("t", 1)
	r.Append("t", 0, "new")
	if p := one(again(2), old); p.ErrorCode != kerr.UnknownTopicID.Code || len(p.RecordBatches) > 0 {
		t.Errorf("made anew: %v", kerr.ErrorForCode(p.ErrorCode))
	}
	both := by(resp.SessionID, 3, fresh)
	both.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{TopicID: old, Partitions: []int32{0}}}
	if values, _ := apitest.Values(t, one(both, fresh).RecordBatches, 0); !slices.Equal(values, []string{"new"}) {
		t.Errorf("%q", values)
	}
}

// TestLongPollsEndWithTheirTopic: who waits for records of a topic that is deleted is told at once.
func TestLongPollsEndWithTheirTopic(t *testing.T) {
	r := rig(t, nil)
	id := r.Topic("t", 1)
	poll := fetchOf(0, -1, wanted(0, 0))
	poll.Version, poll.MaxWaitMillis, poll.MinBytes = 18, 3_600_000, 1
	poll.Topics[0].Topic, poll.Topics[0].TopicID = "", id
	answer := r.Serve(t.Context(), apitest.Frame(poll, 1))
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version = 6
	req.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("t")}}
	r.Ask(req)
	select {
	case a := <-answer:
		p := fetched(apitest.Body(t, poll, apitest.Bytes(t, a.Reply)).(*kmsg.FetchResponse))[0]
		// Its files go before the image without it is seen: for that moment this broker is not the leader any more.
		if p.ErrorCode != kerr.UnknownTopicID.Code && p.ErrorCode != kerr.NotLeaderForPartition.Code {
			t.Error(kerr.ErrorForCode(p.ErrorCode))
		}
	case <-time.After(patience):
		t.Fatal("it waits on")
	}
}
