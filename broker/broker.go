package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// drainTime is how long a stop waits for requests under way.
const drainTime = time.Second

// ErrNotRunning says that the broker was not started, or has stopped.
var ErrNotRunning = errors.New("the broker is not running")

// Broker is one node. Make it with New, and run it once.
type Broker struct {
	plan *plan

	ready    chan struct{} // closed when clients are served
	stop     chan struct{} // closed to end Run
	stopOnce sync.Once
	done     chan struct{} // closed when Run has returned

	mu      sync.Mutex
	started bool
	node    *node // while it runs
}

// New checks cfg and returns a broker that Run starts. It touches neither files nor sockets. Its error is a *ConfigError.
func New(cfg Config) (*Broker, error) {
	p, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	return &Broker{plan: p, ready: make(chan struct{}), stop: make(chan struct{}), done: make(chan struct{})}, nil
}

// Run serves clients until ctx ends or Shutdown is called, and then returns nil after everything is on disk. What keeps it
// from starting is a *StartError; that ctx ends meanwhile is none.
func (b *Broker) Run(ctx context.Context) error {
	b.mu.Lock()
	if b.started {
		b.mu.Unlock()
		return errors.New("a broker runs once")
	}
	b.started = true
	b.mu.Unlock()
	defer close(b.done)
	select {
	case <-b.stop: // Shutdown came first: nothing is opened
		return nil
	default:
	}

	if len(b.plan.ignored) > 0 {
		b.plan.logger.Warn("these properties have no effect here", "names", b.plan.ignored)
	}
	n, err := start(ctx, b.plan)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.node = n
	b.mu.Unlock()
	close(b.ready)
	n.serve()
	select {
	case <-ctx.Done():
	case <-b.stop:
	}
	b.mu.Lock()
	b.node = nil
	b.mu.Unlock()
	if err := n.close(); err != nil {
		return fmt.Errorf("stop the broker: %w", err)
	}
	return nil
}

// Ready is closed when clients are served. It stays open if Run fails before.
func (b *Broker) Ready() <-chan struct{} { return b.ready }

// Shutdown ends Run and waits for it, or for ctx. A broker that was never run needs none.
func (b *Broker) Shutdown(ctx context.Context) error {
	b.stopOnce.Do(func() { close(b.stop) })
	b.mu.Lock()
	started := b.started
	b.mu.Unlock()
	if !started {
		return nil
	}
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Addr is where clients reach the first listener once the broker is ready, HOST:PORT; "" without listeners.
func (b *Broker) Addr() string {
	if addrs := b.Addrs(); len(addrs) > 0 {
		return addrs[0]
	}
	return ""
}

// Addrs is Addr for every listener. Port 0 is the port that was found.
func (b *Broker) Addrs() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	if b.node != nil {
		for _, d := range b.node.doors {
			out = append(out, d.addr())
		}
		return out
	}
	for _, l := range b.plan.listeners {
		out = append(out, l.addr)
	}
	return out
}

// Metrics writes how the broker is doing, in Prometheus' text format: our own names, and those of kafka_exporter. It is
// ErrNotRunning before the broker is ready and after it has stopped.
func (b *Broker) Metrics(w io.Writer) error {
	b.mu.Lock()
	n := b.node
	b.mu.Unlock()
	if n == nil {
		return ErrNotRunning
	}
	return n.writeMetrics(w)
}

// DialContext opens a connection inside this process, whatever network and addr say. It fits kgo.Dialer. It waits until
// the broker is ready.
func (b *Broker) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	select {
	case <-b.ready:
	case <-b.done:
		return nil, ErrNotRunning
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	b.mu.Lock()
	n := b.node
	b.mu.Unlock()
	if n == nil {
		return nil, ErrNotRunning
	}
	return n.dial(), nil
}
