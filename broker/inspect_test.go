package broker_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestInspect looks at the data directory of a broker that has stopped: whole, and then with one thing wrong after the other.
func TestInspect(t *testing.T) {
	c := brokertest.Start(t, 1)
	ctx := testContext(t)
	cl := c.Client(t)
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 2, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := broker.Inspect(nil, c.DataDir(), true); !errors.Is(err, broker.ErrInUse) {
		t.Fatal(err)
	}
	dir := c.DataDir()
	c.Stop()
	in, err := broker.Inspect(nil, dir, true)
	if err != nil || len(in.Faults) != 0 || in.Topics != 1 || in.Partitions != 2 || in.Node != 0 || in.ClusterID == "" || in.Bytes == 0 {
		t.Fatalf("%+v %v", in, err)
	}

	if err := os.MkdirAll(filepath.Join(dir, strings.Repeat("0f", 16)+"-0"), 0o755); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "*-[01]", "*.log"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	flip(t, segments[0], 70)
	in, err = broker.Inspect(nil, dir, true)
	if err != nil || len(in.Faults) != 2 {
		t.Fatalf("%+v %v", in, err)
	}
	if f := in.Faults[0]; f.Kind != "rot" || !strings.HasPrefix(f.Where, "orders-") || !f.Lossy {
		t.Errorf("%+v", f)
	}
	if f := in.Faults[1]; f.Kind != "orphan" || f.Lossy {
		t.Errorf("%+v", f)
	}

	flip(t, filepath.Join(dir, "cluster-metadata", "00000000000000000000.log"), 70)
	in, err = broker.Inspect(nil, dir, true)
	if err != nil {
		t.Fatal(err)
	}
	if f := in.Faults[0]; f.Kind != "metadata" && f.Kind != "rot" || !f.Lossy {
		t.Errorf("%+v", f)
	}
}

func flip(t *testing.T, name string, at int) {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	raw[at] ^= 1
	if err := os.WriteFile(name, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestInspectLeavesKafkasDirectoriesAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "meta.properties"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	in, err := broker.Inspect(nil, dir, true)
	if err != nil || len(in.Faults) != 1 || in.Faults[0].Kind != "foreign" {
		t.Fatalf("%+v %v", in, err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("%v %v", names, err)
	}
}
