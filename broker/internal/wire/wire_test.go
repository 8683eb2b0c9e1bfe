package wire_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/broker/internal/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines collects what is logged.
type lines struct {
	mu  sync.Mutex
	all []string
	new chan struct{}
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(b))
	select {
	case l.new <- struct{}{}:
	default:
	}
	return len(b), nil
}

// naming are the lines that name the client.
func (l *lines) naming(client string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.all {
		if strings.Contains(strings.TrimSpace(s)+" ", "client="+client+" ") {
			out = append(out, s)
		}
	}
	return out
}

// wait waits for the first line that names the client.
func (l *lines) wait(t *testing.T, client string) []string {
	t.Helper()
	late := time.After(time.Minute)
	for {
		if found := l.naming(client); len(found) > 0 {
			return found
		}
		select {
		case <-l.new:
		case <-late:
			t.Fatalf("nothing is logged of %s", client)
		}
	}
}

// served is a server at a port.
type served struct {
	t    *testing.T
	addr string
	log  *lines
	srv  *wire.Server
	once sync.Once
}

var defaults = wire.Config{RequestMax: 100 << 20, Budget: 256 << 20, Idle: time.Minute, Limits: wire.Limits{Connections: 100, PerIP: 100, Rate: 1 << 30}}

func serve(t *testing.T, a *api.API, cfg wire.Config) *served {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &served{t: t, addr: l.Addr().String(), log: &lines{new: make(chan struct{}, 1)}}
	s.srv = wire.NewServer(a, cfg, slog.New(slog.NewTextHandler(s.log, nil)))
	done := make(chan error, 1)
	go func() { done <- s.srv.Serve(l, wire.Door{}) }()
	t.Cleanup(func() {
		s.shutdown(time.Minute)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// shutdown stops the server once and returns how long that took.
func (s *served) shutdown(patience time.Duration) time.Duration {
	start := time.Now()
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.srv.Shutdown(ctx); err != nil {
			s.t.Error(err)
		}
	})
	return time.Since(start)
}

type client struct {
	net.Conn
	t    *testing.T
	name string
}

func (s *served) dial() *client {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	return &client{nc, s.t, nc.LocalAddr().String()}
}

func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func (c *client) send(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// next reads one response: what follows its length.
func (c *client) next() []byte {
	c.t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		c.t.Fatalf("no response: %v", err)
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		c.t.Fatal(err)
	}
	return b
}

func (c *client) ask(req kmsg.Request) kmsg.Response {
	c.t.Helper()
	c.send(framed(apitest.Frame(req, 5)))
	return apitest.Body(c.t, req, c.next())
}

// works tells that the connection answers.
func (c *client) works() {
	c.t.Helper()
	if n := len(c.ask(versions()).(*kmsg.ApiVersionsResponse).ApiKeys); n != len(api.Versions()) {
		c.t.Fatalf("%d APIs", n)
	}
}

// gone waits until the server closes the connection without another word.
func (c *client) gone() {
	c.t.Helper()
	n, err := c.Read(make([]byte, 1))
	var timeout net.Error
	if n > 0 || err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Fatalf("the connection lives: %d bytes, %v", n, err)
	}
}

func versions() *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = 3, "test", "1"
	return req
}

func metadata() *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	return req
}

// longPoll asks for what is not there yet.
func longPoll(wait time.Duration) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 12, int32(wait.Milliseconds()), 1, 1<<30, -1
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes, p.CurrentLeaderEpoch = 1<<30, -1
	req.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	return req
}

func rig(t *testing.T) *apitest.Rig { return apitest.New(t, vfs.Default, t.TempDir(), nil) }
