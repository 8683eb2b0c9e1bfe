package broker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// tryRun runs a broker until it is ready, and returns what keeps it from that.
func tryRun(t *testing.T, cfg broker.Config) error {
	t.Helper()
	b, err := broker.New(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	select {
	case err := <-done:
		return err
	case <-b.Ready():
		cancel()
		return <-done
	}
}

func TestWhatKeepsABrokerFromStarting(t *testing.T) {
	running := brokertest.Start(t, 1)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		cfg  broker.Config
		says []string
	}{
		"port in use": {broker.Config{DataDir: filepath.Join(dir, "a"), Listen: []string{running.Addr()}},
			[]string{"cannot listen on " + running.Addr(), "--listen HOST:PORT"}},
		"data directory in use": {broker.Config{DataDir: running.DataDir(), Listen: []string{}},
			[]string{running.DataDir() + " is used by another leat process", "--data DIR"}},
		"a file in the way": {broker.Config{DataDir: filepath.Join(file, "data"), Listen: []string{}},
			[]string{"a file is in its way", "--data DIR"}},
		"read-only": {broker.Config{DataDir: "data", FS: readOnly{vfs.NewMem()}, Listen: []string{}},
			[]string{"data is not writable", "--data DIR"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := tryRun(t, tc.cfg)
			var start *broker.StartError
			if !errors.As(err, &start) {
				t.Fatalf("%v is no StartError", err)
			}
			for _, s := range tc.says {
				if !strings.Contains(err.Error(), s) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%q does not say %q in one line", err, s)
				}
			}
		})
	}
}

// TestStoppedWhileItStarts: that is not the disk's fault, and no failure.
func TestStoppedWhileItStarts(t *testing.T) {
	dir := t.TempDir()
	for _, listen := range [][]string{{}, {"127.0.0.1:0"}} {
		b, err := broker.New(broker.Config{DataDir: dir, Listen: listen})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Run(ctx); err != nil {
			t.Errorf("listening on %q: %v", listen, err)
		}
	}
	if err := tryRun(t, broker.Config{DataDir: dir, Listen: []string{}}); err != nil {
		t.Errorf("the next start: %v", err)
	}
}

// readOnly is a file system on which nothing can be made.
type readOnly struct{ vfs.FS }

func (readOnly) MkdirAll(string, os.FileMode) error { return os.ErrPermission }

func TestWhatNewRefuses(t *testing.T) {
	good := broker.Default()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*broker.Config)
		says   string
	}{
		"no directory":       {func(c *broker.Config) { c.DataDir = "" }, "no data directory"},
		"every interface":    {func(c *broker.Config) { c.Listen = []string{"0.0.0.0:9092"} }, "--insecure"},
		"no host":            {func(c *broker.Config) { c.Listen = []string{":9092"} }, "--insecure"},
		"no port":            {func(c *broker.Config) { c.Listen = []string{"localhost"} }, "HOST:PORT"},
		"bad port":           {func(c *broker.Config) { c.Listen = []string{"localhost:x"} }, "HOST:PORT"},
		"advertised nowhere": {func(c *broker.Config) { c.Advertised = []string{"0.0.0.0:9092"} }, "advertised address 0.0.0.0:9092"},
		"typing mistake":     {func(c *broker.Config) { c.Properties = map[string]string{"num.partitons": "1"} }, "did you mean num.partitions?"},
		"wrong value":        {func(c *broker.Config) { c.Properties = map[string]string{"num.partitions": "0"} }, "at least 1"},
		"wrong id":           {func(c *broker.Config) { c.Properties = map[string]string{"node.id": "one"} }, "node.id"},
		"no protocol": {func(c *broker.Config) {
			c.Listen, c.Properties = nil, map[string]string{"listeners": "localhost:9092"}
		}, "PLAINTEXT://localhost:9092"},
		"tls": {func(c *broker.Config) {
			c.Listen, c.Properties = nil, map[string]string{"listeners": "SSL://localhost:9092"}
		}, "ssl.keystore.location"},
		"tls that anybody may speak": {func(c *broker.Config) {
			c.Listen, c.Properties = nil, map[string]string{"listeners": "SSL://0.0.0.0:9092", "ssl.keystore.location": "x.pem"}
		}, "ssl.client.auth=required"},
		"sasl without a mechanism": {func(c *broker.Config) {
			c.Listen, c.Properties = nil, map[string]string{"listeners": "SASL_PLAINTEXT://localhost:9092"}
		}, "sasl.enabled.mechanisms=SCRAM-SHA-512"},
		"sasl with another mechanism": {func(c *broker.Config) {
			c.Listen, c.Properties = nil, map[string]string{"listeners": "SASL_PLAINTEXT://localhost:9092", "sasl.enabled.mechanisms": "GSSAPI"}
		}, "GSSAPI"},
		"tokens for anybody": {func(c *broker.Config) {
			c.Listen, c.Properties = nil, map[string]string{"listeners": "SASL_PLAINTEXT://localhost:9092", "sasl.enabled.mechanisms": "OAUTHBEARER",
				"sasl.oauthbearer.expected.issuer": "https://i", "sasl.oauthbearer.jwks.endpoint.url": "https://i/keys"}
		}, "sasl.oauthbearer.expected.audience is not set"},
		"tokens of anybody": {func(c *broker.Config) {
			c.Listen, c.Properties = nil, map[string]string{"listeners": "SASL_PLAINTEXT://localhost:9092", "sasl.enabled.mechanisms": "OAUTHBEARER",
				"listener.name.sasl_plaintext.oauthbearer.sasl.oauthbearer.expected.audience": "a", "sasl.oauthbearer.expected.issuer": "https://i"}
		}, "sasl.oauthbearer.jwks.endpoint.url is not set"},
		"plain without users": {func(c *broker.Config) {
			c.Listen, c.Properties = nil, map[string]string{"listeners": "SASL_PLAINTEXT://localhost:9092", "sasl.enabled.mechanisms": "PLAIN"}
		}, "listener.name.sasl_plaintext.plain.sasl.jaas.config="},
		"plain with a user without a password": {func(c *broker.Config) {
			c.Listen, c.Properties = nil, map[string]string{"listeners": "SASL_PLAINTEXT://localhost:9092", "sasl.enabled.mechanisms": "PLAIN", "sasl.jaas.config": `M required user_a="";`}
		}, "a has no password"},
		"passwords in the open": {func(c *broker.Config) {
			c.Listen, c.Properties = nil, map[string]string{"listeners": "X://0.0.0.0:9092", "listener.security.protocol.map": "X:SASL_PLAINTEXT",
				"listener.name.x.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256", "sasl.jaas.config": `M required user_a="b";`}
		}, "allow.plain.without.tls=true"},
		"a listener without a protocol": {func(c *broker.Config) {
			c.Listen, c.Properties = nil, map[string]string{"listeners": "X://localhost:9092"}
		}, "add X:SASL_SSL"},
		"a wrong protocol": {func(c *broker.Config) {
			c.Properties = map[string]string{"listener.security.protocol.map": "X:TLS"}
		}, "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"},
		"two listeners of a name": {func(c *broker.Config) {
			c.Listen, c.Properties = nil, map[string]string{"listeners": "PLAINTEXT://localhost:9092,PLAINTEXT://localhost:9093"}
		}, "two listeners are named PLAINTEXT"},
		"a listener between brokers that is none": {func(c *broker.Config) {
			c.Listen, c.Properties = nil, map[string]string{"listeners": "PLAINTEXT://localhost:9092", "inter.broker.listener.name": "INTERNAL"}
		}, "no listener has that name"},
		"a typing mistake in a listener's property": {func(c *broker.Config) {
			c.Properties = map[string]string{"listener.name.x.ssl.keystore.locaton": "a"}
		}, "listener.name.x.ssl.keystore.locaton"},
		"another authorizer": {func(c *broker.Config) {
			c.Properties = map[string]string{"authorizer.class.name": "kafka.security.authorizer.AclAuthorizer"}
		}, "StandardAuthorizer"},
		"several directories": {func(c *broker.Config) {
			c.Properties = map[string]string{"log.dirs": "/a,/b"}
		}, "log.dirs names 2 directories"},
		"a super user without a type": {func(c *broker.Config) {
			c.Properties = map[string]string{"authorizer.class.name": "StandardAuthorizer", "super.users": "alice"}
		}, "User:alice"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			tc.change(&cfg)
			_, err := broker.New(cfg)
			var wrong *broker.ConfigError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("%v, want a ConfigError that says %q", err, tc.says)
			}
		})
	}
}

// TestDataIsTheOwnersAlone: other users of the machine read neither records nor what proves passwords.
func TestDataIsTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := tryRun(t, broker.Config{DataDir: dir, Listen: []string{}}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestListenersFromProperties(t *testing.T) {
	err := tryRun(t, broker.Config{DataDir: t.TempDir(), Properties: map[string]string{
		"listeners": "PLAINTEXT://localhost:0,CONTROLLER://localhost:9093", "advertised.listeners": "PLAINTEXT://kafka.example:19092"}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryDoorLeadsBackToItself(t *testing.T) {
	b, err := broker.New(broker.Config{DataDir: t.TempDir(), Insecure: true,
		Listen: []string{"localhost:0", "127.0.0.1:0", "0.0.0.0:0", "127.0.0.1:0", "0.0.0.0:0"}, Advertised: []string{"", "", "", "kafka.example:19092", ":19093"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	<-b.Ready()
	addrs := b.Addrs()
	_, anyPort, _ := net.SplitHostPort(addrs[2])
	want := []string{addrs[0], addrs[1], "127.0.0.1:" + anyPort, "kafka.example:19092", "127.0.0.1:19093"}
	for i, addr := range addrs {
		cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
		if err != nil {
			t.Fatal(err)
		}
		m, err := kadm.NewClient(cl).BrokerMetadata(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		if got := net.JoinHostPort(m.Brokers[0].Host, fmt.Sprint(m.Brokers[0].Port)); got != want[i] {
			t.Errorf("a client at %s is sent to %s, want %s", addr, got, want[i])
		}
		cl.Close()
	}
	if !strings.HasPrefix(addrs[0], "localhost:") || strings.HasSuffix(addrs[0], ":0") {
		t.Errorf("address %s", addrs[0])
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestAnotherNodesDataIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := tryRun(t, broker.Config{DataDir: dir, Listen: []string{}}); err != nil {
		t.Fatal(err)
	}
	err := tryRun(t, broker.Config{DataDir: dir, Listen: []string{}, Properties: map[string]string{"node.id": "4"}})
	if err == nil || !strings.Contains(err.Error(), "belongs to node 0") || !strings.Contains(err.Error(), "node.id=0") {
		t.Fatal(err)
	}
}

// TestStopIsQuick stops a broker while a producer writes and consumers wait.
func TestStopIsQuick(t *testing.T) {
	c := brokertest.Start(t, 1)
	cl := c.Client(t, kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics("t"), kgo.FetchMaxWait(20*time.Second), kgo.RecordDeliveryTimeout(time.Minute))
	ctx := testContext(t)
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	consume(ctx, t, cl, 1)
	var wg sync.WaitGroup
	poll, cancel := context.WithCancel(ctx)
	wg.Go(func() { cl.PollFetches(poll) }) // waits in a long poll
	begin := time.Now()
	c.Restart()
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("stopping and starting took %s", took)
	}
	cancel()
	wg.Wait()
}

func TestShutdownWithoutRun(t *testing.T) {
	b, err := broker.New(broker.Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.DialContext(ctx, "tcp", "anywhere:1"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := b.Run(t.Context()); err != nil { // what was stopped before ends at once
		t.Fatal(err)
	}
	if _, err := b.DialContext(t.Context(), "tcp", "anywhere:1"); !errors.Is(err, broker.ErrNotRunning) {
		t.Fatal(err)
	}
}
