package auth

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/internal/security"
)

// TLSConfig is how a listener speaks TLS.
type TLSConfig struct {
	Keystore   security.Store
	Truststore security.Store
	ClientAuth string   // none, requested, required
	Protocols  []string // TLSv1.2, TLSv1.3
	Ciphers    []string // for TLS 1.2; nil: Go's choice
	Rules      NameRules
}

// reloadEvery is how often handshakes look whether a certificate's file has changed.
const reloadEvery = time.Second

// TLS is the TLS of a listener. Its certificates follow their files without a restart. It is safe for concurrent use.
type TLS struct {
	cfg TLSConfig
	log *slog.Logger
	now func() time.Time

	current atomic.Pointer[tls.Config]

	mu      sync.Mutex // around looking for changes
	looked  time.Time
	version string // of the files that were read last, good or bad
}

// NewTLS loads certificates; what is wrong with them is an error now, and later is logged.
func NewTLS(cfg TLSConfig, log *slog.Logger, now func() time.Time) (*TLS, error) {
	t := &TLS{cfg: cfg, log: log, now: now, looked: now(), version: cfg.version()}
	c, err := cfg.load()
	if err != nil {
		return nil, err
	}
	t.current.Store(c)
	return t, nil
}

// Config is for tls.Server.
func (t *TLS) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		t.reload()
		return t.current.Load(), nil
	}}
}

// reload takes over files that have changed. With files that cannot be used everything stays as it was.
func (t *TLS) reload() {
	if !t.mu.TryLock() {
		return // somebody else looks
	}
	defer t.mu.Unlock()
	now := t.now()
	if now.Sub(t.looked) < reloadEvery {
		return
	}
	t.looked = now
	version := t.cfg.version()
	if version == t.version {
		return
	}
	t.version = version
	c, err := t.cfg.load()
	if err != nil {
		t.log.Error("the new certificates cannot be used; the old ones stay", "error", err)
		return
	}
	t.current.Store(c)
	t.log.Info("certificates are loaded anew", "keystore", t.cfg.Keystore.Location, "truststore", t.cfg.Truststore.Location)
}

// Principal is who has come, by the certificate that it showed; Anonymous if it showed none.
func (t *TLS) Principal(state tls.ConnectionState) (Principal, error) {
	if len(state.VerifiedChains) == 0 {
		return Anonymous, nil
	}
	subject, err := Subject(state.PeerCertificates[0])
	if err != nil {
		return Principal{}, err
	}
	name, err := t.cfg.Rules.Name(subject)
	if err != nil {
		return Principal{}, err
	}
	return Principal{"User", name}, nil
}

// version changes when a file does.
func (c TLSConfig) version() string {
	var b strings.Builder
	for _, path := range []string{c.Keystore.Location, c.Truststore.Location} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintf(&b, "%v;", err)
			continue
		}
		fmt.Fprintf(&b, "%d %d;", info.Size(), info.ModTime().UnixNano())
	}
	return b.String()
}

// load reads everything and makes a configuration of it.
func (c TLSConfig) load() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true} // each connection shows a certificate that is trusted now
	pair, err := c.Keystore.Pair()
	if err != nil {
		return nil, err
	}
	out.Certificates = []tls.Certificate{pair}
	if err := c.protocols(out); err != nil {
		return nil, err
	}
	switch c.ClientAuth {
	case "", "none":
		return out, nil
	case "requested":
		out.ClientAuth = tls.VerifyClientCertIfGiven
	case "required":
		out.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		return nil, fmt.Errorf("ssl.client.auth is %q: it is none, requested or required", c.ClientAuth)
	}
	trusted, err := c.Truststore.Trusted()
	if err != nil {
		return nil, err
	}
	out.ClientCAs = x509.NewCertPool()
	for _, cert := range trusted {
		out.ClientCAs.AddCert(cert)
	}
	return out, nil
}

func (c TLSConfig) protocols(out *tls.Config) error {
	known := map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}
	var versions []uint16
	for _, p := range c.Protocols {
		v, ok := known[p]
		if !ok {
			return fmt.Errorf("ssl.enabled.protocols has %q: there are TLSv1.2 and TLSv1.3", p)
		}
		versions = append(versions, v)
	}
	if len(versions) > 0 {
		out.MinVersion, out.MaxVersion = slices.Min(versions), slices.Max(versions)
	}
	for _, name := range c.Ciphers {
		at := slices.IndexFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool { return s.Name == name })
		if at < 0 {
			return fmt.Errorf("ssl.cipher.suites has %q, which is unknown or not secure", name)
		}
		out.CipherSuites = append(out.CipherSuites, tls.CipherSuites()[at].ID)
	}
	return nil
}
