package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"

	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/internal/obs"
)

const defaultMetrics = "127.0.0.1:9644"

// listenMetrics opens the address for Prometheus; nil where there is to be none. The default one is not worth a failure:
// where another process has it, a free port takes its place.
func listenMetrics(addr string, insecure bool) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, usageError("--metrics %s: an address is HOST:PORT, such as %s", addr, defaultMetrics)
	}
	if ip := net.ParseIP(host); !insecure && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, usageError("--metrics %s can be reached by other machines, and nobody has to authenticate\n  hint: use 127.0.0.1, or say that you want this with --insecure", addr)
	}
	var cfg net.ListenConfig
	l, err := cfg.Listen(context.Background(), "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) && addr == defaultMetrics {
		l, err = cfg.Listen(context.Background(), "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen for Prometheus: %w\n  hint: choose another address with --metrics HOST:PORT, or none with --metrics ''", err)
	}
	return l, nil
}

// serveMetrics answers at l until ctx ends, and returns when it has stopped.
func serveMetrics(ctx context.Context, l net.Listener, b *broker.Broker, log *slog.Logger) (wait func()) {
	s := obs.Server{Write: b.Metrics, Log: log, Ready: func() error {
		select {
		case <-b.Ready():
			return nil
		default:
			return broker.ErrNotRunning
		}
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(ctx, l); err != nil {
			log.Error("metrics are not served any more", "error", err)
		}
	}()
	return func() { <-done }
}
