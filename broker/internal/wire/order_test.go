package wire_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/internal/obs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestResponsesKeepTheOrderOfRequests: a parked fetch holds back what was asked after it, and an append frees both.
func TestResponsesKeepTheOrderOfRequests(t *testing.T) {
	r := rig(t)
	r.Topic("t", 1)
	s := serve(t, r.API, defaults)
	x, other := s.dial(), s.dial()
	poll := longPoll(25 * time.Second)
	x.send(append(framed(apitest.Frame(poll, 1)), framed(apitest.Frame(metadata(), 2))...))
	x.send(framed(apitest.Frame(poll, 3)))
	other.works() // a parked request holds nobody else
	if err := x.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, _ := x.Read(make([]byte, 1)); n > 0 {
		t.Fatal("a response came before the first one was ready")
	}
	if err := x.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	r.Append("t", 0, "news")
	for want := range uint32(3) {
		b := x.next()
		if got := binary.BigEndian.Uint32(b); got != want+1 {
			t.Fatalf("answer to %d, not to %d", got, want+1)
		}
		if want == 1 {
			continue
		}
		fetched := apitest.Body(t, poll, b).(*kmsg.FetchResponse)
		if v, _ := apitest.Values(t, fetched.Topics[0].Partitions[0].RecordBatches, 0); len(v) != 1 || v[0] != "news" {
			t.Fatalf("%q", v)
		}
	}
}

// TestShutdownDoesNotWaitForLongPolls: nor for clients that left them behind, nor for members of groups.
func TestShutdownDoesNotWaitForLongPolls(t *testing.T) {
	r := rig(t)
	r.Topic("t", 1)
	s := serve(t, r.API, defaults)
	poll := longPoll(25 * time.Second)
	var polls []*client
	for range 20 {
		x := s.dial()
		x.works()
		x.send(framed(apitest.Frame(poll, 1)))
		polls = append(polls, x)
	}
	s.took(20 * int64(len(framed(apitest.Frame(versions(), 5)))+len(framed(apitest.Frame(poll, 1)))))
	waiting := joinTwo(t, s)
	if took := s.shutdown(20 * time.Second); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, x := range polls {
		if resp := apitest.Body(t, poll, x.next()).(*kmsg.FetchResponse); resp.ErrorCode != 0 {
			t.Errorf("code %d", resp.ErrorCode)
		}
		x.gone()
	}
	if resp := apitest.Body(t, join(""), waiting.next()).(*kmsg.JoinGroupResponse); resp.ErrorCode != 15 {
		t.Errorf("code %d", resp.ErrorCode)
	}
}

// took waits until so many bytes of requests have come: what clients have sent may still be on its way.
func (s *served) took(bytes int64) {
	s.t.Helper()
	want := fmt.Sprintf("\nleat_received_bytes_total %d\n", bytes)
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		var said strings.Builder
		w := obs.NewWriter(&said)
		s.srv.WriteMetrics(w)
		if err := w.Flush(); err != nil {
			s.t.Fatal(err)
		}
		if strings.Contains(said.String(), want) {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("not yet:%sin %s", want, said.String())
		}
	}
}

// TestAClientThatLeavesAParkedJoin gives its connection back at once.
func TestAClientThatLeavesAParkedJoin(t *testing.T) {
	cfg := defaults
	cfg.Connections = 2
	s := serve(t, rig(t).API, cfg)
	joinTwo(t, s).Close()
	for start := time.Now(); time.Since(start) < 25*time.Second; {
		d := s.dial()
		d.send(framed(apitest.Frame(versions(), 1)))
		if n, _ := d.Read(make([]byte, 1)); n == 1 {
			return
		}
		d.Close()
	}
	t.Fatal("the connection is held by what it waited for")
}

// joinTwo makes a group of one member that does not move, and a second whose join waits for it.
func joinTwo(t *testing.T, s *served) *client {
	t.Helper()
	first, second := s.dial(), s.dial()
	first.ask(join(""))
	second.works()
	second.send(framed(apitest.Frame(join(""), 1)))
	for { // until the second is in
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{"g"}
		if first.ask(req).(*kmsg.DescribeGroupsResponse).Groups[0].State == "PreparingRebalance" {
			return second
		}
	}
}

func join(member string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.ProtocolType = 2, "g", member, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 60_000, 60_000
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0}}}
	return req
}

// TestFilesAreSentAsTheyAre compares ranges that go from the file to the socket with the same through memory, many of
// one segment at once.
func TestFilesAreSentAsTheyAre(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"disk": vfs.Default, "memory": vfs.NewMem()} {
		t.Run(name, func(t *testing.T) {
			r := apitest.New(t, fs, t.TempDir(), nil)
			r.Topic("t", 1)
			random := rand.NewChaCha8([32]byte{})
			const batches = 30
			for i := range batches {
				big := make([]byte, 50_000+random.Uint64()%400_000)
				_, _ = random.Read(big) // never fails
				r.Append("t", 0, fmt.Sprint(i), string(big))
			}
			ask := func(i int) *kmsg.FetchRequest {
				req := longPoll(0)
				req.Topics[0].Partitions[0].FetchOffset = int64(2 * (i % batches))
				req.MaxBytes = int32(100_000 + 300_000*(i%13))
				return req
			}
			s := serve(t, r.API, defaults)
			var all sync.WaitGroup
			for c := range 6 {
				x := s.dial()
				if err := x.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil { // a busy machine takes its time for all that
					t.Fatal(err)
				}
				all.Go(func() {
					for i := range 40 {
						req := ask(c + 7*i)
						frame := apitest.Frame(req, 9)
						if _, err := x.Write(framed(frame)); err != nil {
							t.Error(err)
							return
						}
						got, err := response(x)
						if err != nil {
							t.Error(err)
							return
						}
						want := apitest.Bytes(t, (<-r.Serve(context.Background(), frame)).Reply)
						if !bytes.Equal(got, want) {
							t.Errorf("%x over the socket, %x from memory (%d, %d bytes)", sha256.Sum256(got), sha256.Sum256(want), len(got), len(want))
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}

func response(nc net.Conn) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(nc, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(nc, b)
	return b, err
}

// TestAClientThatReadsNothing holds its own answers only, and no longer than a stop is patient.
func TestAClientThatReadsNothing(t *testing.T) {
	r := rig(t)
	r.Topic("t", 1)
	r.Append("t", 0, string(make([]byte, 8<<20)))
	s := serve(t, r.API, defaults)
	x, other := s.dial(), s.dial()
	for i := range int32(20) {
		x.send(framed(apitest.Frame(longPoll(0), i)))
	}
	other.works()
	if took := s.shutdown(200 * time.Millisecond); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}
