package streams_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/leatstream/leat/streams"
	"github.com/twmb/franz-go/pkg/kadm"
)

const onlyFilter = "pipeline: p\nfrom: in\nsteps: [{filter: value.n >= 0}]\nto: out\n"

// leftBehind acts as a task that was killed: it announced itself at offset 0 with a note, and wrote n records.
func leftBehind(ctx context.Context, t *testing.T, cl *kafka.Client, n int, note func(id int64) string) {
	t.Helper()
	p, err := cl.NewProducer(kafka.ProducerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	id, err := p.ID()
	if err != nil {
		t.Fatal(err)
	}
	b := p.NewBatcher(kafka.BatcherOptions{})
	var wait sync.WaitGroup
	for i := range n {
		wait.Add(1)
		if err := b.Add(ctx, "out", 0, 1, nil, fmt.Appendf(nil, `{"old":%d}`, i), nil, func(err error) {
			if err != nil {
				t.Error(err)
			}
			wait.Done()
		}); err != nil {
			t.Fatal(err)
		}
	}
	wait.Wait()
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: "in", Partition: 0, At: 0, LeaderEpoch: -1, Metadata: note(id)})
	if err := cl.Admin().CommitAllOffsets(ctx, "p", offsets); err != nil {
		t.Fatal(err)
	}
}

func ten(i int) string { return fmt.Sprintf(`{"n":%d}`, i) }

func ensure(ctx context.Context, t *testing.T, cl *kafka.Client, partitions int32, topics ...string) {
	t.Helper()
	for _, topic := range topics {
		if err := cl.EnsureTopic(ctx, topic, partitions, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnEditedPipelineSkipsNothing: what other steps wrote says nothing of what these will.
func TestAnEditedPipelineSkipsNothing(t *testing.T) {
	ctx := testContext(t)
	cl, cfg := client(t, brokertest.Start(t, 1))
	ensure(ctx, t, cl, 1, "in", "out")
	produce(ctx, t, cl, "in", 0, 10, ten)
	leftBehind(ctx, t, cl, 3, func(id int64) string {
		return fmt.Sprintf(`{"steps":"others","producer":%d,"ends":{"out":{"0":0}}}`, id)
	})
	_, stop := run(t, streams.Config{Documents: documents(t, onlyFilter), Kafka: cfg})
	caughtUp(ctx, t, cl, map[string]string{"p": "in"})
	stop()
	if got := read(ctx, t, cl, "out")[0]; len(got) != 13 || got[3].value != ten(0) {
		t.Errorf("%d records, the fourth is %v", len(got), got[3])
	}
}

// TestOutputsThatAreDeletedDoNotHinderTheStart: the note names an offset that is before the beginning of the log.
func TestOutputsThatAreDeletedDoNotHinderTheStart(t *testing.T) {
	ctx := testContext(t)
	cl, cfg := client(t, brokertest.Start(t, 1))
	ensure(ctx, t, cl, 1, "in", "out")
	produce(ctx, t, cl, "in", 0, 10, ten)
	leftBehind(ctx, t, cl, 3, func(id int64) string { return fmt.Sprintf(`{"producer":%d,"ends":{"out":{"0":-7}}}`, id) })
	_, stop := run(t, streams.Config{Documents: documents(t, onlyFilter), Kafka: cfg})
	defer stop()
	caughtUp(ctx, t, cl, map[string]string{"p": "in"})
}

// TestRecordsThatGrowTooLargeBecomeDeadLetters, and those around them come out once.
func TestRecordsThatGrowTooLargeBecomeDeadLetters(t *testing.T) {
	ctx := testContext(t)
	cl, cfg := client(t, brokertest.Start(t, 1))
	ensure(ctx, t, cl, 1, "in", "out")
	long := strings.Repeat("x", 600_000)
	produce(ctx, t, cl, "in", 0, 10, func(i int) string {
		if i == 4 {
			return fmt.Sprintf(`{"n":%d,"s":%q}`, i, long)
		}
		return fmt.Sprintf(`{"n":%d,"s":"short"}`, i)
	})
	rt, stop := run(t, streams.Config{Documents: documents(t, "pipeline: p\nfrom: in\nsteps:\n  - map: {n: value.n, a: value.s, b: value.s}\nto: out\n"), Kafka: cfg})
	defer stop()
	deadline := time.After(3 * time.Minute)
	for {
		committed, err := cl.Admin().FetchOffsets(ctx, "p")
		if err == nil {
			if o, ok := committed.Lookup("in", 0); ok && o.At == 10 {
				break
			}
		}
		select {
		case <-deadline:
			t.Fatalf("%+v; %d records in out", rt.Status()[0], len(read(ctx, t, cl, "out")[0]))
		case <-time.After(20 * time.Millisecond):
		}
	}
	if n, dead := len(read(ctx, t, cl, "out")[0]), read(ctx, t, cl, "p.dead-letter"); n != 9 || len(dead) == 0 || len(dead[0]) != 1 {
		t.Errorf("%d records, %d dead letters", n, len(dead))
	}
}

// TestDeadLettersOfOnePartitionBesideOutputsOfOthers is for the race detector.
func TestDeadLettersOfOnePartitionBesideOutputsOfOthers(t *testing.T) {
	ctx := testContext(t)
	cl, cfg := client(t, brokertest.Start(t, 1))
	ensure(ctx, t, cl, 8, "in", "out")
	produce(ctx, t, cl, "in", 0, 20_000, func(i int) string {
		if i%17 == 3 && i > 5000 {
			return "not json"
		}
		return ten(i)
	})
	_, stop := run(t, streams.Config{Documents: documents(t, onlyFilter), Kafka: cfg, Workers: 8})
	defer stop()
	caughtUp(ctx, t, cl, map[string]string{"p": "in"})
}
