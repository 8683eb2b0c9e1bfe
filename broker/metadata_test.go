package broker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// snapshotsOften has one taken after every few topics.
var snapshotsOften = map[string]string{"metadata.log.max.record.bytes.between.snapshots": "2000"}

// TestDamagedMetadata: a broker starts with all that its metadata log has said, or says what is wrong and touches nothing.
func TestDamagedMetadata(t *testing.T) {
	whole, ctx, topics := t.TempDir(), testContext(t), 0
	log := func(dir, glob string) []string {
		names, err := filepath.Glob(filepath.Join(dir, "cluster-metadata", glob))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	last := func(names []string) string { return names[len(names)-1] }
	// There are two snapshots, and the last segment begins behind both.
	enough := func() bool {
		snapshots := log(whole, "*.snapshot")
		return len(snapshots) == 2 && strings.TrimSuffix(last(log(whole, "*.log")), ".log") >= strings.TrimSuffix(last(snapshots), ".snapshot")
	}
	for !enough() {
		b, stop := onDisk(t, whole)
		cl := dialed(t, b)
		for range 3 {
			if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 1, nil, fmt.Sprint("t", topics)); err != nil {
				t.Fatal(err)
			}
			topics++
		}
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t0", Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		cl.Close()
		stop() // which waits for a snapshot
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	asDirectory := func(name string) { must(errors.Join(os.Remove(name), os.Mkdir(name, 0o755))) }
	for _, tc := range []struct {
		what   string
		damage func(dir string)
		says   string // of the start; "": it starts
		kind   string // of what Inspect finds
	}{
		{"nothing", func(string) {}, "", ""},
		{"newest snapshot flipped", func(dir string) { flip(t, last(log(dir, "*.snapshot")), 100) }, "", "snapshot"},
		{"newest snapshot gone", func(dir string) { must(os.Remove(last(log(dir, "*.snapshot")))) }, "", ""},
		{"both snapshots flipped", func(dir string) {
			for _, s := range log(dir, "*.snapshot") {
				flip(t, s, 100)
			}
		}, "is damaged", "metadata"},
		{"a snapshot is a directory", func(dir string) { asDirectory(last(log(dir, "*.snapshot"))) }, "is a directory", "error"},
		{"the end of the log flipped", func(dir string) { flip(t, last(log(dir, "*.log")), 70) }, "is damaged", "metadata"},
		{"the end of the log cut off", func(dir string) { must(os.Truncate(last(log(dir, "*.log")), 10)) }, "is damaged", "metadata"},
		{"the end of the log gone", func(dir string) { must(os.Remove(last(log(dir, "*.log")))) }, "is damaged", "metadata"},
		{"the log is a directory", func(dir string) { asDirectory(last(log(dir, "*.log"))) }, "is a directory", "error"},
		{"all of it gone", func(dir string) { must(os.RemoveAll(filepath.Join(dir, "cluster-metadata"))) }, "is damaged", "metadata"},
		{"all of it gone after a crash", func(dir string) {
			must(errors.Join(os.RemoveAll(filepath.Join(dir, "cluster-metadata")), os.Remove(filepath.Join(dir, "marks"))))
		}, "is gone", "metadata"},
		{"a file in its place", func(dir string) {
			must(os.RemoveAll(filepath.Join(dir, "cluster-metadata")))
			must(os.WriteFile(filepath.Join(dir, "cluster-metadata"), nil, 0o644))
		}, "cluster-metadata", "metadata"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			must(os.CopyFS(dir, os.DirFS(whole)))
			tc.damage(dir)
			in, err := broker.Inspect(nil, dir, true)
			switch found := err == nil && slices.ContainsFunc(in.Faults, func(f broker.Fault) bool { return f.Kind == tc.kind }); {
			case tc.kind == "error" && err == nil, tc.kind != "error" && err != nil:
				t.Errorf("inspected: %+v (%v)", in, err)
			case tc.kind == "" && len(in.Faults) > 0, tc.kind != "" && tc.kind != "error" && !found:
				t.Errorf("inspected: %+v", in.Faults)
			}
			before := everything(t, dir)
			if tc.says != "" {
				_, stop, err := tryDisk(t, dir)
				if err == nil {
					stop()
				}
				if start := (*broker.StartError)(nil); !errors.As(err, &start) || !strings.Contains(err.Error(), tc.says) {
					t.Fatalf("%v, want one that says %q", err, tc.says)
				}
				for _, name := range before {
					if _, err := os.Stat(name); err != nil && filepath.Base(name) != "marks" { // which is renamed
						t.Errorf("the start touched %s: %v", name, err)
					}
				}
				return
			}
			b, stop := onDisk(t, dir)
			defer stop()
			cl := dialed(t, b)
			defer cl.Close()
			if all, err := kadm.NewClient(cl).ListTopics(ctx); err != nil || len(all) != topics {
				t.Errorf("%d topics (%v)", len(all), err)
			}
		})
	}
}

func onDisk(t *testing.T, dir string) (*broker.Broker, func()) {
	t.Helper()
	b, stop, err := tryDisk(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	return b, stop
}

// tryDisk runs a broker on dir until it is stopped, or returns why it does not start.
func tryDisk(t *testing.T, dir string) (*broker.Broker, func(), error) {
	t.Helper()
	b, err := broker.New(broker.Config{DataDir: dir, Listen: []string{}, Properties: snapshotsOften})
	if err != nil {
		t.Fatal(err)
	}
	run := make(chan error, 1)
	go func() { run <- b.Run(context.Background()) }()
	select {
	case <-b.Ready():
	case err := <-run:
		return nil, nil, err
	}
	return b, func() {
		if err := errors.Join(b.Shutdown(context.Background()), <-run); err != nil {
			t.Error(err)
		}
	}, nil
}

func everything(t *testing.T, dir string) (names []string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return names
}
