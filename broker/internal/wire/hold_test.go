package wire_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// keepsWorking asks again and again while others try to hold what it needs.
func (c *client) keepsWorking(d time.Duration) {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(d + time.Minute)); err != nil {
		c.t.Fatal(err)
	}
	for end := time.Now().Add(d); time.Now().Before(end); {
		c.works()
	}
}

// TestHalfARequestHoldsNothing that small requests of others need, however much it announces.
func TestHalfARequestHoldsNothing(t *testing.T) {
	s := serve(t, rig(t).API, defaults)
	neighbour := s.dial()
	for range 4 {
		s.dial().send(sized(1<<20, request(3, 1)))
		s.dial().send(sized(100<<20, request(0, 9)))
	}
	neighbour.keepsWorking(300 * time.Millisecond)
}

// TestHalfARequestHoldsLittle: what it holds is near what was sent of it, not what it announces.
func TestHalfARequestHoldsLittle(t *testing.T) {
	cfg := defaults
	cfg.Connections, cfg.PerIP = 1000, 1000
	s := serve(t, rig(t).API, cfg)
	s.dial().works()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const n = 300
	var open []*client
	for range n {
		c := s.dial()
		c.send(sized(60<<10, request(3, 9, 0, 0)))
		open = append(open, c)
	}
	s.dial().works() // came later: those before were accepted
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		runtime.ReadMemStats(&after)
		each := (int64(after.HeapInuse) - int64(before.HeapInuse)) / n
		if each < 24<<10 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("half a request holds %d bytes", each)
		}
	}
	for _, c := range open {
		c.Close()
	}
}

// TestRequestsBehindLongPollsHoldNothing: how long they wait is up to the client.
func TestRequestsBehindLongPollsHoldNothing(t *testing.T) {
	r := rig(t)
	r.Topic("t", 1)
	s := serve(t, r.API, defaults)
	neighbour := s.dial()
	large := framed(append(apitest.Frame(metadata(), 1), make([]byte, 1<<20-100)...))
	for range 2 {
		x := s.dial()
		for i := range int32(65) { // one waits to be sent, and as many as may be under way behind it
			x.send(framed(apitest.Frame(longPoll(time.Hour), i)))
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = x.Write(large) // until the connection ends
		}()
		t.Cleanup(func() { x.Close(); <-sent })
	}
	neighbour.keepsWorking(300 * time.Millisecond)
}

// TestAnswersThatNobodyReadsAreBounded: a client asks for much, often, and reads nothing.
func TestAnswersThatNobodyReadsAreBounded(t *testing.T) {
	const partitions, most = 100, 32 << 20
	r := rig(t)
	r.Topic("t", partitions)
	for i := range int32(partitions) {
		r.Append("t", i, string(make([]byte, 60<<10)))
	}
	s := serve(t, r.API, defaults)
	neighbour := s.dial()
	req := longPoll(0)
	one := req.Topics[0].Partitions[0]
	for i := int32(1); i < partitions; i++ {
		one.Partition = i
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, one)
	}
	neighbour.works()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x := s.dial()
	for i := range int32(60) {
		x.send(framed(apitest.Frame(req, i)))
	}
	for range 10 {
		neighbour.keepsWorking(50 * time.Millisecond)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > most {
			t.Fatalf("the heap grew by %d MiB", grown>>20)
		}
	}
}

// TestIdleOfMinusOneIsNever as Kafka's documentation of connections.max.idle.ms has it.
func TestIdleOfMinusOneIsNever(t *testing.T) {
	cfg := defaults
	cfg.Idle = -time.Millisecond
	s := serve(t, rig(t).API, cfg)
	x := s.dial()
	x.works()
	x.works()
}

// TestFetchesOfOneConnectionAnswerInTurn: a second one is read when the first is answered.
func TestFetchesOfOneConnectionAnswerInTurn(t *testing.T) {
	r := rig(t)
	r.Topic("t", 1)
	s := serve(t, r.API, defaults)
	x := s.dial()
	x.send(framed(apitest.Frame(longPoll(time.Minute), 1)))
	x.send(framed(apitest.Frame(longPoll(time.Minute), 2)))
	x.send(framed(apitest.Frame(versions(), 3)))
	r.Append("t", 0, "a")
	for i := range byte(3) {
		if got := x.next()[3]; got != i+1 {
			t.Fatalf("answer to %d, not to %d", got, i+1)
		}
	}
}

// TestAConsumerThatReadsNothingHoldsNoProducer: whoever appends answers the polls that wait for it, as far as their sockets
// take that at once. What a slow consumer does read is whole.
func TestAConsumerThatReadsNothingHoldsNoProducer(t *testing.T) {
	const records, size = 700, 12 << 10 // more than the socket takes
	r := rig(t)
	r.Topic("t", 1)
	r.Unsynced("t")
	s := serve(t, r.API, defaults)
	x, producer := s.dial(), s.dial()
	if err := x.Conn.(*net.TCPConn).SetReadBuffer(256 << 10); err != nil {
		t.Fatal(err)
	}
	poll := longPoll(time.Hour)
	poll.Topics[0].Partitions[0].PartitionMaxBytes = 1 // a batch each
	polls := make(chan struct{}, records)
	asking := make(chan error, 1)
	go func() {
		defer close(asking)
		for i := range int64(records) {
			<-polls
			poll.Topics[0].Partitions[0].FetchOffset = i
			if _, err := x.Write(framed(apitest.Frame(poll, int32(i)))); err != nil {
				asking <- err
				return
			}
		}
	}()
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks = 9, -1
	for i := range records {
		polls <- struct{}{} // it is read before or after what it is for is appended
		p := kmsg.NewProduceRequestTopicPartition()
		p.Records = apitest.Batch(t, fmt.Sprintf("%0*d", size, i))
		req.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{p}}}
		producer.ask(req)
	}
	for next := int64(0); next < records; {
		resp := apitest.Body(t, poll, x.next()).(*kmsg.FetchResponse)
		values, after := apitest.Values(t, resp.Topics[0].Partitions[0].RecordBatches, next)
		for i, v := range values {
			if v != fmt.Sprintf("%0*d", size, next+int64(i)) {
				t.Fatalf("record %d is %.20q…", next+int64(i), v)
			}
		}
		next = max(next, after)
	}
	x.Close()
	for range asking {
	}
}

// muchAsked is a request whose answer is more than two sockets take.
func muchAsked() []byte {
	req := metadata()
	for i := range 10_000 {
		mt := kmsg.NewMetadataRequestTopic()
		mt.Topic = kmsg.StringPtr(fmt.Sprintf("none-%05d", i))
		req.Topics = append(req.Topics, mt)
	}
	return framed(apitest.Frame(req, 1))
}

// TestALargeAnswerThatNobodyReadsHoldsNothing that requests of others need.
func TestALargeAnswerThatNobodyReadsHoldsNothing(t *testing.T) {
	cfg := defaults
	cfg.SendBuffer, cfg.Budget = 32<<10, 1<<20
	s := serve(t, rig(t).API, cfg)
	x, neighbour := s.dial(), s.dial()
	if err := x.Conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	x.send(muchAsked())
	if _, err := io.ReadFull(x, make([]byte, 1)); err != nil { // it is being sent
		t.Fatal(err)
	}
	neighbour.keepsWorking(300 * time.Millisecond)
}

// TestWhoReadsNothingGoesWhereMemoryIsShort: many clients ask for much and read nothing. Once there is not enough memory for
// what they are owed, so many of them go that there is, and no more.
func TestWhoReadsNothingGoesWhereMemoryIsShort(t *testing.T) {
	const clients = 20
	config, _, err := meta.NewBrokerConfig(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	frame := muchAsked()
	synctest.Test(t, func(t *testing.T) {
		cfg := defaults
		cfg.Budget = 8 << 20 // half of it for answers
		a := &api.API{Meta: meta.NewStore(nil), Config: config, Advertised: func(*api.Call) (string, int32) { return "leat", 9092 }}
		s := wire.NewServer(a, cfg, slog.New(slog.DiscardHandler))
		var open []net.Conn
		ask := func() {
			c, server := net.Pipe()
			s.ServeConn(server, wire.Door{})
			if _, err := c.Write(frame); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			open = append(open, c)
		}
		for range clients {
			ask()
		}
		time.Sleep(2 * time.Second)
		ask()
		gone, size := 0, 0
		for _, c := range open {
			b, err := response(c)
			if c.Close(); err != nil {
				gone++
				continue
			}
			size = len(b)
		}
		if owed := (len(open) - gone) * size; owed > 5<<20 || owed < 3<<20 {
			t.Errorf("%d of %d are gone, the others are owed %d bytes", gone, len(open), owed)
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
