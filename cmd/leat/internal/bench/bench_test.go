package bench

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/leatstream/leat/broker/brokertest/certs"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

func load(kind, addr string) *Load {
	return &Load{
		Kind: kind, Address: addr, Client: []kgo.Opt{kgo.SeedBrokers(addr)}, Partitions: 3, Replicas: -1, Size: 100, Payload: "json", Records: 3000,
		Limit: time.Minute, Batch: 4096, Acks: -1, Idempotent: true, Codec: "lz4", Producers: 2, Consumers: 2, InFlight: 3, Passes: 2, Check: true,
	}
}

func topics(t *testing.T, addr string) []string {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	listed, err := kadm.NewClient(cl).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return listed.Names()
}

func TestEveryKindOfLoadIsWholeAndLeavesNothing(t *testing.T) {
	addr := brokertest.Start(t, 1).Addr()
	for kind, want := range map[string][]string{
		"produce": {"produce records", "produce data", "produce ack p99"},
		"consume": {"consume records", "consume first record"},
		"e2e":     {"e2e p50", "e2e p99.9", "e2e max", "e2e ack p50", "e2e sender late max"},
		"raw":     {"raw produce data", "raw produce request p50", "raw fetch data"},
	} {
		t.Run(kind, func(t *testing.T) {
			l := load(kind, addr)
			if kind == "e2e" {
				l.Rate, l.Limit, l.Warm = 1000, 500*time.Millisecond, 200*time.Millisecond
			}
			r, err := Run(t.Context(), l)
			if err != nil {
				t.Fatal(err)
			}
			if !r.OK() || r.Records == 0 {
				t.Errorf("%+v", r)
			}
			for _, name := range want {
				if !slices.ContainsFunc(r.Measures, func(m Measure) bool { return m.Name == name && m.Value > 0 }) {
					t.Errorf("no %s in %v", name, r.Measures)
				}
			}
		})
	}
	if left := topics(t, addr); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestAThrottledRunSaysSo: its figures are the quota's.
func TestAThrottledRunSaysSo(t *testing.T) {
	addr := brokertest.Start(t, 1).Addr()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	everybody := kadm.ClientQuotaEntity{{Type: "client-id"}}
	set, err := kadm.NewClient(cl).AlterClientQuotas(t.Context(), []kadm.AlterClientQuotaEntry{{Entity: everybody, Ops: []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 5000}}}})
	if err != nil || len(set) != 1 || set[0].Err != nil {
		t.Fatal(set, err)
	}
	for _, kind := range []string{"produce", "raw"} {
		l := load(kind, addr)
		l.Codec, l.Payload, l.Records, l.Passes, l.Check = "none", "random", 600, 0, false
		l.Client = append(l.Client, kgo.ClientID(kind)) // each has the quota for itself
		r, err := Run(t.Context(), l)
		if err != nil || r.Throttles == 0 || r.Throttled == 0 {
			t.Errorf("%s: %+v %v", kind, r, err)
		}
	}
}

func TestAnInterruptedRunRemovesItsTopic(t *testing.T) {
	addr := brokertest.Start(t, 1).Addr()
	ctx, stop := context.WithCancel(t.Context())
	l := load("e2e", addr)
	l.Rate, l.Limit = 1000, time.Hour
	l.Progress = func(stage string, _ float64, records int64) {
		if stage == "e2e" && records > 0 {
			stop()
		}
	}
	if _, err := Run(ctx, l); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if left := topics(t, addr); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestRawGoesThroughEveryDoor that a client of the same options goes through, and through none that it does not.
func TestRawGoesThroughEveryDoor(t *testing.T) {
	ca, dir := certs.NewCA(t, "ours"), t.TempDir()
	trust := ca.Truststore(t, dir, "ca.pem")
	key := ca.Make(t, pkix.Name{CommonName: "broker"}).Keystore(t, dir, "broker.pem")
	c := brokertest.Start(t, 1, brokertest.Listen("SASL_SSL://127.0.0.1:0", "SSL://127.0.0.1:0", "SASL_PLAINTEXT://127.0.0.1:0"), brokertest.Properties(map[string]string{
		"ssl.keystore.location": key, "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256", "sasl.jaas.config": `M required user_alice="secret";`,
	}))
	const alice = `M required username="alice" password="secret";`
	addUser(t, c.Addrs()[2], map[string]string{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.jaas.config": alice}, "alice", "secret")
	for door, p := range []map[string]string{
		{"security.protocol": "SASL_SSL", "ssl.truststore.location": trust, "sasl.mechanism": "SCRAM-SHA-256", "sasl.jaas.config": alice},
		{"security.protocol": "SSL", "ssl.truststore.location": trust},
		{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.jaas.config": alice},
	} {
		l := load("raw", c.Addrs()[door])
		secure, err := kafka.Secure(p)
		if err != nil {
			t.Fatal(err)
		}
		l.Client = append(l.Client, secure...)
		if r, err := Run(t.Context(), l); err != nil || !r.OK() || r.Records == 0 {
			t.Errorf("%s: %+v %v", p["security.protocol"], r, err)
		}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()[2]), kgo.SASL(plain.Auth{User: "alice", Pass: "wrong"}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	r := &run{Load: load("raw", ""), cl: cl}
	if _, err := r.dial(t.Context(), c.Addrs()[2]); !errors.Is(err, kerr.SaslAuthenticationFailed) {
		t.Errorf("another password: %v", err)
	}
}

// addUser gives a user a password for SCRAM.
func addUser(t *testing.T, addr string, properties map[string]string, user, password string) {
	t.Helper()
	secure, err := kafka.Secure(properties)
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(append(secure, kgo.SeedBrokers(addr))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	done, err := kadm.NewClient(cl).AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: user, Mechanism: kadm.ScramSha256, Iterations: 4096, Password: password}})
	if err != nil || done.Error() != nil {
		t.Fatal(err, done.Error())
	}
}

func TestMoreConnectionsThanPartitionsAndNoAcks(t *testing.T) {
	addr := brokertest.Start(t, 1).Addr()
	l := load("raw", addr)
	l.Producers, l.Consumers, l.Partitions = 5, 5, 2
	if r, err := Run(t.Context(), l); err != nil || !r.OK() {
		t.Errorf("%+v %v", r, err)
	}
	l.Acks, l.Passes = 0, 0
	if r, err := Run(t.Context(), l); err != nil || !r.OK() {
		t.Errorf("%+v %v", r, err)
	}
}

// TestTheCheckFindsWhatIsWrong makes each mistake that a broker could make.
func TestTheCheckFindsWhatIsWrong(t *testing.T) {
	var sent []*kgo.Record
	for i := range 100 {
		value := make([]byte, 50)
		stamp{1, uint64(i), 0}.put(value)
		sent = append(sent, &kgo.Record{Value: value})
	}
	judge := func(got []*kgo.Record) string {
		var written, read tally
		var disorder atomic.Int64
		check := newChecker(&disorder)
		for _, r := range sent {
			written.add(r.Value, true)
		}
		for _, r := range got {
			read.add(r.Value, true)
			check.see(r)
		}
		return strings.Join(compare(&written, &read, disorder.Load()), "; ")
	}
	if wrong := judge(sent); wrong != "" {
		t.Errorf("what is right: %s", wrong)
	}
	other := make([]byte, 50)
	stamp{1, 42, 1}.put(other)
	swapped := slices.Clone(sent)
	swapped[10], swapped[11] = swapped[11], swapped[10]
	for want, got := range map[string][]*kgo.Record{
		"100 records were acknowledged, 99 came back":                 slices.Delete(slices.Clone(sent), 42, 43),
		"1 records came twice or out of order":                        slices.Insert(slices.Clone(sent), 43, sent[42]),
		"the checksums of what was written and what came back differ": slices.Replace(slices.Clone(sent), 42, 43, &kgo.Record{Value: other}),
		"1 records came twice or out of order ":                       swapped,
	} {
		if wrong := judge(got); !strings.Contains(wrong+" ", want) {
			t.Errorf("%q, want %q", wrong, want)
		}
	}
}

func TestHistogramsKnowQuantilesWellEnough(t *testing.T) {
	h := &hist{}
	rng := rand.New(rand.NewPCG(1, 2))
	var all []float64
	for range 20_000 {
		d := time.Duration(rng.ExpFloat64() * 5e6)
		h.add(d)
		all = append(all, float64(d)/1e6)
	}
	slices.Sort(all)
	for _, q := range []float64{.5, .9, .99, .999, 1} {
		want := all[int(q*float64(len(all)-1))]
		if got := h.quantile(q); got < want*.99 || got > want*1.01 {
			t.Errorf("p%g: %f, want %f", q*100, got, want)
		}
	}
	h.add(-5)
	h.add(1 << 62) // clocks do odd things
}

func TestMediansAndRatios(t *testing.T) {
	run := func(v float64) *Result { return &Result{Measures: []Measure{{"x", "s", v, Less}}} }
	rows := Medians([]*Result{run(9), run(1), run(2)}, []*Result{run(4), run(8)})
	if rows[0].Value != 2 || rows[0].Compared != 6 || rows[0].Ratio != 2.0/6 {
		t.Errorf("%+v", rows)
	}
}

func TestProcessesThatAreNotThereAreRefused(t *testing.T) {
	l := load("raw", "127.0.0.1:1")
	l.PIDs = []int{1 << 30}
	if _, err := Run(t.Context(), l); err == nil || !strings.Contains(err.Error(), "cannot see process") {
		t.Errorf("%v", err)
	}
}
