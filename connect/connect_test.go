package connect_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	plugin "github.com/hashicorp/go-plugin"
	"github.com/leatstream/leat/broker/brokertest"
	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/sdk"
	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/plugins/file"
	"github.com/leatstream/leat/plugins/generate"
	"google.golang.org/grpc"
)

// The test binary is started again as a plugin by "as NAME", whatever else a TestMain of this folder does.
func init() {
	if len(os.Args) != 3 || os.Args[1] != "as" || os.Getenv(proto.CookieKey) == "" {
		return
	}
	if c, ok := honest[os.Args[2]]; ok {
		sdk.Serve(c)
	} else {
		plugin.Serve(&plugin.ServeConfig{HandshakeConfig: proto.Handshake, GRPCServer: plugin.DefaultGRPCServer,
			Plugins: plugin.PluginSet{proto.DoorName: &proto.Door{Service: liars[os.Args[2]]}}})
	}
	os.Exit(0)
}

// honest plugins use the SDK, and fail within its rules.
var honest = map[string]sdk.Connector{"file": file.Connector(), "generate": generate.Connector(), "shaky": shaky(), "broke": broke(),
	"stuck": stuck("stuck", func() error { select {} }),
	"later": stuck("later", func() error { return sdk.TransientAfter(errors.New("come back in an hour"), time.Hour) }),
}

type markConfig struct {
	Mark string `cfg:"mark,required"`
}

// shaky fails once, after some records, then works.
func shaky() sdk.Connector {
	return sdk.Connector{Name: "shaky", Version: "1.0.0", Summary: "Fails once.", Source: sdk.Source[markConfig]{Summary: "Fails once.", Ends: true,
		Run: func(ctx context.Context, c markConfig, t *sdk.Task) error {
			claim, err := sdk.OpenClaim[int](t, "one")
			if err != nil {
				return err
			}
			for n := claim.Position; n < 100; n++ {
				if n == 50 {
					f, err := os.OpenFile(c.Mark, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
					if err == nil {
						_ = f.Close()
						return sdk.Transient(errors.New("the server is away"))
					}
				}
				if err := claim.Deliver(ctx, sdk.Record{Value: fmt.Append(nil, n)}, n+1); err != nil {
					return err
				}
			}
			return nil
		}}}
}

// broke can never work.
func broke() sdk.Connector {
	return sdk.Connector{Name: "broke", Version: "1.0.0", Summary: "Fails.", Source: sdk.Source[struct{}]{Summary: "Fails.",
		Run: func(context.Context, struct{}, *sdk.Task) error {
			return sdk.Fatal("broke.bill", errors.New("the bill is not paid"), "pay it")
		}}}
}

// liar speaks the protocol and breaks its rules.
type liar struct {
	proto.UnimplementedPluginServer
	batch *proto.SourceBatch                      // a source's first
	ack   func(b *proto.SinkBatch) *proto.SinkAck // a sink's answer
	epoch int64
}

var liars = map[string]*liar{
	"bad-crc":     {batch: &proto.SourceBatch{Seq: 1, Claim: "c", Count: 2, Frame: frame(func(b []byte) { b[len(b)-1] ^= 1 })}},
	"bad-count":   {batch: &proto.SourceBatch{Seq: 1, Claim: "c", Count: 3, Frame: frame(func([]byte) {})}},
	"bad-control": {batch: &proto.SourceBatch{Seq: 1, Claim: "c", Count: 2, Frame: frame(func(b []byte) { b[22] |= 0x20; batch.Seal(b) })}},
	"bad-length":  {batch: &proto.SourceBatch{Seq: 1, Claim: "c", Count: 2, Frame: append(frame(func([]byte) {}), 0)}},
	"bad-seq":     {batch: &proto.SourceBatch{Seq: 3, Claim: "c", Count: 2, Frame: frame(func([]byte) {})}},
	"bad-records": {batch: &proto.SourceBatch{Seq: 1, Claim: "c", Count: 2, Records: []*proto.Record{{Value: []byte("x")}}}},
	"bad-missing": {batch: &proto.SourceBatch{Seq: 1, Claim: "c", Count: 2}},
	"bad-both":    {batch: &proto.SourceBatch{Seq: 1, Claim: "c", Count: 2, Frame: frame(func([]byte) {}), Records: []*proto.Record{{}}}},
	"ack-beyond":  {ack: func(b *proto.SinkBatch) *proto.SinkAck { return &proto.SinkAck{NextOffset: b.GetNextOffset() + 1000} }},
	"ack-before":  {ack: func(*proto.SinkBatch) *proto.SinkAck { return &proto.SinkAck{NextOffset: -1} }},
	"bad-poison": {ack: func(b *proto.SinkBatch) *proto.SinkAck {
		return &proto.SinkAck{NextOffset: b.GetNextOffset(), Verdicts: []*proto.Verdict{{Offset: 700, Class: proto.Class_CLASS_POISON}}}
	}},
	"bad-transient": {ack: func(b *proto.SinkBatch) *proto.SinkAck {
		return &proto.SinkAck{NextOffset: b.GetNextOffset(), Verdicts: []*proto.Verdict{{Offset: b.GetFirstOffset(), Class: proto.Class_CLASS_TRANSIENT}}}
	}},
}

// frame is a batch of two records, spoilt.
func frame(spoil func([]byte)) []byte {
	b := batch.NewBuilder(batch.None)
	b.Append(1, nil, []byte("x"), nil)
	b.Append(1, nil, []byte("y"), nil)
	raw, err := b.Build(nil)
	if err != nil {
		panic(err)
	}
	spoil(raw)
	return raw
}

func (l *liar) Validate(context.Context, *proto.ConfigRequest) (*proto.ConfigResponse, error) {
	return &proto.ConfigResponse{}, nil
}

func (l *liar) Open(_ context.Context, r *proto.OpenRequest) (*proto.OpenResponse, error) {
	l.epoch = r.GetEpoch()
	return &proto.OpenResponse{}, nil
}

func (l *liar) Source(s grpc.BidiStreamingServer[proto.SourceControl, proto.SourceMessage]) error {
	err := s.Send(&proto.SourceMessage{Epoch: l.epoch, Body: &proto.SourceMessage_Batch{Batch: l.batch}})
	for err == nil {
		_, err = s.Recv()
	}
	return err
}

func (l *liar) Sink(s grpc.BidiStreamingServer[proto.SinkMessage, proto.SinkControl]) error {
	err := s.Send(&proto.SinkControl{Epoch: l.epoch, Body: &proto.SinkControl_Credit{Credit: &proto.Credit{Bytes: 1 << 20, Batches: 100}}})
	for err == nil {
		var m *proto.SinkMessage
		if m, err = s.Recv(); err != nil {
			return err
		}
		if a := m.GetAssign(); a != nil {
			answer := &proto.SinkAssigned{}
			for _, p := range a.GetPartitions() {
				answer.Starts = append(answer.Starts, &proto.SinkStart{From: p, NextOffset: -1})
			}
			err = s.Send(&proto.SinkControl{Epoch: l.epoch, Body: &proto.SinkControl_Assigned{Assigned: answer}})
		}
		if b := m.GetBatch(); b != nil {
			ack := l.ack(b)
			ack.From = b.GetFrom()
			err = s.Send(&proto.SinkControl{Epoch: l.epoch, Body: &proto.SinkControl_Ack{Ack: ack}})
		}
	}
	return err
}

// bench is a broker and a folder.
type bench struct {
	*testing.T
	cluster *brokertest.Cluster
	client  *kafka.Client
	dir     string
	log     *log
}

type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func newBench(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	return newSerialBench(t)
}

func newSerialBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, cluster: brokertest.Start(t, 1, brokertest.InMemory()), dir: t.TempDir(), log: &log{}}
	client, err := kafka.New(b.kafka())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	t.Cleanup(func() {
		if t.Failed() {
			b.log.mu.Lock()
			defer b.log.mu.Unlock()
			t.Logf("%s", b.log.buf.Bytes())
		}
	})
	b.client = client
	return b
}

func (b *bench) kafka() kafka.Config {
	return kafka.Config{Brokers: []string{b.cluster.Addr()}, Dial: b.cluster.DialContext, InstanceID: "test"}
}

func (b *bench) write(name, content string, mode os.FileMode) string {
	b.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		b.Fatal(err)
	}
	return path
}

func (b *bench) config(src string) connect.Config {
	b.Helper()
	path := b.write("c.yaml", src, 0o600)
	var d diag.List
	docs := yaml.Parse(path, []byte(src), &d)
	if err := d.Err(); err != nil {
		b.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	return connect.Config{Documents: docs, Kafka: b.kafka(), PluginDir: filepath.Join(b.dir, "plugins"), Names: []string{"file", "generate"},
		Bundled: func(name string) ([]string, bool) {
			_, ok := honest[name]
			return []string{self, "as", name}, ok || liars[name] != nil
		}, Logger: slog.New(slog.NewTextHandler(b.log, nil))}
}

func (b *bench) start(src string) (r *connect.Runtime, stop func() error) {
	b.Helper()
	r, err := connect.New(b.config(src))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	b.Cleanup(func() { _ = stop() })
	return r, stop
}

func (b *bench) topic(name string) {
	b.Helper()
	if err := b.client.EnsureTopic(b.Context(), name, 1, nil); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) records(topic string) (values []string, all []batch.Record) {
	b.Helper()
	var s batch.Scratch
	if _, err := b.client.ReadAll(b.Context(), topic, 0, 0, func(f kafka.Fetched) error {
		return f.Each(&s, func(_ batch.Header, r *batch.Record) error {
			values = append(values, string(r.Value))
			all = append(all, batch.Record{Value: bytes.Clone(r.Value), Headers: slices.Clone(r.Headers)})
			return nil
		})
	}); err != nil {
		b.Fatal(err)
	}
	return values, all
}

func status(r *connect.Runtime, name string) connect.Status {
	for _, s := range r.Status() {
		if s.Name == name {
			return s
		}
	}
	panic("no connector " + name)
}

// wait polls a connector's status until it is as wanted.
func (b *bench) wait(r *connect.Runtime, name, what string, ok func(connect.Status) bool) connect.Status {
	b.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(3 * time.Minute); ; <-tick.C {
		s := status(r, name)
		if ok(s) {
			return s
		}
		if time.Now().After(end) {
			b.Fatalf("%s: not %s: %+v", name, what, s)
		}
	}
}

func TestPluginsThatBreakTheProtocolAreNamedAndCostNobodyRecords(t *testing.T) {
	b := newBench(t)
	b.topic("in")
	b.topic("ticks")
	want := map[string]string{
		"bad-crc": "its CRC does not match", "bad-count": "3 records announced, 2 in the batch", "bad-control": "control batch",
		"bad-length": "bytes for a batch of", "bad-seq": `batch 3 of claim "c" came where 1 was due`, "bad-records": "2 records announced, 1 sent",
		"bad-missing": "2 records announced, 0 sent", "bad-both": "both a frame and 1 records",
		"ack-beyond": "it acknowledged in partition 0 up to 100", "ack-before": "it acknowledged in partition 0 up to -1, having been given 0 to",
		"bad-poison": "a verdict on offset 700", "bad-transient": "a verdict on offset 0",
	}
	var src strings.Builder
	for name := range want {
		if liars[name].batch != nil {
			fmt.Fprintf(&src, "source: %s\nplugin: %[1]s\nto: %[1]s\n---\n", name)
		} else {
			fmt.Fprintf(&src, "sink: %s\nplugin: %[1]s\nfrom: in\n---\n", name)
		}
	}
	src.WriteString("source: feed\nplugin: generate\nconfig: {count: 3, rate: 0, value: '{{seq}}'}\nto: in\n---\n")
	src.WriteString("source: ticks\nplugin: generate\nconfig: {rate: 100, value: '{{seq}}'}\nto: ticks\n")
	r, stop := b.start(src.String())
	for name, text := range want {
		s := b.wait(r, name, "named", func(s connect.Status) bool {
			return s.Restarts >= 2 && strings.Contains(s.LastError, text)
		})
		if !strings.Contains(s.LastError, "plugin "+name+" broke the protocol: ") || s.State == "failed" {
			t.Errorf("%+v", s)
		}
	}
	before := status(r, "ticks")
	after := b.wait(r, "ticks", "moving", func(s connect.Status) bool { return s.Records > before.Records })
	if after.PID != before.PID || after.Restarts != 0 || after.State != "running" {
		t.Errorf("disturbed: %+v, then %+v", before, after)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for name := range want {
		if liars[name].batch == nil {
			continue
		}
		if values, _ := b.records(name); len(values) > 0 {
			t.Errorf("%s wrote %q", name, values)
		}
	}
	values, _ := b.records("ticks")
	for i, v := range values {
		if v != fmt.Sprint(i) {
			t.Fatalf("tick %d is %s", i, v)
		}
	}
	// What a liar acknowledged is still there for a sink that works.
	out := filepath.Join(b.dir, "out.jsonl")
	r, _ = b.start("sink: ack-beyond\nplugin: file\nconfig: {path: '" + out + "'}\nfrom: in\n")
	b.wait(r, "ack-beyond", "done", func(s connect.Status) bool { return s.Drained && s.Records == 3 })
	if raw, err := os.ReadFile(out); err != nil || string(raw) != "0\n1\n2\n" {
		t.Errorf("%v %q", err, raw)
	}
}

func TestTransientAndFatalFailures(t *testing.T) {
	b := newBench(t)
	b.topic("shaky")
	r, stop := b.start("source: shaky\nplugin: shaky\nconfig: {mark: '" + filepath.Join(b.dir, "mark") + "'}\nto: shaky\n---\nsource: broke\nplugin: broke\nto: broke\n")
	s := b.wait(r, "shaky", "done", func(s connect.Status) bool { return s.Drained })
	if s.Restarts < 1 || s.Records != 100 || s.LastError != "plugin shaky: the server is away" || s.State != "running" {
		t.Errorf("%+v", s)
	}
	s = b.wait(r, "broke", "failed", func(s connect.Status) bool { return s.State == "failed" })
	if s.LastError != "plugin broke: the bill is not paid (pay it)" || s.PID != 0 {
		t.Errorf("%+v", s)
	}
	if err := stop(); err == nil || err.Error() != "source broke: plugin broke: the bill is not paid (pay it)" {
		t.Errorf("Run returned %v", err)
	}
	values, _ := b.records("shaky")
	for i, v := range values {
		if v != fmt.Sprint(i) || len(values) != 100 {
			t.Fatalf("%d records, number %d is %s", len(values), i, v)
		}
	}
}

func TestRecordsWithoutAReadableKeyAreDeadLetters(t *testing.T) {
	b := newBench(t)
	b.topic("rows")
	in := b.write("in.txt", "{\"id\": \"a\"}\nnot JSON\n{\"id\": 2}\n[3]\n{\"other\": 4}\n", 0o600)
	r, _ := b.start("source: rows\nplugin: file\nconfig: {path: '" + in + "', format: lines}\nto: {topic: rows, key: value.id}\n")
	s := b.wait(r, "rows", "drained", func(s connect.Status) bool { return s.Drained })
	if s.Records != 3 || s.DeadLetters != 2 || s.Restarts != 0 || !strings.Contains(s.LastError, "the key id cannot be read") {
		t.Errorf("%+v", s)
	}
	if values, _ := b.records("rows"); strings.Join(values, "|") != `{"id": "a"}|{"id": 2}|{"other": 4}` {
		t.Errorf("%q", values)
	}
	values, letters := b.records("rows.dead-letter")
	if strings.Join(values, "|") != "not JSON|[3]" {
		t.Fatalf("%q", values)
	}
	headers := map[string]string{}
	for _, h := range letters[0].Headers {
		headers[h.Key] = string(h.Value)
	}
	if headers["__connect.errors.exception.class.name"] != "connect.key" || headers["__connect.errors.connector.name"] != "rows" ||
		!strings.Contains(headers["__connect.errors.exception.message"], "the key id cannot be read: ") {
		t.Errorf("%v", headers)
	}
}

func TestCheckBlamesTheLine(t *testing.T) {
	b := newBench(t)
	if err := os.Mkdir(filepath.Join(b.dir, "plugins"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"plugins/quits": "#!/bin/sh\necho 'no licence' >&2\nexit 3\n", "plugins/prints": "#!/bin/sh\necho hello there\nexec sleep 60\n",
	} {
		b.write(name, text, 0o700) //nolint:gosec // a program
	}
	b.write("plugins/locked", "#!/bin/sh\n", 0o600)
	for name, c := range map[string]struct{ src, at, message, hint string }{
		"missing":        {"source: s\nplugin: flie\nto: t\n", "2:9", `there is no plugin "flie"`, `did you mean "file"? (the plugins are file, generate, locked, prints, quits)`},
		"not executable": {"source: s\nplugin: locked\nto: t\n", "2:9", "locked", "chmod +x"},
		"quits":          {"source: s\nplugin: quits\nto: t\n", "2:9", "plugin quits", ""},
		"prints":         {"source: s\nplugin: prints\nto: t\n", "2:9", `plugin prints: it is not a leat plugin: it printed "hello there"`, ""},
		"unknown key":    {"source: s\nplugin: file\nto: t\nconfig:\n  path: x\n  formt: csv\n", "6:3", "formt", "format"},
		"bad value":      {"source: s\nplugin: file\nto: t\nconfig: {path: x, format: tsv}\n", "4:27", "format", ""},
		"missing key":    {"source: s\nplugin: file\nto: t\nconfig: {format: csv}\n", "2:9", "path", ""},
		"no config":      {"source: s\nplugin: file\nto: t\n", "2:9", "path", ""},
		"no such role":   {"sink: s\nplugin: generate\nfrom: t\n", "2:9", "generate is no sink", ""},
		"twice":          {"source: s\nplugin: generate\nto: t\nconfig: {value: x}\n---\nsink: s\nplugin: file\nconfig: {path: x}\nfrom: t\n", "6:7", `a connector "s" already`, "its own"},
	} {
		t.Run(name, func(t *testing.T) {
			var d diag.List
			connect.Check(t.Context(), b.config(c.src), &d)
			problems := d.Problems()
			if len(problems) != 1 {
				t.Fatalf("%d problems: %v", len(problems), problems)
			}
			p := problems[0]
			if !strings.HasSuffix(p.Pos.String(), "/c.yaml:"+c.at) || !strings.Contains(p.Message, c.message) || !strings.Contains(p.Hint, c.hint) {
				t.Errorf("%v", p)
			}
		})
	}
}

// A connector from a module of its own, as anybody might build one.
func TestThirdPartyPlugin(t *testing.T) {
	b := newBench(t)
	b.topic("words")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(b.dir, "plugins", "words"), ".")
	build.Dir = "../plugins/example-words"
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := b.write("book.txt", "Call me Ishmael.\nSome years ago\n", 0o600)
	r, stop := b.start("source: book\nplugin: words\nconfig: {path: '" + text + "', min: 3}\nto: words\n")
	b.wait(r, "book", "drained", func(s connect.Status) bool { return s.Drained && s.Records == 5 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	values, _ := b.records("words")
	if want := `{"word":"call","line":1}|{"word":"ishmael","line":1}|{"word":"some","line":2}|{"word":"years","line":2}|{"word":"ago","line":2}`; strings.Join(values, "|") != want {
		t.Errorf("%q", values)
	}
}
