package obs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/leatstream/leat/internal/obs"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// parse reads what was written as Prometheus does.
func parse(t *testing.T, text io.Reader) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func TestWhatIsWrittenCanBeRead(t *testing.T) {
	var b bytes.Buffer
	w := obs.NewWriter(&b)
	w.Gauge("g", "a \\ and a\nline")
	strange := []string{`quo"te`, `back\slash`, "new\nline", "é", "\xff\xfe", "", "{}=,"}
	for i, s := range strange {
		w.Value(float64(i)+0.5, "name", s, "more", "x")
	}
	w.Counter("c_total", "c")
	w.Int(1 << 60)
	w.Flag(true, "yes", "1")
	var h obs.Histogram
	for _, v := range []int64{-5, 0, 1, 2, 3, 4, 5, 1 << 50} {
		h.Observe(v)
	}
	w.Histogram("h", "h")
	w.Observed(&h, obs.Number, "a", "b")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	families := parse(t, &b)
	if got := families["g"].GetHelp(); got != "a \\ and a\nline" {
		t.Errorf("help %q", got)
	}
	for i, m := range families["g"].Metric {
		want := strange[i]
		if want == "\xff\xfe" {
			want = `\xff\xfe`
		}
		if got := m.Label[0].GetValue(); got != want || m.Gauge.GetValue() != float64(i)+0.5 {
			t.Errorf("label %q %v, want %q", got, m.Gauge, want)
		}
	}
	if got := families["c_total"].Metric[0].Counter.GetValue(); got != 1<<60 {
		t.Errorf("counter %v", got)
	}
	got := families["h"].Metric[0].Histogram
	if got.GetSampleCount() != 8 || got.GetSampleSum() != 15+1<<50 {
		t.Errorf("count %d sum %v", got.GetSampleCount(), got.GetSampleSum())
	}
	want := map[float64]uint64{1: 3, 2: 4, 4: 6, 8: 7, 1 << 20: 7}
	for _, bucket := range got.Bucket {
		if n, ok := want[bucket.GetUpperBound()]; ok && n != bucket.GetCumulativeCount() {
			t.Errorf("at most %v: %d, want %d", bucket.GetUpperBound(), bucket.GetCumulativeCount(), n)
		}
	}
}

func TestObservingCostsNoMemory(t *testing.T) {
	var h obs.Histogram
	if n := testing.AllocsPerRun(100, func() { h.Observe(7) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	var h obs.Histogram
	for i := range int64(b.N) {
		h.Observe(i)
	}
}

func TestServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	notYet := errors.New("not yet")
	ready := notYet
	s := obs.Server{
		Log:   slog.New(slog.DiscardHandler),
		Ready: func() error { return ready },
		Write: func(to io.Writer) error {
			w := obs.NewWriter(to)
			w.Gauge("leat_test", "t")
			w.Int(1)
			return w.Flush()
		},
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- s.Serve(ctx, l) }()
	get := func(path string) (int, []byte) {
		resp, err := http.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, body
	}
	if code, body := get("/healthz"); code != 200 || string(body) != "ok\n" {
		t.Errorf("%d %q", code, body)
	}
	if code, body := get("/readyz"); code != 503 || string(body) != "not yet\n" {
		t.Errorf("%d %q", code, body)
	}
	ready = nil
	if code, _ := get("/readyz"); code != 200 {
		t.Errorf("%d", code)
	}
	if code, _ := get("/debug/pprof/"); code != 404 {
		t.Errorf("%d", code)
	}
	_, body := get("/metrics") // Go's client asks for gzip and unpacks it
	families := parse(t, bytes.NewReader(body))
	for _, name := range []string{"leat_test", "go_goroutines", "process_open_fds"} {
		if families[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the server does not stop")
	}
}

// FuzzLabels: whatever a name is that clients chose, Prometheus reads one sample with it, and nothing else.
func FuzzLabels(f *testing.F) {
	f.Add("topic\"} 1\nforged{a=\"", "x")
	f.Add("\xff\\", "\n#")
	f.Fuzz(func(t *testing.T, a, b string) {
		var text bytes.Buffer
		w := obs.NewWriter(&text)
		w.Gauge("g", "help")
		w.Int(7, "a", a, "b", b)
		var h obs.Histogram
		h.Observe(1)
		w.Histogram("h", a)
		w.Observed(&h, obs.Number, "a", a)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		families := parse(t, &text)
		g := families["g"].GetMetric()
		if len(families) != 2 || len(g) != 1 || g[0].GetGauge().GetValue() != 7 || len(g[0].GetLabel()) != 2 || len(families["h"].GetMetric()) != 1 {
			t.Fatalf("%q and %q make %v", a, b, families)
		}
		if got := g[0].GetLabel()[0].GetValue(); utf8.ValidString(a) && got != a {
			t.Fatalf("%q is %q", a, got)
		}
	})
}
