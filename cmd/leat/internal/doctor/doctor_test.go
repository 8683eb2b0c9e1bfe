package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/leatstream/leat/broker/brokertest/certs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func ctxOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// expect wants one finding of a level whose place and words contain what is given, and nothing else that is as bad.
func expect(t *testing.T, r *Report, level Level, where, what string) {
	t.Helper()
	found := false
	for _, f := range r.Findings {
		if f.Why == "" || f.Do == "" {
			t.Errorf("%+v does not say why, or what to do", f)
		}
		switch {
		case f.Level == level && strings.Contains(f.Where, where) && strings.Contains(f.What, what):
			found = true
		case f.Level == level && level == Bad:
			t.Errorf("and %+v", f)
		}
	}
	if !found {
		t.Errorf("no %s finding about %q at %q in %+v", level, what, where, r.Findings)
	}
	if level == Bad && r.Healthy() {
		t.Error("healthy")
	}
}

// dataIn is what there is to say of a data directory, but for the kind of file system that the test's directory is on.
func dataIn(dir string) *Report {
	r := &Report{}
	r.Data(dir, true)
	r.Findings = slices.DeleteFunc(r.Findings, func(f Finding) bool { return strings.HasPrefix(f.What, "the data directory is on a ") })
	return r
}

func examine(t *testing.T, c *brokertest.Cluster, watch time.Duration) *Report {
	t.Helper()
	r := &Report{}
	if err := r.Cluster(ctxOf(t), c.Addr(), nil, watch); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAHealthyCluster(t *testing.T) {
	c := brokertest.Start(t, 1)
	cl := c.Client(t, kgo.AllowAutoTopicCreation())
	if err := cl.ProduceSync(ctxOf(t), &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r := examine(t, c, 0)
	expect(t, r, Note, c.Addr(), "whoever can connect")
	for _, f := range r.Findings {
		if f.Level == Bad {
			t.Errorf("%+v", f)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := (&Report{}).Cluster(ctx, "127.0.0.1:1", nil, 0); err == nil {
		t.Error("somebody answers")
	}
}

// TestAdvertisedNowhere is the classic mistake: the rest is looked at all the same.
func TestAdvertisedNowhere(t *testing.T) {
	c := brokertest.Start(t, 1, brokertest.Properties(map[string]string{"advertised.listeners": "PLAINTEXT://127.0.0.1:1"}))
	r := examine(t, c, 0)
	expect(t, r, Bad, "broker 0", "127.0.0.1:1 does not answer")
	if do := r.Findings[0].Do; !strings.Contains(do, c.Addr()) {
		t.Errorf("do: %s", do)
	}
	expect(t, r, Note, c.Addr(), "whoever can connect")
}

func TestAdvertisedElsewhere(t *testing.T) {
	other := brokertest.Start(t, 1)
	c := brokertest.Start(t, 1, brokertest.Properties(map[string]string{"advertised.listeners": "PLAINTEXT://" + other.Addr()}))
	r := &Report{}
	if err := r.Cluster(ctxOf(t), c.Addr(), nil, 0); err != nil {
		t.Fatal(err)
	}
	expect(t, r, Bad, "broker 0", "leads to another cluster")
}

// TestTLS: a cluster that speaks TLS is looked at in the same way, its certificate included, wherever it sends clients.
func TestTLS(t *testing.T) {
	ca, dir := certs.NewCA(t, "ca"), t.TempDir()
	cert := ca.MakeUntil(t, pkix.Name{CommonName: "localhost"}, time.Now().Add(48*time.Hour))
	c := brokertest.Start(t, 1, brokertest.Properties(map[string]string{
		"ssl.keystore.location": cert.Keystore(t, dir, "broker.pem"), "advertised.listeners": "SSL://localhost:1",
	}), brokertest.Listen("SSL://127.0.0.1:0"))
	r := &Report{}
	if err := r.Cluster(ctxOf(t), c.Addr(), []kgo.Opt{kgo.DialTLSConfig(&tls.Config{RootCAs: ca.Pool()})}, 0); err != nil {
		t.Fatal(err)
	}
	expect(t, r, Bad, "broker 0", "localhost:1 does not answer")
	expect(t, r, Warn, c.Addr(), "certificate expires in 48h")
	expect(t, r, Note, c.Addr(), "whoever can connect")
}

func TestTopicsAndGroupsInTrouble(t *testing.T) {
	c := brokertest.Start(t, 1)
	ctx := ctxOf(t)
	cl := c.Client(t)
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(ctx, 1, 1, map[string]*string{"flush.messages": kadm.StringPtr("1000")}, "careless"); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.CreateTopic(ctx, 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	produce := func() {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("x"), Timestamp: time.Now().Add(30 * time.Minute)}).FirstErr(); err != nil {
			t.Error(err)
		}
	}
	for range 5 {
		produce()
	}
	for group, at := range map[string]int64{"robbed": 1, "slow": 4} {
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: "t", At: at, LeaderEpoch: -1})
		if _, err := adm.CommitOffsets(ctx, group, offsets); err != nil {
			t.Fatal(err)
		}
	}
	del := kadm.Offsets{}
	del.Add(kadm.Offset{Topic: "t", At: 3})
	if _, err := adm.DeleteRecords(ctx, del); err != nil {
		t.Fatal(err)
	}
	r := &Report{}
	watched, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for { // as long as the groups are watched
			select {
			case <-watched:
				return
			case <-time.After(10 * time.Millisecond):
				produce()
			}
		}
	}()
	err := r.Cluster(ctx, c.Addr(), nil, 500*time.Millisecond)
	close(watched)
	<-stopped
	if err != nil {
		t.Fatal(err)
	}
	expect(t, r, Bad, "group robbed", "records that it has not read were deleted by retention: 2")
	for where, what := range map[string]string{"group slow": "no members, and its lag", "topic t": "records from the future", "topic careless": "flush.messages=1000"} {
		found := false
		for _, f := range r.Findings {
			found = found || f.Level == Warn && f.Where == where && strings.Contains(f.What, what)
		}
		if !found {
			t.Errorf("nothing about %s in %+v", where, r.Findings)
		}
	}
}

func TestDataInTrouble(t *testing.T) {
	c := brokertest.Start(t, 1)
	cl := c.Client(t, kgo.AllowAutoTopicCreation())
	if err := cl.ProduceSync(ctxOf(t), &kgo.Record{Topic: "t", Value: []byte("value")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	running := dataIn(c.DataDir())
	if !running.Healthy() || !strings.Contains(strings.Join(running.Looked, " "), "a broker runs on it") {
		t.Errorf("%+v", running)
	}
	c.Stop()
	whole := dataIn(c.DataDir())
	if !whole.Healthy() {
		t.Errorf("%+v", whole)
	}
	segments, err := filepath.Glob(filepath.Join(c.DataDir(), "*-0", "*.log"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	raw, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	raw[66] ^= 1
	if err := os.WriteFile(segments[0], raw, 0o644); err != nil {
		t.Fatal(err)
	}
	r := dataIn(c.DataDir())
	expect(t, r, Bad, "t-0, offset 0", "records are damaged on disk")

	missing := dataIn(filepath.Join(t.TempDir(), "nowhere"))
	expect(t, missing, Note, "nowhere", "no data directory")

	kafka := t.TempDir()
	if err := os.WriteFile(filepath.Join(kafka, "meta.properties"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	foreign := dataIn(kafka)
	expect(t, foreign, Bad, kafka, "Apache Kafka")
}

// TestEveryFaultHasWords: broker.Fault names the kinds.
func TestADirectoryForEverybody(t *testing.T) {
	dir := t.TempDir()
	for mode, level := range map[os.FileMode]Level{0o700: Note, 0o750: Note, 0o755: Warn, 0o701: Warn} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		r := &Report{}
		r.readers(dir)
		if level == Warn {
			expect(t, r, Warn, dir, fmt.Sprintf("%#o", mode))
		} else if len(r.Findings) > 0 {
			t.Errorf("%#o: %+v", mode, r.Findings)
		}
	}
}

func TestEveryFaultHasWords(t *testing.T) {
	for _, kind := range []string{"rot", "gap", "torn tail", "set aside", "index", "start", "snapshot", "orphan", "metadata", "foreign"} {
		if w := faults[kind]; w.level == "" || w.what == "" || w.why == "" || w.do == "" {
			t.Errorf("%s: %+v", kind, w)
		}
	}
}

func TestMachine(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/sys/net/core/somaxconn":                "128\n",
		"sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n",
		"proc/self/cgroup":                           "0::/box\n",
		"sys/fs/cgroup/box/memory.max":               "134217728\n",
	} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := &Report{}
	r.Check(Machine{Root: root, Descriptors: 1024})
	expect(t, r, Warn, "this machine", "1024 files")
	expect(t, r, Warn, "this machine", "limited to 128.0 MiB")
	expect(t, r, Warn, "net.core.somaxconn", "128 connections")
	expect(t, r, Note, "transparent_hugepage", "huge pages")
	fine := &Report{}
	fine.Check(Machine{Root: t.TempDir(), Descriptors: math.MaxUint64})
	if len(fine.Findings) != 0 {
		t.Errorf("%+v", fine.Findings)
	}
}

func TestDisks(t *testing.T) {
	for name, tc := range map[string]struct {
		disk  disk
		level Level
		what  string
	}{
		"roomy":      {disk{"ext4", 1 << 40, 1 << 39, 1 << 20, 1 << 19}, "", ""},
		"in memory":  {disk{"tmpfs", 1 << 40, 1 << 39, 0, 0}, Bad, "tmpfs"},
		"container":  {disk{"overlay", 1 << 40, 1 << 39, 0, 0}, Warn, "overlay"},
		"full":       {disk{"ext4", 1 << 40, 1 << 20, 0, 0}, Bad, "full: 1.0 MiB free"},
		"nearly":     {disk{"ext4", 1 << 40, 1 << 34, 0, 0}, Warn, "nearly full"},
		"no inodes":  {disk{"ext4", 1 << 40, 1 << 39, 1 << 20, 3}, Bad, "3 more files"},
		"small disk": {disk{"ext4", 2 << 30, 1 << 29, 0, 0}, Warn, "nearly full"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Report{}
			r.diskOf("d", func(string) (disk, error) { return tc.disk, nil })
			if tc.level == "" {
				if len(r.Findings) != 0 {
					t.Errorf("%+v", r.Findings)
				}
				return
			}
			expect(t, r, tc.level, "d", tc.what)
		})
	}
	r := &Report{}
	r.diskOf("d", func(string) (disk, error) { return disk{}, fmt.Errorf("no") })
	if len(r.Findings) != 0 {
		t.Errorf("%+v", r.Findings)
	}
}
