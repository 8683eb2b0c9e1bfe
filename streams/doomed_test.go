package streams_test

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/leatstream/leat/internal/kafka"
)

// doomed is a way to the cluster that ends for good, all connections at once, as when a process is killed.
type doomed struct {
	kafka.Config
	mu    sync.Mutex
	conns []net.Conn
	over  bool
}

func newDoomed(cfg kafka.Config) *doomed {
	d := &doomed{Config: cfg}
	dial := cfg.Dial
	d.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.over {
			return nil, errors.New("the process is dead")
		}
		nc, err := dial(ctx, network, addr)
		if err == nil {
			d.conns = append(d.conns, nc)
		}
		return nc, err
	}
	return d
}

func (d *doomed) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	for _, nc := range d.conns {
		_ = nc.Close()
	}
}
