package connect_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/sdk"
)

// stuck is a sink whose target never answers, or asks to come back in an hour.
func stuck(name string, write func() error) sdk.Connector {
	return sdk.Connector{Name: name, Version: "1.0.0", Summary: "Hangs.", Sink: sdk.Sink[struct{}]{Summary: "Hangs.",
		Open: func(context.Context, struct{}, *sdk.SinkTask) (sdk.Writer, error) { return stuckWriter(write), nil }}}
}

type stuckWriter func() error

func (w stuckWriter) Write(_ context.Context, b *sdk.Batch) error {
	return b.Each(func(*sdk.Record) error { return w() })
}

func (w stuckWriter) Close() error { return nil }

// A stop waits for no sink, and leaves no process and no goroutine. It looks at all goroutines: no t.Parallel.
func TestStopWhileSinksAreStuckLeavesNothing(t *testing.T) {
	b := newSerialBench(t)
	b.topic("in")
	r, stop := b.start("source: feed\nplugin: generate\nconfig: {rate: 0, count: 3, value: x}\nto: in\n---\n" +
		"sink: stuck\nplugin: stuck\nfrom: in\n---\nsink: later\nplugin: later\nfrom: in\n")
	b.wait(r, "later", "waiting", func(s connect.Status) bool { return strings.Contains(s.LastError, "come back in an hour") })
	b.wait(r, "stuck", "stuck", func(s connect.Status) bool { return s.State == "running" && !s.Drained })
	var pids []int
	for _, s := range r.Status() {
		pids = append(pids, s.PID)
	}
	began := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 30*time.Second { // 2 s, on a machine that has nothing else to do
		t.Errorf("stopping took %s", took)
	}
	for _, pid := range pids {
		b.soon("no process", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
	}
	stacks := make([]byte, 4<<20)
	b.soon("no goroutine", func() bool {
		all := string(stacks[:runtime.Stack(stacks, true)])
		return !strings.Contains(all, "connect/internal/worker") && !strings.Contains(all, "connect/internal/host")
	})
	for _, s := range r.Status() {
		if s.State != "stopped" || s.PID != 0 {
			t.Errorf("%+v", s)
		}
	}
}

func (b *bench) soon(what string, ok func() bool) {
	b.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(3 * time.Minute); !ok(); <-tick.C {
		if time.Now().After(end) {
			b.Fatalf("not %s", what)
		}
	}
}
