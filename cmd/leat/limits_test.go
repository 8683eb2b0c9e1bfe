//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// go test ./cmd/leat -run TestManyConnections -connections 9000 -v
var connections = flag.Int("connections", 900, "how many idle connections TestManyConnections opens; one busy one for nine of them comes with them")

// server is `leat serve` as a process of its own.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	said *stream
	addr string
	done chan error
}

// serve starts the real binary. limits is what a shell does before, such as ulimit; env comes on top of the environment.
func serve(t *testing.T, dir, limits string, env []string, args ...string) *server {
	t.Helper()
	bin := leat(t, dir).Path
	script := limits + "\nexec \"$0\" \"$@\""
	s := &server{t: t, said: &stream{}, done: make(chan error, 1)}
	s.cmd = exec.Command("sh", append([]string{"-c", script, bin, "serve", "--listen", "127.0.0.1:0", "--data", "data", "--metrics", ""}, args...)...)
	s.cmd.Dir, s.cmd.Stderr, s.cmd.Env = dir, s.said, append(os.Environ(), env...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	t.Cleanup(func() {
		if s.cmd.Process.Kill() == nil {
			<-s.done
		}
		if t.Failed() {
			t.Log(s.said.String())
		}
	})
	s.addr = s.said.wait(t, `Kafka clients on (\S+),`)[1]
	return s
}

// stop is Ctrl-C, and how long it took.
func (s *server) stop() time.Duration {
	s.t.Helper()
	began := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Errorf("it ended with %v", err)
		}
		s.done <- nil
	case <-time.After(time.Minute):
		s.t.Fatal("it does not stop")
	}
	return time.Since(began)
}

// resident is the memory of the process, and files how many descriptors it has.
func (s *server) resident() int64 {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	kib, err := strconv.ParseInt(string(regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)[1]), 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return kib << 10
}

func (s *server) files() int {
	s.t.Helper()
	names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(names)
}

func (s *server) client(opts ...kgo.Opt) *kgo.Client {
	s.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(s.addr)}, opts...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(cl.Close)
	return cl
}

func (s *server) topic(name string, partitions int32, config map[string]*string) {
	s.t.Helper()
	if r, err := kadm.NewClient(s.client()).CreateTopic(s.t.Context(), partitions, 1, config, name); err != nil || r.Err != nil {
		s.t.Fatal(err, r.Err)
	}
}

// raw is a connection without a client around it.
type raw struct{ net.Conn }

func (s *server) dial() (*raw, error) {
	nc, err := net.Dial("tcp", s.addr)
	return &raw{nc}, err
}

// ask sends a request and reads its answer.
func (c *raw) ask(req kmsg.Request) ([]byte, error) {
	if err := c.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		return nil, err
	}
	if _, err := c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(c, answer)
	return answer, err
}

func versions() kmsg.Request { return kmsg.NewPtrApiVersionsRequest() }

// produceRequest writes one small record.
func produceRequest(t *testing.T, topic string, partition int32) kmsg.Request {
	b := batch.NewBuilder(batch.None)
	b.Append(time.Now().UnixMilli(), nil, bytes.Repeat([]byte("x"), 100), nil)
	records, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, -1, 30000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = partition, records
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

// TestManyConnections: what an idle connection costs, and whether busy ones notice.
func TestManyConnections(t *testing.T) {
	s := serve(t, t.TempDir(), "", nil)
	s.topic("t", 8, nil)
	idle, busy := *connections, max(*connections/9, 8)
	load := func() *samples {
		out := &samples{}
		var wg sync.WaitGroup
		for i := range busy {
			wg.Go(func() {
				c, err := s.dial()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				for range 5 {
					begin := time.Now()
					if _, err := c.ask(produceRequest(t, "t", int32(i%8))); err != nil {
						t.Error(err)
						return
					}
					out.add(time.Since(begin))
					time.Sleep(200 * time.Millisecond) // each is busy, not all at the same moment
				}
			})
		}
		wg.Wait()
		return out
	}
	before := s.resident()
	var open []*raw
	for range idle {
		c, err := s.dial()
		if err == nil {
			_, err = c.ask(versions())
		}
		if err != nil {
			t.Fatalf("connection %d: %v", len(open), err)
		}
		open = append(open, c)
	}
	each := (s.resident() - before) / int64(idle)
	load() // everything is warm
	beside := load()
	for i, c := range open {
		if i%50 == 0 {
			if _, err := c.ask(versions()); err != nil {
				t.Fatalf("connection %d is gone: %v", i, err)
			}
		}
		c.Close()
	}
	alone := load()
	t.Logf("%d idle connections take %.1f KiB each; %d busy ones beside them: %s, alone: %s", idle, float64(each)/1024, busy, quantiles(beside.all), quantiles(alone.all))
	if each > 32<<10 {
		t.Errorf("an idle connection takes %d bytes", each)
	}
}

type samples struct {
	mu  sync.Mutex
	all []time.Duration
}

func (s *samples) add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, d)
}

// TestNoDescriptorsLeft: connections take all descriptors. Who is connected goes on, the process lives, it says what is
// wrong without flooding its log, and as soon as there are descriptors everything is served: new clients and new files.
func TestNoDescriptorsLeft(t *testing.T) {
	s := serve(t, t.TempDir(), "ulimit -n 96", nil)
	s.topic("before", 1, nil)
	connected, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	if _, err := connected.ask(produceRequest(t, "before", 0)); err != nil {
		t.Fatal(err)
	}
	s.topic("new", 1, nil) // has no file yet
	var open []*raw
	for range 150 { // the kernel takes those that the broker cannot
		c, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	s.said.wait(t, `accept failed`)
	if _, err := connected.ask(produceRequest(t, "before", 0)); err != nil {
		t.Errorf("who was connected is not served: %v", err)
	}
	answer, err := connected.ask(produceRequest(t, "new", 0))
	if err != nil {
		t.Fatalf("an append that needs a file costs its connection: %v", err)
	}
	acknowledged := int64(0)
	switch code := produceCode(t, answer); code {
	case 0: // another file was given up for it just before a connection took what that left
		acknowledged = 1
	case kerr.KafkaStorageError.Code: // which clients try again after
	default:
		t.Errorf("an append that needs a file: %v", kerr.ErrorForCode(code))
	}
	time.Sleep(500 * time.Millisecond)
	if n := strings.Count(s.said.String(), "accept failed"); n > 100 {
		t.Errorf("the log says %d times that accept failed", n)
	}
	for _, c := range open {
		c.Close()
	}
	after := s.client(kgo.DefaultProduceTopic("new"))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := after.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Errorf("with descriptors again: %v", err)
	}
	if ends, err := kadm.NewClient(after).ListEndOffsets(ctx, "new"); err != nil {
		t.Error(err)
	} else if end, _ := ends.Lookup("new", 0); end.Offset != acknowledged+1 {
		t.Errorf("%d records, though %d were acknowledged", end.Offset, acknowledged+1)
	}
	if s.stop() > 20*time.Second {
		t.Error("it stops slowly")
	}
}

// produceCode is the error code of an answer to produceRequest.
func produceCode(t *testing.T, answer []byte) int16 {
	t.Helper()
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = 9
	r := kbin.Reader{Src: answer}
	r.Int32() // correlation id
	r.Int8()  // tags of the header
	if err := resp.ReadFrom(r.Src); err != nil {
		t.Fatal(err)
	}
	return resp.Topics[0].Partitions[0].ErrorCode
}

// TestReconnectStorm: clients come and go, thousands a second, half of them without a goodbye. Nothing is left of them.
func TestReconnectStorm(t *testing.T) {
	s := serve(t, t.TempDir(), "", nil)
	storm := func(n int) time.Duration {
		began := time.Now()
		var left atomic.Int64
		left.Store(int64(n))
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				for i := left.Add(-1); i >= 0; i = left.Add(-1) {
					c, err := s.dial()
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := c.ask(versions()); err != nil {
						t.Error(err)
					}
					if i%2 == 0 {
						_ = c.Conn.(*net.TCPConn).SetLinger(0) // a reset
					}
					c.Close()
				}
			})
		}
		wg.Wait()
		return time.Since(began)
	}
	storm(500) // everything is warm
	files, memory := s.files(), s.resident()
	took := storm(5000)
	deadline := time.Now().Add(2 * time.Minute)
	for s.files() > files+2 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("5,000 connections in %s; %d files before, %d after; %d KiB more memory", took, files, s.files(), (s.resident()-memory)>>10)
	if s.files() > files+2 {
		t.Errorf("%d descriptors are left behind", s.files()-files)
	}
	if grown := s.resident() - memory; grown > 32<<20 {
		t.Errorf("it takes %d MiB more", grown>>20)
	}
}

// TestHostileFramesAndAMemoryLimit: clients send frames of 100 MiB of nothing while the process may have 128 MiB. It
// stays near that, and an honest client is served.
func TestHostileFramesAndAMemoryLimit(t *testing.T) {
	s := serve(t, t.TempDir(), "", []string{"GOMEMLIMIT=128MiB"})
	s.topic("t", 1, nil)
	stop := make(chan struct{})
	var hostile sync.WaitGroup
	piece := make([]byte, 1<<20)
	for range 8 {
		hostile.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := s.dial()
				if err != nil {
					t.Error(err)
					return
				}
				head := binary.BigEndian.AppendUint32(nil, 100<<20)
				head = append(head, 0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0) // Produce 9, without a client id
				_, err = c.Write(head)
				for sent := 0; err == nil && sent < 100; sent++ {
					select {
					case <-stop:
						err = io.EOF
					default:
						_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second))
						_, err = c.Write(piece)
					}
				}
				c.Close()
			}
		})
	}
	honest := s.client(kgo.DefaultProduceTopic("t"))
	most := int64(0)
	for range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		if err := honest.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr(); err != nil {
			t.Errorf("an honest client: %v", err)
		}
		cancel()
		most = max(most, s.resident())
		time.Sleep(20 * time.Millisecond)
	}
	close(stop)
	hostile.Wait()
	t.Logf("at most %d MiB resident", most>>20)
	if most > 384<<20 {
		t.Errorf("%d MiB resident with a limit of 128 MiB", most>>20)
	}
}

// bomb is a batch whose records are a gigabyte of zeros.
func bomb(t *testing.T) []byte {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	zeros := make([]byte, 1<<20)
	for range 1 << 10 {
		if _, err := z.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	b := batch.NewBuilder(batch.None)
	b.Append(time.Now().UnixMilli(), []byte("k"), []byte("v"), nil)
	whole, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	whole = append(whole[:batch.HeaderLen:batch.HeaderLen], packed.Bytes()...)
	binary.BigEndian.PutUint32(whole[8:], uint32(len(whole)-12))
	binary.BigEndian.PutUint16(whole[21:], uint16(batch.Gzip))
	binary.BigEndian.PutUint32(whole[17:], crc32.Checksum(whole[21:], crc32.MakeTable(crc32.Castagnoli)))
	return whole
}

// TestDecompressionBombs: many clients at once send a megabyte that is a gigabyte, to topics whose records have to be
// looked at. All are refused, and what that takes is bounded for all of them together.
func TestDecompressionBombs(t *testing.T) {
	s := serve(t, t.TempDir(), "", nil)
	s.topic("recompressed", 1, map[string]*string{"compression.type": kadm.StringPtr("lz4"), "max.message.bytes": kadm.StringPtr("2000000")})
	s.topic("compacted", 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact"), "max.message.bytes": kadm.StringPtr("2000000")})
	records := bomb(t)
	before := s.resident()
	var senders sync.WaitGroup
	for i := range 32 {
		senders.Go(func() {
			c, err := s.dial()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			req := produceRequest(t, []string{"recompressed", "compacted"}[i%2], 0).(*kmsg.ProduceRequest)
			req.Topics[0].Partitions[0].Records = records
			answer, err := c.ask(req)
			if err != nil {
				t.Error(err)
				return
			}
			if code := produceCode(t, answer); code == 0 {
				t.Error("a bomb was taken")
			}
		})
	}
	done := make(chan struct{})
	go func() { senders.Wait(); close(done) }()
	most := int64(0)
	for running := true; running; time.Sleep(5 * time.Millisecond) {
		select {
		case <-done:
			running = false
		default:
			most = max(most, s.resident()-before)
		}
	}
	t.Logf("a bomb of %d bytes; at most %d MiB more memory", len(records), most>>20)
	if most > 512<<20 { // 128 MiB at once and what the collector is behind; each by itself they would take 4 GiB
		t.Errorf("bombs take %d MiB", most>>20)
	}
}

// TestStopWithEverythingOpen: parked fetches, members of groups, an open transaction and half a request do not hold a stop
// up, and it is an orderly one.
func TestStopWithEverythingOpen(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, "", nil)
	s.topic("t", 4, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	txn := s.client(kgo.TransactionalID("x"), kgo.DefaultProduceTopic("t"))
	if err := txn.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := txn.ProduceSync(ctx, kgo.StringRecord("in a transaction")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		member := s.client(kgo.ConsumerGroup(fmt.Sprintf("g%d", i%3)), kgo.ConsumeTopics("t"), kgo.FetchMaxWait(30*time.Second), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		polled := make(chan struct{})
		go func() {
			defer close(polled)
			member.PollFetches(ctx)
		}()
		defer func() { <-polled }()
	}
	half, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	if _, err := half.Write([]byte{0, 0, 1, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the members have joined", func() bool {
		groups, err := kadm.NewClient(s.client()).DescribeGroups(ctx)
		stable := 0
		for _, g := range groups {
			if g.State == "Stable" {
				stable++
			}
		}
		return err == nil && stable == 3
	})
	took := s.stop()
	t.Logf("stopped in %s", took)
	if took > 20*time.Second {
		t.Errorf("a stop takes %s", took)
	}
	cancel()
	again := serve(t, dir, "", nil)
	if err := again.client(kgo.DefaultProduceTopic("t")).ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Error(err)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not yet: %s", what)
		}
	}
}

// TestDiskFullOnTheRealThing fills a small disk through the real binary: appends fail with an error that clients retry,
// reads and deletions go on, and with room again so do appends, without a restart. Mounting a disk of 48 MiB takes root;
// TestDiskFull of package broker does the same without.
func TestDiskFullOnTheRealThing(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=48m"); errors.Is(err, syscall.EPERM) {
		if os.Getenv("CI") != "" {
			t.Fatal("only root may mount, and CI must")
		}
		t.Skip("only root may mount")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(data, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := serve(t, dir, "", nil)
	s.topic("ballast", 1, nil)
	s.topic("t", 1, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cl := s.client(kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordRetries(2), kgo.MetadataMinAge(50*time.Millisecond), kgo.ConsumeTopics("t"), kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	record := func(topic string) error {
		return cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: bytes.Repeat([]byte("x"), 500_000)}).FirstErr()
	}
	for range 30 {
		if err := record("ballast"); err != nil {
			t.Fatal(err)
		}
	}
	acked := 0
	for ; ; acked++ {
		err := record("t")
		if err == nil {
			continue
		}
		if !errors.Is(err, kerr.KafkaStorageError) {
			t.Fatalf("a full disk is %v", err)
		}
		break
	}
	if acked == 0 {
		t.Fatal("nothing fitted")
	}
	read := 0
	for read < acked {
		f := cl.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("%d of %d read from a full disk: %v", read, acked, err)
		}
		read += f.NumRecords()
	}
	if _, err := kadm.NewClient(cl).DeleteTopic(ctx, "ballast"); err != nil {
		t.Fatalf("a deletion on a full disk: %v", err)
	}
	freed := time.Now()
	waitFor(t, "appends go on", func() bool { return record("t") == nil })
	t.Logf("%d records of 500 kB before it was full; appends went on %s after there was room", acked, time.Since(freed).Round(time.Millisecond))
}
