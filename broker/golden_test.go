package broker_test

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A data directory as this release leaves it, which every later one must open. It was made by
//
//	go test ./broker -run TestGoldenDirectory -golden
//
// and is not made again once the release is out: a release that writes something new gets a directory of its own.
const goldenDir = "brokertest/testdata/golden-1"

var makeGolden = flag.Bool("golden", false, "make the golden data directory anew")

// TestGoldenDirectory starts a broker on a copy of the directory and asks for everything that was put into it.
func TestGoldenDirectory(t *testing.T) {
	if *makeGolden {
		writeGolden(t)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(goldenDir)); err != nil {
		t.Fatal(err)
	}
	if size := bytesIn(t, dir, ""); size > 200<<10 {
		t.Errorf("the directory has %d bytes", size)
	}
	ctx := testContext(t)
	client, stop := goldenBroker(t, broker.Config{DataDir: dir, Listen: []string{}, Properties: goldenProperties})
	defer stop()
	adm := kadm.NewClient(client())

	topics, err := adm.ListTopics(ctx)
	if err != nil || len(topics["plain"].Partitions) != 2 {
		t.Fatalf("%v %v", topics, err)
	}
	configs, err := adm.DescribeTopicConfigs(ctx, "compacted")
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(configs[0].Configs, func(c kadm.Config) bool { return c.Key == "segment.ms" }); i < 0 || *configs[0].Configs[i].Value != "1" {
		t.Error("segment.ms of the compacted topic is not 1")
	}
	offsets, err := adm.FetchOffsets(ctx, "group")
	if o, ok := offsets.Lookup("plain", 0); err != nil || !ok || o.At != 7 || o.Metadata != "seven" {
		t.Errorf("committed: %+v %v", o, err)
	}
	starts, err := adm.ListStartOffsets(ctx, "plain")
	if o, _ := starts.Lookup("plain", 1); err != nil || o.Offset != 5 {
		t.Errorf("start: %+v %v", o, err)
	}
	for topic, want := range map[string]string{
		"plain": "0:0=v0 0:1=v1 0:2=v2 0:3=v3 0:4=v4 0:5=v5 0:6=v6 0:7=v7 0:8=v8 0:9=v9 1:5=v5 1:6=v6 1:7=v7 1:8=v8 1:9=v9",
		// Of the ten records before the last one, keys 0 and 1 in turn, the last ones are left.
		"compacted":     "0:8=v8 0:9=v9 0:10=end",
		"transactional": "0:0=committed",
	} {
		if got := goldenRecords(ctx, t, client, topic); got != want {
			t.Errorf("%s: %s, want %s", topic, got, want)
		}
	}
	if err := client().ProduceSync(ctx, &kgo.Record{Topic: "plain", Partition: 0, Value: []byte("later")}).FirstErr(); err != nil {
		t.Error(err)
	}
}

var goldenProperties = map[string]string{
	"offsets.topic.num.partitions": "1", "transaction.state.log.num.partitions": "1", "log.cleaner.backoff.ms": "5", "node.id": "3",
}

// goldenBroker runs a broker; client makes clients of it that end with it.
func goldenBroker(t *testing.T, cfg broker.Config) (client func(...kgo.Opt) *kgo.Client, stop func()) {
	t.Helper()
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run := make(chan error, 1)
	go func() { run <- b.Run(context.Background()) }()
	select {
	case <-b.Ready():
	case err := <-run:
		t.Fatal(err)
	}
	var clients []*kgo.Client
	client = func(opts ...kgo.Opt) *kgo.Client {
		cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers("leat-3:9092"), kgo.Dialer(b.DialContext), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, cl)
		return cl
	}
	return client, func() {
		for _, cl := range clients {
			cl.Close()
		}
		if err := b.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-run; err != nil {
			t.Error(err)
		}
	}
}

// goldenRecords reads the committed records of a topic: partition:offset=value.
func goldenRecords(ctx context.Context, t *testing.T, client func(...kgo.Opt) *kgo.Client, topic string) string {
	t.Helper()
	cl := client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	// Where a partition ends with a marker, or with records that were aborted, its last record comes before its end.
	want := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { want[o.Partition] = o.Offset - 1 })
	if topic == "transactional" {
		want[0] = 0
	}
	var out []string
	for len(want) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			out = append(out, fmt.Sprintf("%d:%02d=%s", r.Partition, r.Offset, r.Value))
			if r.Offset >= want[r.Partition] {
				delete(want, r.Partition)
			}
		})
	}
	slices.Sort(out)
	return strings.ReplaceAll(strings.Join(out, " "), ":0", ":")
}

// writeGolden fills a directory in memory and copies it.
func writeGolden(t *testing.T) {
	ctx, mem := testContext(t), vfs.NewMem()
	client, stop := goldenBroker(t, broker.Config{DataDir: "data", FS: mem, Listen: []string{}, Properties: goldenProperties})
	cl := client()
	adm := kadm.NewClient(cl)
	for topic, c := range map[string]map[string]string{
		"plain":         {},
		"transactional": {},
		"compacted":     {"cleanup.policy": "compact", "segment.ms": "1", "min.cleanable.dirty.ratio": "0"},
	} {
		config := map[string]*string{}
		for k, v := range c {
			config[k] = &v
		}
		partitions := int32(1)
		if topic == "plain" {
			partitions = 2
		}
		if _, err := adm.CreateTopic(ctx, partitions, 1, config, topic); err != nil {
			t.Fatal(err)
		}
	}
	at := time.UnixMilli(1_790_000_000_000)
	for i := range 10 {
		for _, r := range []*kgo.Record{
			{Topic: "plain", Partition: 0, Value: fmt.Appendf(nil, "v%d", i), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("x")}}},
			{Topic: "plain", Partition: 1, Value: fmt.Appendf(nil, "v%d", i)},
			{Topic: "compacted", Key: fmt.Append(nil, i%2), Value: fmt.Appendf(nil, "v%d", i)},
		} {
			r.Timestamp = at.Add(time.Duration(i) * time.Second)
			if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "compacted", Key: []byte("end"), Value: []byte("end"), Timestamp: at.Add(time.Hour)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for _, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		producer := client(kgo.TransactionalID("golden"))
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		value := "committed"
		if !bool(commit) {
			value = "aborted"
		}
		if err := producer.ProduceSync(ctx, &kgo.Record{Topic: "transactional", Value: []byte(value), Timestamp: at}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := producer.EndTransaction(ctx, commit); err != nil {
			t.Fatal(err)
		}
	}
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: "plain", Partition: 0, At: 7, LeaderEpoch: -1, Metadata: "seven"})
	if err := adm.CommitAllOffsets(ctx, "group", offsets); err != nil {
		t.Fatal(err)
	}
	var before kadm.Offsets
	before.Add(kadm.Offset{Topic: "plain", Partition: 1, At: 5})
	if deleted, err := adm.DeleteRecords(ctx, before); err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}
	for goldenRecords(ctx, t, client, "compacted") != "0:8=v8 0:9=v9 0:10=end" {
		if ctx.Err() != nil {
			t.Fatal("the topic is not compacted")
		}
	}
	stop()
	if err := os.RemoveAll(goldenDir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(goldenDir), 0o755); err != nil {
		t.Fatal(err)
	}
	if ok, err := vfs.Clone(mem, vfs.Default, "data", goldenDir); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if err := filepath.WalkDir(goldenDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "lock" {
			return os.Remove(path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
