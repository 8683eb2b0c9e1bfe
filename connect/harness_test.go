package connect

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/leatstream/leat/internal/yaml"
)

const patience = 3 * time.Minute

// world is a broker, a folder and a log.
type world struct {
	t       testing.TB
	cluster *brokertest.Cluster
	client  *kafka.Client
	dir     string
	log     *logged
}

type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, cluster: brokertest.Start(t, 1), dir: t.TempDir(), log: &logged{}}
	client, err := kafka.New(w.kafka())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	w.client = client
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%s", w.log)
		}
	})
	return w
}

func (w *world) kafka() kafka.Config {
	return kafka.Config{Brokers: []string{w.cluster.Addr()}, ClientID: "test"}
}

func (w *world) topic(name string, partitions int32) {
	w.t.Helper()
	if err := w.client.EnsureTopic(w.t.Context(), name, partitions, nil); err != nil {
		w.t.Fatal(err)
	}
}

// write makes a file in the world's folder and gives its path.
func (w *world) write(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) config(src string) Config {
	w.t.Helper()
	path := w.write("connectors.yaml", src)
	var d diag.List
	docs := yaml.Parse(path, []byte(src), &d)
	if err := d.Err(); err != nil {
		w.t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(w.dir, "stdout"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = out.Close() })
	return Config{Documents: docs, Kafka: w.kafka(), Bundled: bundled, Names: []string{"file", "generate", "stdout"}, Stdout: out,
		Logger: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
}

// running is a runtime that stops with the test.
type running struct {
	*Runtime
	w    *world
	stop func() error // waits for the end; may be called again
}

func (w *world) start(src string) *running {
	w.t.Helper()
	r, err := New(w.config(src))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	run := &running{Runtime: r, w: w}
	run.stop = sync.OnceValue(func() error {
		cancel()
		begin := time.Now()
		err := <-ended
		if took := time.Since(begin); took > 30*time.Second {
			w.t.Errorf("stopping took %s", took)
		}
		return err
	})
	w.t.Cleanup(func() { _ = run.stop() })
	return run
}

func (r *running) status(name string) Status {
	for _, s := range r.Status() {
		if s.Name == name {
			return s
		}
	}
	r.w.t.Fatalf("no connector %s", name)
	return Status{}
}

// wait waits until a connector's status is as wanted; statuses are only to be asked for.
func (r *running) wait(name, what string, ok func(Status) bool) Status {
	r.w.t.Helper()
	var s Status
	r.w.until(what, func() bool { s = r.status(name); return ok(s) }, func() any { return s })
	return s
}

func (w *world) until(what string, ok func() bool, shown func() any) {
	w.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			w.t.Fatalf("%s: not within %s: %+v", what, patience, shown())
		}
	}
}

func drained(s Status) bool { return s.Drained }

// records calls fn for all records of a topic, partition by partition.
func (w *world) records(topic string, fn func(partition int32, r *batch.Record)) {
	w.t.Helper()
	n, err := w.client.Partitions(w.t.Context(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	var s batch.Scratch
	for p := range n {
		if _, err := w.client.ReadAll(w.t.Context(), topic, p, 0, func(f kafka.Fetched) error {
			return f.Each(&s, func(_ batch.Header, r *batch.Record) error { fn(p, r); return nil })
		}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// count is how many records a topic has.
func (w *world) count(topic string) (n int64) {
	ends, err := w.client.EndOffsets(w.t.Context(), topic)
	if err != nil {
		return 0
	}
	for _, e := range ends {
		n += e
	}
	return n
}
