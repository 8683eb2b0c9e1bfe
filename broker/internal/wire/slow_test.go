package wire_test

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/broker/internal/wire"
)

// piped serves one connection on a clock that the test moves.
func piped(t *testing.T, a *api.API) (client net.Conn, stop func()) {
	cfg := defaults
	cfg.Idle = 10 * time.Minute
	s := wire.NewServer(a, cfg, slog.New(slog.DiscardHandler))
	client, server := net.Pipe()
	s.ServeConn(server, wire.Door{Listener: "pipe"})
	return client, func() {
		client.Close()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// TestSlowLoris: who begins a request and sends the rest byte by byte, each just in time for nothing, is disconnected; who
// waits between requests is not, until the idle time is over.
func TestSlowLoris(t *testing.T) {
	whole := framed(apitest.Frame(versions(), 1))
	for name, tc := range map[string]struct {
		send func(c net.Conn)
		want time.Duration // from the beginning
	}{
		"half a length":             {func(c net.Conn) { c.Write(whole[:2]) }, 30 * time.Second},
		"a header without its body": {func(c net.Conn) { c.Write(whole[:len(whole)-1]) }, 30 * time.Second},
		"much announced, little sent": {func(c net.Conn) {
			c.Write(binary.BigEndian.AppendUint32(nil, 50<<20))
			c.Write([]byte{0, 0, 0, 9, 0, 0, 0, 1})
		}, 30 * time.Second},
		"a byte every five seconds": {func(c net.Conn) {
			for _, b := range whole {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(5 * time.Second)
			}
		}, 30 * time.Second},
		"nothing": {func(net.Conn) {}, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, stop := piped(t, &api.API{})
				defer stop()
				begin := time.Now()
				var sending sync.WaitGroup
				sending.Go(func() { tc.send(c) })
				if _, err := io.Copy(io.Discard, c); err != nil { // until the server hangs up
					t.Fatal(err)
				}
				if took := time.Since(begin); took < tc.want || took > tc.want+10*time.Second {
					t.Errorf("disconnected after %s, want %s", took, tc.want)
				}
				sending.Wait()
			})
		})
	}
}
