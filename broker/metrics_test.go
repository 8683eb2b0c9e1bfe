package broker_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/broker/brokertest"
	"github.com/leatstream/leat/internal/obs"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// scraped is a scrape: "name{label="value",…}" → value; a histogram is its count.
func scrape(t testing.TB, c *brokertest.Cluster) map[string]float64 {
	t.Helper()
	var b bytes.Buffer
	if err := c.Broker().Metrics(&b); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&b)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for name, f := range families {
		for _, m := range f.Metric {
			key := name + labelled(m.Label)
			if _, twice := out[key]; twice {
				t.Errorf("%s is there twice", key)
			}
			switch {
			case m.Gauge != nil:
				out[key] = m.Gauge.GetValue()
			case m.Counter != nil:
				out[key] = m.Counter.GetValue()
			default:
				out[key] = float64(m.Histogram.GetSampleCount())
			}
		}
	}
	return out
}

func labelled(labels []*dto.LabelPair) string {
	var parts []string
	for _, l := range labels {
		parts = append(parts, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	if parts == nil {
		return ""
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// TestMetrics compares a scrape with what clients have done.
func TestMetrics(t *testing.T) {
	c := brokertest.Start(t, 1, brokertest.Properties(map[string]string{"num.partitions": "2"}))
	ctx := testContext(t)
	cl := c.Client(t, kgo.AllowAutoTopicCreation(), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.DisableAutoCommit())
	for i := range 10 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Key: []byte{byte(i)}, Value: []byte("value")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	consume(ctx, t, cl, 10)
	admin := kadm.NewClient(cl)
	commit := kadm.Offsets{}
	commit.Add(kadm.Offset{Topic: "t", Partition: 0, At: 1, LeaderEpoch: -1})
	if _, err := admin.CommitOffsets(ctx, "outside", commit); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "not a name"); err == nil {
		t.Fatal("a topic with a blank in its name")
	}
	writer := c.Client(t, kgo.TransactionalID("x"), kgo.DefaultProduceTopic("in-a-transaction"), kgo.AllowAutoTopicCreation())
	if err := writer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := writer.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	ends, err := admin.ListEndOffsets(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	first, _ := ends.Lookup("t", 0)
	got := scrape(t, c)
	for name, want := range map[string]float64{
		`leat_denials_total`:                                 0,
		`leat_authentication_failures_total`:                 0,
		`leat_throttles_total{quota="producer_byte_rate"}`:   0,
		`leat_maintenance_failures_total{work="compaction"}`: 0,
		`leat_damage`:                       0,
		`leat_panics_total`:                 float64(obs.Panics()), // of this process
		`kafka_brokers`:                     1,
		`kafka_topic_partitions{topic="t"}`: 2,
		`kafka_consumergroup_members{consumergroup="g"}`:                                      1,
		`leat_topic_received_records_total{topic="t"}`:                                        10,
		`leat_groups{type="classic",state="Stable"}`:                                          1,
		`leat_groups{type="classic",state="Empty"}`:                                           1,
		`leat_data_offline`:                                                                   0,
		`kafka_topic_partition_current_offset{topic="t",partition="0"}`:                       float64(first.Offset),
		`kafka_topic_partition_current_offset{topic="t",partition="1"}`:                       float64(10 - first.Offset),
		`kafka_topic_partition_oldest_offset{topic="t",partition="0"}`:                        0,
		`kafka_topic_partition_leader{topic="t",partition="0"}`:                               0,
		`kafka_topic_partition_replicas{topic="t",partition="0"}`:                             1,
		`kafka_topic_partition_in_sync_replica{topic="t",partition="0"}`:                      1,
		`kafka_topic_partition_leader_is_preferred{topic="t",partition="0"}`:                  1,
		`kafka_topic_partition_under_replicated_partition{topic="t",partition="0"}`:           0,
		`kafka_consumergroup_current_offset{consumergroup="outside",topic="t",partition="0"}`: 1,
		`kafka_consumergroup_lag{consumergroup="outside",topic="t",partition="0"}`:            float64(first.Offset - 1),
		`kafka_consumergroup_current_offset{consumergroup="outside",topic="t",partition="1"}`: -1,
		`kafka_consumergroup_lag{consumergroup="outside",topic="t",partition="1"}`:            -1,
		`kafka_consumergroup_current_offset_sum{consumergroup="outside",topic="t"}`:           1,
		`kafka_consumergroup_lag_sum{consumergroup="outside",topic="t"}`:                      float64(first.Offset - 1),
		`leat_partition_unsynced_bytes{topic="t",partition="0"}`:                              0,
		`leat_partition_stable_offset{topic="t",partition="0"}`:                               float64(first.Offset),
		`leat_partition_high_watermark{topic="t",partition="0"}`:                              float64(first.Offset),
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	for _, name := range []string{
		`leat_request_seconds{api="Produce"}`, `leat_request_seconds{api="Fetch"}`, `leat_sync_seconds`, `leat_sync_appends`, `leat_sync_bytes`,
		`leat_topic_received_bytes_total{topic="t"}`, `leat_topic_sent_bytes_total{topic="t"}`, `leat_received_bytes_total`, `leat_sent_bytes_total`,
		`leat_errors_total{error="INVALID_TOPIC_EXCEPTION"}`, `leat_connections_accepted_total`, fmt.Sprintf(`leat_connections{listener=%q}`, c.Addr()), `leat_partition_log_bytes{topic="t",partition="0"}`,
		`leat_disk_bytes{of="free"}`, `leat_transaction_oldest_seconds`, `leat_transactional_ids{state="Ongoing"}`, `leat_request_memory_limit_bytes{stage="read"}`,
	} {
		if got[name] <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	if t.Failed() {
		t.Log(strings.Join(slices.Sorted(maps.Keys(got)), "\n"))
	}
}

func TestMetricsOfABrokerThatDoesNotRun(t *testing.T) {
	b, err := broker.New(broker.Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Metrics(io.Discard); err != broker.ErrNotRunning { //nolint:errorlint // as it is documented
		t.Fatal(err)
	}
}

// TestScrapingManyPartitions holds the memory of a scrape of 10,000 partitions, and that a scrape reads logs that nobody
// uses little by little.
func TestScrapingManyPartitions(t *testing.T) {
	c := brokertest.Start(t, 1)
	admin := kadm.NewClient(c.Client(t))
	for i := range 10 {
		if r, err := admin.CreateTopic(testContext(t), 1000, 1, nil, fmt.Sprintf("t%d", i)); err != nil || r.Err != nil {
			t.Fatal(err, r.Err)
		}
	}
	b := c.Broker()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	if err := b.Metrics(io.Discard); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("10,000 partitions in %s with %d KiB", took, allocated>>10)
	if raceEnabled {
		return
	}
	if allocated > 64<<20 {
		t.Errorf("a scrape allocates %d MiB", allocated>>20)
	}
}

// TestMetricsDoc keeps docs/metrics.md what a scrape says. `go test ./broker -run TestMetricsDoc -rewrite` writes it anew.
func TestMetricsDoc(t *testing.T) {
	c := brokertest.Start(t, 1)
	cl := c.Client(t, kgo.AllowAutoTopicCreation(), kgo.TransactionalID("x"))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(testContext(t), &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: "t", At: 1, LeaderEpoch: -1})
	if _, err := kadm.NewClient(cl).CommitOffsets(testContext(t), "g", offsets); err != nil {
		t.Fatal(err)
	}
	if _, err := kadm.NewClient(cl).CreateTopic(testContext(t), 1, 1, nil, "not a name"); err == nil {
		t.Fatal("a topic with a blank in its name")
	}
	var b bytes.Buffer
	if err := c.Broker().Metrics(&b); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&b)
	if err != nil {
		t.Fatal(err)
	}
	doc := "# Metrics\n\n`leat serve` answers at `http://127.0.0.1:9644/metrics` (`--metrics HOST:PORT`) in Prometheus' text format: what follows, and\n" +
		"what Prometheus' client says of a Go process (`go_…`, `process_…`). Generated from a scrape, by a test of package broker.\n\n" +
		"Names that begin with `kafka_` are those of kafka_exporter, with its labels. A family without a value, such as errors before the\n" +
		"first, has no line. A partition of which a group has committed nothing, beside others of the topic, has offset and lag -1, as there.\n\n" +
		"Prometheus needs no more than the address:\n\n```\nscrape_configs:\n  - job_name: leat\n    static_configs:\n      - targets: [127.0.0.1:9644]\n```\n\n" +
		"Grafana's dashboard 7589, “Kafka Exporter Overview”, is made for the names that begin with `kafka_`.\n\n" +
		"| name | type | labels | |\n|---|---|---|---|\n"
	for _, name := range slices.Sorted(maps.Keys(families)) {
		f := families[name]
		var labels []string
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if n := "`" + l.GetName() + "`"; !slices.Contains(labels, n) {
					labels = append(labels, n)
				}
			}
		}
		doc += fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), strings.Join(labels, " "), f.GetHelp())
	}
	path := filepath.Join("..", "docs", "metrics.md")
	if rewrite := flag.Lookup("rewrite"); rewrite != nil && rewrite.Value.String() == "true" {
		if err := os.WriteFile(path, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != doc {
		t.Errorf("docs/metrics.md is not what a scrape says (%v): go test ./broker -run TestMetricsDoc -rewrite", err)
	}
}
