package http

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/connect/sdk/sdktest"
)

func TestMain(m *testing.M) { sdktest.Main(m, Connector()) }

type config map[string]any

var listening = regexp.MustCompile(`url=(http://\S+)`)

func webhookURL(p *sdktest.Plugin) string {
	log := p.WaitLog(listening.MatchString)
	return listening.FindStringSubmatch(log)[1]
}

func post(t *testing.T, url, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestWebhookTakesRecords(t *testing.T) {
	p := sdktest.Start(t)
	run := p.Source(config{"listen": "127.0.0.1:0", "path": "/in", "format": "lines", "key_header": "X-Key", "headers": []string{"X-Event"}, "token": "s3cret", "max_body": 100}, sdktest.SourceOptions{})
	url := webhookURL(p)
	auth := []string{"Authorization", "Bearer s3cret"}
	for _, c := range []struct {
		url, body string
		header    []string
		status    int
	}{
		{url, "{\"a\":1}\n\n2\n", append(auth, "X-Key", "k", "X-Event", "push"), 202},
		{url, "1", nil, 401},
		{url, "1", []string{"Authorization", "Bearer wrong"}, 401},
		{url + "/other", "1", auth, 404},
		{url, "", auth, 400},
		{url, "{oops", auth, 400},
		{url, strings.Repeat("1", 101), auth, 413},
	} {
		if status, text := post(t, c.url, c.body, c.header...); status != c.status {
			t.Errorf("%.20q to %s: %d %s, want %d", c.body, c.url, status, text, c.status)
		}
	}
	got := run.WaitRecords(2)
	if len(got) != 2 || string(got[0].Value) != `{"a":1}` || string(got[1].Value) != "2" || string(got[0].Key) != "k" || got[0].Headers[0].Key != "X-Event" {
		t.Errorf("%v", got)
	}
	if strings.Contains(p.Logs(), "s3cret") {
		t.Error("the token is in the log")
	}
	run.Stop()
}

func TestWebhookAnswersOnlyWhenDurable(t *testing.T) {
	p := sdktest.Start(t)
	run := p.Source(config{"listen": "127.0.0.1:0"}, sdktest.SourceOptions{Hold: true})
	url := webhookURL(p)
	answers := make(chan int, 20)
	for i := range 20 {
		go func() {
			status, _ := post(t, url, fmt.Sprint(i))
			answers <- status
		}()
	}
	run.WaitRecords(20)
	select {
	case status := <-answers:
		t.Fatalf("answered %d before the record was durable", status)
	case <-time.After(50 * time.Millisecond):
	}
	for _, b := range run.Batches() {
		run.Ack(b)
	}
	for range 20 {
		if status := <-answers; status != 202 {
			t.Errorf("answer %d", status)
		}
	}
	run.Stop()
}

func TestWebhookWithoutAckAnswers503(t *testing.T) {
	p := sdktest.Start(t)
	run := p.Source(config{"listen": "127.0.0.1:0", "timeout": "200ms"}, sdktest.SourceOptions{Hold: true})
	if status, _ := post(t, webhookURL(p), "1"); status != 503 {
		t.Errorf("answer %d", status)
	}
	run.WaitRecords(1)
}

func TestWebhookWithoutCreditAnswers503(t *testing.T) {
	p := sdktest.Start(t)
	p.Source(config{"listen": "127.0.0.1:0", "timeout": "200ms"}, sdktest.SourceOptions{Hold: true, NoCredit: true})
	url := webhookURL(p)
	for range 3 { // the first waits for credit, the others for the first
		if status, _ := post(t, url, "1"); status != 503 {
			t.Errorf("answer %d", status)
		}
	}
}

func TestOpenDoorIsRefused(t *testing.T) {
	p := sdktest.Start(t)
	for listen, code := range map[string]string{"0.0.0.0:8088": "http.open", ":8088": "http.open", "nonsense": "http.address", "[::1]:0": "", "localhost:0": ""} {
		got := p.Problems(proto.Role_ROLE_SOURCE, config{"listen": listen})
		if (code == "") != (len(got) == 0) || code != "" && got[0].GetCode() != code {
			t.Errorf("%s: %v", listen, got)
		}
	}
}

// target answers with the statuses it is given, then 200.
type target struct {
	mu       sync.Mutex
	statuses []int
	bodies   []string
	keys     []string
}

func (h *target) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	status := 200
	if len(h.statuses) > 0 {
		status, h.statuses = h.statuses[0], h.statuses[1:]
	}
	if status == 429 {
		rw.Header().Set("Retry-After", "7")
	}
	rw.WriteHeader(status)
	if status == 200 {
		h.bodies = append(h.bodies, string(body))
		h.keys = append(h.keys, req.Header.Get("Idempotency-Key"))
	}
}

func (h *target) got() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.bodies, ",") + " " + strings.Join(h.keys, ",")
}

func TestSinkTellsWhoseFaultAnAnswerIs(t *testing.T) {
	h := &target{statuses: []int{200, 422, 429}}
	server := httptest.NewServer(h)
	defer server.Close()
	run := sdktest.Start(t).Sink(config{"url": server.URL, "token": "x"})
	run.Assign("t", 2)
	run.Send("t", 2, 10, sdktest.Values("a", "b", "c", "d")...)
	v := run.WaitVerdicts(2)
	if v[0].GetOffset() != 11 || v[0].GetClass() != proto.Class_CLASS_POISON || v[0].GetCode() != "http.status" {
		t.Errorf("422: %v", v[0])
	}
	if v[1].GetOffset() != 12 || v[1].GetClass() != proto.Class_CLASS_TRANSIENT || v[1].GetRetryAfterMs() != 7000 {
		t.Errorf("429: %v", v[1])
	}
	if at := run.Acked("t", 2); at != 12 {
		t.Errorf("acknowledged below %d", at)
	}
	// What was sent ahead is dropped; the host comes back with the record that failed.
	run.Send("t", 2, 14, sdktest.Values("e")...)
	run.SendBatch(&proto.SinkBatch{From: &proto.TopicPartition{Topic: "t", Partition: 2}, FirstOffset: 12, NextOffset: 15, Rewind: true,
		Frame: sdktest.Frame(t, 10, sdktest.Values("a", "b", "c", "d", "e")...)})
	run.WaitAck("t", 2, 15)
	if got := h.got(); got != "a,c,d,e t-2-10,t-2-12,t-2-13,t-2-14" {
		t.Errorf("%s", got)
	}
	run.Stop()
}

func TestSinkOutcomes(t *testing.T) {
	h := &target{}
	server := httptest.NewServer(h)
	defer server.Close()
	p := sdktest.Start(t)
	for status, class := range map[int]proto.Class{
		400: proto.Class_CLASS_POISON, 413: proto.Class_CLASS_POISON, 500: proto.Class_CLASS_TRANSIENT, 503: proto.Class_CLASS_TRANSIENT,
		408: proto.Class_CLASS_TRANSIENT, 401: proto.Class_CLASS_FATAL, 404: proto.Class_CLASS_FATAL, 302: proto.Class_CLASS_FATAL,
	} {
		h.statuses = []int{status}
		run := p.Sink(config{"url": server.URL})
		run.Assign("t", 0)
		run.Send("t", 0, 0, sdktest.Values("a")...)
		if v := run.WaitVerdicts(1); v[0].GetClass() != class {
			t.Errorf("%d: %v", status, v)
		}
		run.Stop()
	}
	server.Close()
	run := p.Sink(config{"url": server.URL})
	run.Assign("t", 0)
	run.Send("t", 0, 0, sdktest.Values("a")...)
	if v := run.WaitVerdicts(1); v[0].GetClass() != proto.Class_CLASS_TRANSIENT {
		t.Errorf("nobody there: %v", v)
	}
	run.Stop()
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{"": 0, "3": 3 * time.Second, "-3": 0, "x": 0, "999999": maxRetryAfter, "Thu, 01 Jan 2026 00:00:10 GMT": 10 * time.Second} {
		if got := retryAfter(http.Header{"Retry-After": {v}}, now); got != want {
			t.Errorf("%q: %v", v, got)
		}
	}
}

func TestConformance(t *testing.T) {
	sdktest.Conform(t, sdktest.Case{
		Source: &sdktest.SourceCase{Config: config{"listen": "127.0.0.1:0"}},
		Sink: &sdktest.SinkCase{Config: func(t *testing.T) any {
			server := httptest.NewServer(&target{})
			t.Cleanup(server.Close)
			return config{"url": server.URL}
		}},
	})
}
