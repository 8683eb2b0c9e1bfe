package streams_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/streams"
)

const orders = `pipeline: big
from: orders
steps:
  - filter: value.n % 3 != 0
  - map:
      id: value.id
      double: value.n * 2
to: big
---
pipeline: split
from: big
steps:
  - branch:
      - when: value.double % 4 == 0
        to: even
      - else: odd
`

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func documents(t *testing.T, src string) []*yaml.Node {
	t.Helper()
	var d diag.List
	nodes := yaml.Parse("p.yaml", []byte(src), &d)
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	return nodes
}

func client(t *testing.T, c *brokertest.Cluster) (*kafka.Client, kafka.Config) {
	t.Helper()
	cfg := kafka.Config{Brokers: []string{c.Addr()}, Dial: c.DialContext, InstanceID: "test"}
	cl, err := kafka.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl, cfg
}

// produce puts values into topic, each keyed by its number, and returns what is expected of order: key → values.
func produce(ctx context.Context, t *testing.T, cl *kafka.Client, topic string, from, to int, value func(i int) string) {
	t.Helper()
	p, err := cl.NewProducer(kafka.ProducerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	n, err := cl.Partitions(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	b := p.NewBatcher(kafka.BatcherOptions{Bytes: 2000})
	var wait sync.WaitGroup
	for i := from; i < to; i++ {
		key := fmt.Appendf(nil, "k%d", i%17)
		wait.Add(1)
		if err := b.Add(ctx, topic, kafka.KeyPartition(key, n), int64(i), key, []byte(value(i)), []batch.HeaderKV{{Key: "i", Value: fmt.Append(nil, i)}}, func(err error) {
			if err != nil {
				t.Error(err)
			}
			wait.Done()
		}); err != nil {
			t.Fatal(err)
		}
	}
	wait.Wait()
}

type record struct {
	key, value string
	headers    map[string]string
}

func read(ctx context.Context, t *testing.T, cl *kafka.Client, topic string) (out [][]record) {
	t.Helper()
	n, err := cl.Partitions(ctx, topic)
	if err != nil {
		return nil // not there yet
	}
	var s batch.Scratch
	for p := range n {
		var part []record
		if _, err := cl.ReadAll(ctx, topic, p, 0, func(f kafka.Fetched) error {
			return f.Each(&s, func(_ batch.Header, r *batch.Record) error {
				rec := record{string(r.Key), string(r.Value), map[string]string{}}
				for _, h := range r.Headers {
					rec.headers[h.Key] = string(h.Value)
				}
				part = append(part, rec)
				return nil
			})
		}); err != nil {
			t.Fatal(err)
		}
		out = append(out, part)
	}
	return out
}

// caughtUp waits until every group has read all of its input.
func caughtUp(ctx context.Context, t *testing.T, cl *kafka.Client, groups map[string]string) {
	t.Helper()
	for ctx.Err() == nil {
		done := true
		for group, topic := range groups {
			ends, err := cl.EndOffsets(ctx, topic)
			committed, err2 := cl.Admin().FetchOffsets(ctx, group)
			if err != nil || err2 != nil {
				done = false
				break
			}
			for p, end := range ends {
				o, ok := committed.Lookup(topic, int32(p))
				done = done && (end == 0 || ok && o.At == end)
			}
		}
		if done {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	t.Fatal("the pipelines do not catch up")
}

// run starts pipelines and returns what stops them.
func run(t *testing.T, cfg streams.Config) (rt *streams.Runtime, stop func()) {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	rt, err := streams.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- rt.Run(ctx) }()
	return rt, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestNothingLostDoubledOrReordered runs two pipelines, stops the process' worth of them at random moments in the middle
// of rounds, and compares what is there in the end with what must be.
func TestNothingLostDoubledOrReordered(t *testing.T) {
	for name, kills := range map[string]int{"in one go": 0, "interrupted": 6} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			c := brokertest.Start(t, 1)
			cl, cfg := client(t, c)
			if err := cl.EnsureTopic(ctx, "orders", 3, nil); err != nil {
				t.Fatal(err)
			}
			const n = 3000
			value := func(i int) string { return fmt.Sprintf(`{"id":"o%d","n":%d}`, i, i) }
			produce(ctx, t, cl, "orders", 0, n, value)
			rng := rand.New(rand.NewPCG(7, 7))
			docs := documents(t, orders)
			for range kills {
				// The connections of this process end all at once, in the middle of whatever it does.
				doomed := newDoomed(cfg)
				_, stop := run(t, streams.Config{Documents: docs, Kafka: doomed.Config})
				time.Sleep(time.Duration(rng.IntN(120)) * time.Millisecond)
				doomed.end()
				stop()
			}
			rt, stop := run(t, streams.Config{Documents: docs, Kafka: cfg})
			caughtUp(ctx, t, cl, map[string]string{"big": "orders", "split": "big"})
			for _, s := range rt.Status() {
				if s.DeadLetters != 0 || kills == 0 && (s.State != "running" || s.In == 0 || s.Out == 0) {
					t.Errorf("%+v", s)
				}
			}
			stop()
			want := map[string][]string{}
			for i := range n {
				if i%3 == 0 {
					continue
				}
				topic := "odd"
				if i%2 == 0 {
					topic = "even"
				}
				k := fmt.Sprintf("%s/k%d", topic, i%17)
				want[k] = append(want[k], fmt.Sprintf(`{"id":"o%d","double":%d}`, i, 2*i))
			}
			for _, topic := range []string{"even", "odd"} {
				got := map[string][]string{}
				for _, part := range read(ctx, t, cl, topic) {
					for _, r := range part {
						got[r.key] = append(got[r.key], r.value)
					}
				}
				for k := range 17 {
					key := fmt.Sprintf("k%d", k)
					if !slices.Equal(got[key], want[topic+"/"+key]) {
						t.Errorf("%s %s: %d records, want %d", topic, key, len(got[key]), len(want[topic+"/"+key]))
					}
				}
			}
		})
	}
}

func TestRecordsThatFailBecomeDeadLetters(t *testing.T) {
	ctx := testContext(t)
	c := brokertest.Start(t, 1)
	cl, cfg := client(t, c)
	if err := cl.EnsureTopic(ctx, "orders", 2, nil); err != nil {
		t.Fatal(err)
	}
	produce(ctx, t, cl, "orders", 0, 20, func(i int) string {
		switch i {
		case 5:
			return "not json"
		case 9:
			return `{"id":"x","n":"nine"}`
		}
		return fmt.Sprintf(`{"id":"o%d","n":%d}`, i, i)
	})
	rt, stop := run(t, streams.Config{Documents: documents(t, strings.Split(orders, "---\n")[0]), Kafka: cfg})
	caughtUp(ctx, t, cl, map[string]string{"big": "orders"})
	if s := rt.Status()[0]; s.DeadLetters != 2 || s.In != 20 || s.LastError == "" {
		t.Errorf("%+v", s)
	}
	stop()
	var dead []record
	for _, part := range read(ctx, t, cl, "big.dead-letter") {
		dead = append(dead, part...)
	}
	slices.SortFunc(dead, func(a, b record) int { return strings.Compare(b.value, a.value) })
	if len(dead) != 2 || dead[0].value != `{"id":"x","n":"nine"}` || dead[1].value != "not json" {
		t.Fatalf("%+v", dead)
	}
	for k, want := range map[string]string{
		"__streams.errors.topic": "orders", "__streams.errors.step": "filter", "__streams.errors.expression": "value.n % 3 != 0",
		"__streams.errors.pipeline": "big", "i": "5",
	} {
		if dead[1].headers[k] != want {
			t.Errorf("%s is %q, want %q", k, dead[1].headers[k], want)
		}
	}
	if !strings.Contains(dead[1].headers["__streams.errors.message"], "not JSON") || dead[1].headers["__streams.errors.offset"] == "" || dead[1].headers["__streams.errors.partition"] == "" {
		t.Errorf("%+v", dead[1].headers)
	}
}

func TestStopStopsAtTheRecord(t *testing.T) {
	ctx := testContext(t)
	c := brokertest.Start(t, 1)
	cl, cfg := client(t, c)
	if err := cl.EnsureTopic(ctx, "orders", 1, nil); err != nil {
		t.Fatal(err)
	}
	produce(ctx, t, cl, "orders", 0, 1, func(int) string { return "not json" })
	rt, err := streams.New(streams.Config{Kafka: cfg, Documents: documents(t, "pipeline: p\nfrom: orders\nsteps: [{filter: value.n > 1}]\nto: out\non_error: stop\n")})
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.Run(ctx); err == nil || !strings.Contains(err.Error(), "offset 0") {
		t.Errorf("%v", err)
	}
	if s := rt.Status()[0]; s.State != "failed" {
		t.Errorf("%+v", s)
	}
}
