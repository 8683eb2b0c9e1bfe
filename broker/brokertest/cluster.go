package brokertest

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience is how long a broker may take to start or stop in a test on a busy machine.
const patience = 3 * time.Minute

// Option changes how Start works.
type Option func(*Cluster)

// Properties sets broker configurations by Kafka's names.
func Properties(p map[string]string) Option {
	return func(c *Cluster) {
		for k, v := range p {
			c.cfg.Properties[k] = v
		}
	}
}

// InMemory opens no port: clients made by Client come through DialContext.
func InMemory() Option { return func(c *Cluster) { c.cfg.Listen = []string{} } }

// Listen opens these listeners, [NAME://]HOST:PORT each.
func Listen(addrs ...string) Option { return func(c *Cluster) { c.cfg.Listen = slices.Clone(addrs) } }

// CrashableFS keeps the data on a file system in memory. Without it PowerLoss cannot be used.
func CrashableFS() Option {
	return func(c *Cluster) { c.crashable = vfs.NewCrashableMem() }
}

// FS wraps the file system that brokers use, for faults.
func FS(wrap func(vfs.FS) vfs.FS) Option { return func(c *Cluster) { c.wrap = wrap } }

// Cluster is a set of running brokers, at present one.
type Cluster struct {
	t     testing.TB
	cfg   broker.Config
	wrap  func(vfs.FS) vfs.FS
	power plug

	mu        sync.Mutex
	crashable *vfs.MemFS // changed by PowerLoss, under the lock
	b         *broker.Broker
	run       chan error
	addrs     []string
}

// Start runs a cluster of nodes brokers until the test ends. nodes is 1 until clusters can have more.
func Start(t testing.TB, nodes int, opts ...Option) *Cluster {
	t.Helper()
	if nodes != 1 {
		t.Fatalf("brokertest: a cluster of %d nodes is not possible yet", nodes)
	}
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn)
	c := &Cluster{t: t, cfg: broker.Config{
		DataDir: t.TempDir(), Listen: []string{"127.0.0.1:0"}, Logger: logger(t, level), LogLevel: level,
		// Tests are a few clients that come at once: they need not wait for more members.
		Properties: map[string]string{"group.initial.rebalance.delay.ms": "0"},
	}}
	for _, o := range opts {
		o(c)
	}
	for i, l := range c.cfg.Listen { // clients find it there after a restart
		c.cfg.Listen[i] = withPort(t, l)
	}
	c.start()
	t.Cleanup(func() {
		c.stop() // clients were closed before: their clean-ups came later
	})
	return c
}

func (c *Cluster) start() {
	c.t.Helper()
	cfg := c.cfg
	if c.crashable != nil {
		cfg.FS = c.crashable
	}
	if c.wrap != nil {
		cfg.FS = c.wrap(cfg.FS)
	}
	b, err := broker.New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	run := make(chan error, 1)
	go func() { run <- b.Run(context.Background()) }()
	select {
	case <-b.Ready():
	case err := <-run:
		c.t.Fatalf("the broker does not start: %v", err)
	case <-time.After(patience):
		c.t.Fatal("the broker does not start")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.b, c.run, c.addrs = b, run, b.Addrs()
}

func (c *Cluster) stop() {
	c.t.Helper()
	c.mu.Lock()
	b, run := c.b, c.run
	c.b = nil
	c.mu.Unlock()
	if b == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Shutdown(ctx); err != nil {
		c.t.Errorf("the broker does not stop: %v", err)
		return
	}
	if err := <-run; err != nil {
		c.t.Errorf("the broker stopped with %v", err)
	}
}

// Stop stops the broker as Ctrl-C does. Restart starts it again.
func (c *Cluster) Stop() {
	c.t.Helper()
	c.stop()
}

// Restart stops the broker as Ctrl-C does, and starts it on the same data and address.
func (c *Cluster) Restart() {
	c.t.Helper()
	c.stop()
	c.start()
}

// PowerLoss cuts the power and starts again with what was on disk at that moment. unsynced is the share, in percent, of
// writes not yet synced that reached the disk all the same; seed picks them. Connections made by Client and DialContext are
// cut first: what the machine says afterwards, from a disk that nobody will see again, nobody hears.
func (c *Cluster) PowerLoss(unsynced int, seed uint64) {
	c.t.Helper()
	if c.crashable == nil {
		c.t.Fatal("brokertest: PowerLoss needs the option CrashableFS")
	}
	c.power.pull()
	after := c.crashable.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rng(seed)})
	c.stop() // of the machine that has no power any more, on its old file system
	c.mu.Lock()
	c.crashable = after
	c.mu.Unlock()
	c.start()
	c.power.insert()
}

// Addr is where clients connect, HOST:PORT; any such address when the cluster is InMemory.
func (c *Cluster) Addr() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.addrs) == 0 {
		return "leat-0:9092"
	}
	return c.addrs[0]
}

// Addrs is Addr of every listener.
func (c *Cluster) Addrs() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addrs
}

// Broker is the broker that runs at the moment.
func (c *Cluster) Broker() *broker.Broker {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b
}

// DataDir is where the broker keeps its data.
func (c *Cluster) DataDir() string { return c.cfg.DataDir }

// DialContext reaches the broker that runs at the moment through its in-memory door.
func (c *Cluster) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c.mu.Lock()
	b := c.b
	c.mu.Unlock()
	if b == nil {
		return nil, broker.ErrNotRunning
	}
	return c.power.dial(func() (net.Conn, error) { return b.DialContext(ctx, network, addr) })
}

// Client is a Kafka client of the cluster that is closed when the test ends.
func (c *Cluster) Client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	base := []kgo.Opt{kgo.SeedBrokers(c.Addr()), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil))}
	c.mu.Lock()
	losesPower := c.crashable != nil
	c.mu.Unlock()
	switch {
	case len(c.cfg.Listen) == 0:
		base = append(base, kgo.Dialer(c.DialContext))
	case losesPower:
		base = append(base, kgo.Dialer(c.dialTCP))
	}
	cl, err := kgo.NewClient(append(base, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// logger sends what a broker logs to the test's output.
func logger(t testing.TB, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level}))
}
