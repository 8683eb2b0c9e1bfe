package wire

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/quota"
)

// Config bounds a server.
type Config struct {
	RequestMax int           // largest produce request, bytes; other requests have limits of their own
	Budget     int64         // memory for requests under way, bytes
	Idle       time.Duration // without a request, then a connection is closed
	// What the kernel keeps of a connection at most, bytes; 0 or less: as much as it thinks right.
	SendBuffer, ReceiveBuffer int
	Limits
}

// buffer tells the kernel how much to keep of a connection.
func (cfg Config) buffer(nc net.Conn) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	if cfg.SendBuffer > 0 {
		_ = tcp.SetWriteBuffer(cfg.SendBuffer) // fails only if the connection is gone already, which whoever reads it notices
	}
	if cfg.ReceiveBuffer > 0 {
		_ = tcp.SetReadBuffer(cfg.ReceiveBuffer)
	}
}

// Server serves connections of any number of listeners.
type Server struct {
	api *api.API
	cfg Config
	log *slog.Logger
	// Memory for requests: while their bytes come, which is up to clients, and while they are served, which is not.
	reading, decoding *budget
	owed              atomic.Int64 // bytes of answers that wait for their clients
	owedMax           int64        // beyond it those who do not read are disconnected
	relieving         sync.Mutex

	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
	stats  stats

	limits   atomic.Pointer[Limits]
	accepted quota.Rate
	delayed  atomic.Int64 // connections beyond a quota that are closed a little later

	mu        sync.Mutex
	conns     map[*conn]struct{}
	hosts     map[string]int // connections by address
	listeners map[net.Listener]struct{}
	stopping  bool
}

// NewServer serves a.
func NewServer(a *api.API, cfg Config, log *slog.Logger) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		api: a, cfg: cfg, log: log, reading: newBudget(cfg.Budget / 2), decoding: newBudget(cfg.Budget / 2), owedMax: cfg.Budget / 2, ctx: ctx, cancel: cancel,
		conns: map[*conn]struct{}{}, hosts: map[string]int{}, listeners: map[net.Listener]struct{}{},
	}
	s.SetLimits(cfg.Limits)
	return s
}

// Serve accepts connections until the listener is closed or Shutdown is called, and then returns nil.
func (s *Server) Serve(l net.Listener, door Door) error {
	door.Listener = l.Addr().String()
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return l.Close()
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	for {
		nc, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			s.stats.acceptFailed.Add(1)
			s.log.Error("accept failed", "listener", l.Addr().String(), "error", err)
			select { // out of descriptors, most likely: others may close meanwhile
			case <-time.After(50 * time.Millisecond):
				continue
			case <-s.ctx.Done():
				return nil
			}
		}
		if s.tooSoon(nc) {
			continue
		}
		s.ServeConn(nc, door)
		if !s.pace() {
			return nil
		}
	}
}

// ServeConn serves one connection in the background.
func (s *Server) ServeConn(nc net.Conn, door Door) {
	s.cfg.buffer(nc)
	c := newConn(s, nc, door)
	ok, limit := s.admit(c)
	if ok {
		go c.run()
		return
	}
	if limit != "" {
		s.stats.refused.Add(1)
		s.log.Warn("connection refused: "+limit+" is reached", "client", c.remote)
	}
	c.cancel(errClosing)
	_ = nc.Close() // there is nobody to tell
}

// Shutdown stops accepting and reading, lets requests under way finish until ctx ends, and closes all connections.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	var errs []error
	for l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	for c := range s.conns {
		c.drain()
	}
	s.mu.Unlock()
	finished := make(chan struct{})
	go func() {
		s.done.Wait()
		close(finished)
	}()
	select {
	case <-finished:
	case <-ctx.Done():
		s.mu.Lock()
		for c := range s.conns {
			c.close()
		}
		s.mu.Unlock()
		<-finished
	}
	s.cancel()
	return errors.Join(errs...)
}
