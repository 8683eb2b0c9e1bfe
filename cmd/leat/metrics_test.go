package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// stream is a standard stream that a test reads while a command writes to it.
type stream struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// wait waits until something was written, and returns what the pattern found.
func (s *stream) wait(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if m := re.FindStringSubmatch(s.String()); m != nil {
			return m
		}
	}
	t.Fatalf("no %s in %q", pattern, s.String())
	return nil
}

func TestServeHasMetrics(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var said stream
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"leat", "serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"}, stdio{strings.NewReader(""), &said, &said})
	}()
	url := said.wait(t, `metrics: (http://127\.0\.0\.1:\d+)/metrics`)[1]
	for path, want := range map[string]string{"/metrics": "kafka_brokers 1", "/healthz": "ok", "/readyz": "ok"} {
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s (%v)", path, body, err)
		}
	}
	stop()
	if c := <-code; c != exitOK {
		t.Errorf("exit code %d: %s", c, said.String())
	}
}

func TestMetricsStayOnThisMachine(t *testing.T) {
	for addr, ok := range map[string]bool{"": true, "127.0.0.1:0": true, "localhost:0": true, "0.0.0.0:0": false, ":0": false, "9644": false} {
		l, err := listenMetrics(addr, false)
		if (err == nil) != ok {
			t.Errorf("%q: %v", addr, err)
		}
		if l != nil {
			l.Close()
		}
	}
	l, err := listenMetrics("0.0.0.0:0", true)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// TestDefaultMetricsGiveWay: two brokers on one machine need not be told of each other's metrics.
func TestDefaultMetricsGiveWay(t *testing.T) {
	first, err := net.Listen("tcp", defaultMetrics)
	if err == nil { // else somebody has it already
		defer first.Close()
	}
	l, err := listenMetrics(defaultMetrics, false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.Addr().String() == defaultMetrics {
		t.Errorf("listens on %s twice", l.Addr())
	}
}
