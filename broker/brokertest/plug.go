package brokertest

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// plug is what clients are connected through to a cluster that can lose power.
type plug struct {
	mu   sync.Mutex
	out  bool
	ends []net.Conn
}

// dial connects while there is power.
func (p *plug) dial(connect func() (net.Conn, error)) (net.Conn, error) {
	conn, err := connect()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out {
		conn.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED} // which clients try again
	}
	p.ends = append(p.ends, conn)
	return conn, nil
}

// pull cuts every connection: from now on nobody hears anything.
func (p *plug) pull() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.ends {
		conn.Close()
	}
	p.out, p.ends = true, nil
}

func (p *plug) insert() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = false
}

// dialTCP is how clients reach the port of a cluster that can lose power.
func (c *Cluster) dialTCP(ctx context.Context, network, addr string) (net.Conn, error) {
	return c.power.dial(func() (net.Conn, error) { return new(net.Dialer).DialContext(ctx, network, addr) })
}
