package wire_test

import (
	"context"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatstream/leat/broker/brokertest/certs"
	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/wire"
	"github.com/leatstream/leat/internal/security"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestStrangersHaveHalfAMinute: whatever a client does before it has proven who it is, it has 30 s for all of it.
func TestStrangersHaveHalfAMinute(t *testing.T) {
	every := func(what []byte) func(net.Conn) {
		return func(c net.Conn) {
			for {
				if _, err := c.Write(what); err != nil {
					return
				}
				time.Sleep(5 * time.Second)
			}
		}
	}
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.Version, handshake.Mechanism = 1, "SCRAM-SHA-256"
	first := kmsg.NewPtrSASLAuthenticateRequest()
	first.SASLAuthBytes = []byte("n,,n=alice,r=nonce")
	gate := &auth.Gate{Mechanisms: []auth.Mechanism{auth.NewScram(auth.ScramSHA256, func(string) (auth.ScramCredential, bool) { return auth.ScramCredential{}, false })}}
	keystore := certs.NewCA(t, "ours").Make(t, pkix.Name{CommonName: "broker"}).Keystore(t, t.TempDir(), "broker.pem")
	secure, err := auth.NewTLS(auth.TLSConfig{Keystore: security.Store{What: "ssl.keystore", Location: keystore}}, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		door wire.Door
		send func(net.Conn)
	}{
		"it says nothing":                      {wire.Door{SASL: gate}, func(net.Conn) {}},
		"it asks for versions again and again": {wire.Door{SASL: gate}, every(framed(apitest.Frame(versions(), 1)))},
		"it begins, and does not go on": {wire.Door{SASL: gate}, func(c net.Conn) {
			_, _ = c.Write(framed(apitest.Frame(handshake, 1)))
			_, _ = c.Write(framed(apitest.Frame(first, 2)))
		}},
		"it does not begin with TLS":  {wire.Door{TLS: secure}, func(net.Conn) {}},
		"it stops in TLS's handshake": {wire.Door{TLS: secure, SASL: gate}, func(c net.Conn) { _, _ = c.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc}) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := defaults
				cfg.Idle = 10 * time.Minute
				s := wire.NewServer(&api.API{Meta: meta.NewStore(nil)}, cfg, slog.New(slog.DiscardHandler))
				c, server := net.Pipe()
				s.ServeConn(server, tc.door)
				begin := time.Now()
				var sending sync.WaitGroup
				sending.Go(func() { tc.send(c) })
				if _, err := io.Copy(io.Discard, c); err != nil { // until the server hangs up
					t.Fatal(err)
				}
				if took := time.Since(begin); took < 25*time.Second || took > 40*time.Second {
					t.Errorf("disconnected after %s", took)
				}
				c.Close()
				sending.Wait()
				if err := s.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestWrongPasswordsHoldNothing: who waits for a refusal has no memory that others need.
func TestWrongPasswordsHoldNothing(t *testing.T) {
	gate := &auth.Gate{Mechanisms: []auth.Mechanism{auth.NewPlain(nil)}, FailureDelay: time.Minute}
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.Version, handshake.Mechanism = 1, "PLAIN"
	wrong := kmsg.NewPtrSASLAuthenticateRequest()
	wrong.SASLAuthBytes = append([]byte("\x00alice\x00"), make([]byte, 12<<10)...)
	synctest.Test(t, func(t *testing.T) {
		cfg := defaults
		cfg.Budget = 64 << 10
		s := wire.NewServer(&api.API{Meta: meta.NewStore(nil)}, cfg, slog.New(slog.DiscardHandler))
		stranger, server := net.Pipe()
		s.ServeConn(server, wire.Door{SASL: gate})
		for i, req := range []kmsg.Request{handshake, wrong} {
			if _, err := stranger.Write(framed(apitest.Frame(req, int32(i)))); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				if _, err := response(stranger); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		neighbour, server := net.Pipe()
		s.ServeConn(server, wire.Door{})
		begin := time.Now()
		if _, err := neighbour.Write(framed(apitest.Frame(versions(), 1))); err != nil {
			t.Fatal(err)
		}
		if _, err := response(neighbour); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("a neighbour has waited for %v", took)
		}
		if _, err := response(stranger); err != nil || time.Since(begin) < time.Minute {
			t.Errorf("the refusal came after %v: %v", time.Since(begin), err)
		}
		neighbour.Close()
		stranger.Close()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
