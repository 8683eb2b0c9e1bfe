package connect

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/kafka"
)

func (w *world) fill(topic string, partition int32, values ...string) {
	w.t.Helper()
	p, err := w.client.NewProducer(kafka.ProducerOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer p.Close()
	b := batch.NewBuilder(batch.None)
	for _, v := range values {
		b.Append(time.Now().UnixMilli(), nil, []byte(v), nil)
	}
	raw, err := b.Build(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan error, 1)
	if err := p.ProduceBatch(w.t.Context(), topic, partition, raw, func(_ int64, err error) { done <- err }); err != nil {
		w.t.Fatal(err)
	}
	if err := <-done; err != nil {
		w.t.Fatal(err)
	}
}

func TestARefusedPartitionWaitsAlone(t *testing.T) {
	w := newWorld(t)
	w.topic("in", 2)
	w.fill("in", 0, "later")
	out := filepath.Join(w.dir, "out")
	r := w.start("sink: s\nplugin: away\nconfig: {path: '" + out + "'}\nfrom: in\n")
	r.wait("s", "transient", func(s Status) bool { return strings.Contains(s.LastError, "away") })
	w.fill("in", 1, "fine")
	w.until("partition 1 does not wait for partition 0's transient error", func() bool {
		raw, _ := os.ReadFile(out)
		return strings.Contains(string(raw), "fine")
	}, func() any { return r.status("s") })
}

func TestFramesMayNotClaimWhatTheLogDecides(t *testing.T) {
	for _, name := range []string{"control", "transactional", "huge"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.topic("out", 1)
			r := w.start(fmt.Sprintf("source: s\nplugin: %s\nto: out\n", name))
			r.wait("s", "refused", func(s Status) bool { return s.LastError != "" || s.Restarts > 0 })
		})
	}
}

func TestASourceThatIgnoresItsCreditIsStopped(t *testing.T) {
	w := newWorld(t)
	w.topic("out", 1)
	r := w.start("source: s\nplugin: flood\nto: out\n")
	r.wait("s", "a named error", func(s Status) bool { return s.Restarts > 0 && s.LastError != "" })
}
