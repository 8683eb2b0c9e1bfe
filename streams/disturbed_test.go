package streams_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/leatstream/leat/streams"
	"go.uber.org/goleak"
)

// TestDisturbancesLoseNothing: while records flow, members come and go, or the broker is started anew.
func TestDisturbancesLoseNothing(t *testing.T) {
	for name, disturb := range map[string]func(t *testing.T, c *brokertest.Cluster, cfg kafka.Config, more func()){
		"members": func(t *testing.T, _ *brokertest.Cluster, cfg kafka.Config, more func()) {
			member := func(id string) (stop func()) {
				own := cfg
				own.InstanceID = id
				_, stop = run(t, streams.Config{Documents: documents(t, onlyFilter), Kafka: own})
				return stop
			}
			stopA := member("a")
			more()
			stopB := member("b")
			more()
			stopA()
			more()
			stopC := member("c")
			more()
			stopC()
			stopB()
		},
		"broker": func(t *testing.T, c *brokertest.Cluster, cfg kafka.Config, more func()) {
			_, stop := run(t, streams.Config{Documents: documents(t, onlyFilter), Kafka: cfg})
			for range 3 {
				more()
				c.Restart()
			}
			more()
			stop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, before) }) // the last clean-up
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			defer cancel()
			c := brokertest.Start(t, 1)
			cl, cfg := client(t, c)
			ensure(ctx, t, cl, 4, "in", "out")
			n := 0
			more := func() {
				produce(ctx, t, cl, "in", n, n+2000, ten)
				n += 2000
			}
			disturb(t, c, cfg, more)
			more()
			_, stop := run(t, streams.Config{Documents: documents(t, onlyFilter), Kafka: cfg})
			caughtUp(ctx, t, cl, map[string]string{"p": "in"})
			stop()
			compareKeys(ctx, t, cl, n)
		})
	}
}

// compareKeys holds what is in out against n records that all pass.
func compareKeys(ctx context.Context, t *testing.T, cl *kafka.Client, n int) {
	t.Helper()
	got, want := map[string][]string{}, map[string][]string{}
	for _, part := range read(ctx, t, cl, "out") {
		for _, r := range part {
			got[r.key] = append(got[r.key], r.value)
		}
	}
	for i := range n {
		key := fmt.Sprintf("k%d", i%17)
		want[key] = append(want[key], ten(i))
	}
	for key := range want {
		if !slices.Equal(got[key], want[key]) {
			t.Errorf("%s: %d records, want %d: %s", key, len(got[key]), len(want[key]), firstDifference(got[key], want[key]))
		}
	}
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("record %d is %s, want %s", i, got[i], want[i])
		}
	}
	return "one is longer"
}
