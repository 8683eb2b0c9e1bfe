package auth_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest/certs"
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/internal/security"
	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
)

// shake lets a client meet a server, and tells what each has seen.
func shake(t *testing.T, server *auth.TLS, client *tls.Config) (who auth.Principal, saw *x509.Certificate, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	type met struct {
		who auth.Principal
		err error
	}
	done := make(chan met, 1)
	go func() {
		b, err := l.Accept()
		if err != nil {
			done <- met{err: err}
			return
		}
		defer b.Close()
		s := tls.Server(b, server.Config())
		if err := s.HandshakeContext(t.Context()); err != nil {
			done <- met{err: err}
			return
		}
		who, err := server.Principal(s.ConnectionState())
		done <- met{who, err}
	}()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	c := tls.Client(a, client)
	cerr := c.HandshakeContext(t.Context())
	if cerr != nil {
		a.Close()
	}
	m := <-done
	if state := c.ConnectionState(); len(state.PeerCertificates) > 0 {
		saw = state.PeerCertificates[0]
	}
	return m.who, saw, errors.Join(m.err, cerr)
}

func server(t *testing.T, cfg auth.TLSConfig) *auth.TLS {
	t.Helper()
	if cfg.Rules == nil {
		cfg.Rules = auth.NameRules{{}}
	}
	s, err := auth.NewTLS(cfg, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMutualTLS(t *testing.T) {
	dir := t.TempDir()
	ca, other := certs.NewCA(t, "ours"), certs.NewCA(t, "theirs")
	key := security.Store{What: "ssl.keystore", Location: ca.Make(t, pkix.Name{CommonName: "broker"}).Keystore(t, dir, "broker.pem")}
	trust := security.Store{What: "ssl.truststore", Location: ca.Truststore(t, dir, "ca.pem")}
	alice := ca.Make(t, pkix.Name{CommonName: "alice", OrganizationalUnit: []string{"ops"}, Country: []string{"NZ"}})
	rules, err := auth.ParseNameRules(`RULE:^CN=(.*?),OU=ops,.*$/$1-ops/U, DEFAULT`)
	if err != nil {
		t.Fatal(err)
	}
	only, err := auth.ParseNameRules(`RULE:^CN=bob.*$/bob/`)
	if err != nil {
		t.Fatal(err)
	}
	expired := ca.MakeUntil(t, pkix.Name{CommonName: "alice"}, time.Now().Add(-time.Hour))
	for _, c := range []struct {
		name, clientAuth string
		rules            auth.NameRules
		show             *certs.Cert
		version          uint16
		who              string // empty: refused
	}{
		{name: "nobody asks", clientAuth: "none", who: "User:ANONYMOUS"},
		{name: "nobody asks, and it is not believed", clientAuth: "none", show: alice, who: "User:ANONYMOUS"},
		{name: "required", clientAuth: "required", show: alice, who: "User:CN=alice,OU=ops,C=NZ"},
		{name: "TLS 1.2", clientAuth: "required", show: alice, version: tls.VersionTLS12, who: "User:CN=alice,OU=ops,C=NZ"},
		{name: "required and not shown", clientAuth: "required"},
		{name: "of another authority", clientAuth: "required", show: other.Make(t, pkix.Name{CommonName: "alice"})},
		{name: "expired", clientAuth: "required", show: expired},
		{name: "requested", clientAuth: "requested", show: alice, who: "User:CN=alice,OU=ops,C=NZ"},
		{name: "requested and not shown", clientAuth: "requested", who: "User:ANONYMOUS"},
		{name: "requested and of another authority", clientAuth: "requested", show: other.Make(t, pkix.Name{CommonName: "alice"})},
		{name: "a rule fits", clientAuth: "required", rules: rules, show: alice, who: "User:ALICE-OPS"},
		{name: "the default fits", clientAuth: "required", rules: rules, show: ca.Make(t, pkix.Name{CommonName: "bob"}), who: "User:CN=bob"},
		{name: "no rule fits", clientAuth: "required", rules: only, show: alice},
		{name: "an old version", clientAuth: "none", version: tls.VersionTLS11},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := server(t, auth.TLSConfig{Keystore: key, Truststore: trust, ClientAuth: c.clientAuth, Rules: c.rules})
			client := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS10, MaxVersion: c.version}
			if c.show != nil {
				pair := c.show.Pair(t)
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
			}
			who, _, err := shake(t, s, client)
			if (err == nil) != (c.who != "") || err == nil && who.String() != c.who {
				t.Errorf("%s, %v", who, err)
			}
		})
	}
}

// TestCertificatesReload: files that change are taken over by the next handshake, broken ones are not.
func TestCertificatesReload(t *testing.T) {
	dir := t.TempDir()
	ca := certs.NewCA(t, "ours")
	first, second := ca.Make(t, pkix.Name{CommonName: "first"}), ca.Make(t, pkix.Name{CommonName: "second"})
	path := first.Keystore(t, dir, "broker.pem")
	now := time.Now()
	var log bytes.Buffer
	s, err := auth.NewTLS(auth.TLSConfig{Keystore: security.Store{What: "ssl.keystore", Location: path}, Rules: auth.NameRules{{}}},
		slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	shows := func() string {
		t.Helper()
		_, saw, err := shake(t, s, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		return saw.Subject.CommonName
	}
	change := func(write func()) {
		write()
		_ = os.Chtimes(path, now, now) // there may be no file
		now = now.Add(2 * time.Second)
	}
	if got := shows(); got != "first" {
		t.Fatal(got)
	}
	change(func() { second.Keystore(t, dir, "broker.pem") })
	if got := shows(); got != "second" {
		t.Errorf("%s after the file has changed", got)
	}
	change(func() { _ = os.WriteFile(path, []byte("-----BEGIN nothing"), 0o600) })
	if got := shows(); got != "second" || !strings.Contains(log.String(), "the old ones stay") {
		t.Errorf("%s after the file was damaged: %s", got, log.String())
	}
	change(func() { _ = os.Remove(path) })
	if got := shows(); got != "second" {
		t.Errorf("%s after the file was removed", got)
	}
	change(func() { first.Keystore(t, dir, "broker.pem") })
	if got := shows(); got != "first" {
		t.Errorf("%s after the file was mended", got)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 2 {
		t.Errorf("%d errors: %s", n, log.String())
	}
}

func TestKeystores(t *testing.T) {
	dir := t.TempDir()
	ca := certs.NewCA(t, "ours")
	cert := ca.Make(t, pkix.Name{CommonName: "broker"})
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	der, err := pkcs8.MarshalPrivateKey(cert.Key, []byte("open"), nil)
	if err != nil {
		t.Fatal(err)
	}
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der})
	p12, err := pkcs12.Modern.Encode(cert.Key, cert.Cert, []*x509.Certificate{ca.Cert}, "changeit")
	if err != nil {
		t.Fatal(err)
	}
	trust12, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{ca.Cert}, "changeit")
	if err != nil {
		t.Fatal(err)
	}
	pemFile := cert.Keystore(t, dir, "a.pem")
	trusted := security.Store{What: "ssl.truststore", Certificates: string(ca.PEM)}
	other := certs.NewCA(t, "other").Make(t, pkix.Name{CommonName: "x"})
	for _, c := range []struct {
		name       string
		key, trust security.Store
		says       string // empty: good
	}{
		{"PEM file", security.Store{Location: pemFile}, trusted, ""},
		{"PEM file with its type", security.Store{Location: pemFile, Type: "PEM"}, trusted, ""},
		{"PEM in the configuration", security.Store{Certificates: string(cert.PEM), Key: string(cert.Keys)}, trusted, ""},
		{"encrypted key", security.Store{Certificates: string(cert.PEM), Key: string(encrypted), KeyPassword: "open"}, trusted, ""},
		{"encrypted key, wrong password", security.Store{Certificates: string(cert.PEM), Key: string(encrypted), KeyPassword: "shut"}, trusted, "ssl.key.password"},
		{"encrypted key, no password", security.Store{Certificates: string(cert.PEM), Key: string(encrypted)}, trusted, "ssl.key.password"},
		{"PKCS12", security.Store{Location: write("a.p12", p12), Password: "changeit"}, trusted, ""},
		{"PKCS12, wrong password", security.Store{Location: write("b.p12", p12), Password: "x"}, trusted, "ssl.keystore"},
		{"PKCS12 said to be PEM", security.Store{Location: write("c.p12", p12), Password: "changeit", Type: "PEM"}, trusted, "it is PKCS12, but ssl.keystore.type says PEM"},
		{"PKCS12 truststore", security.Store{Location: pemFile}, security.Store{What: "ssl.truststore", Location: write("t.p12", trust12), Password: "changeit"}, ""},
		{"JKS", security.Store{Location: write("a.jks", []byte{0xfe, 0xed, 0xfe, 0xed, 0, 0})}, trusted, "keytool -importkeystore"},
		{"garbage", security.Store{Location: write("a.txt", []byte("not a certificate"))}, trusted, "neither PEM, which has lines of -----BEGIN …-----, nor PKCS12"},
		{"nothing", security.Store{Location: write("empty", nil)}, trusted, "neither PEM"},
		{"no file", security.Store{Location: filepath.Join(dir, "none")}, trusted, "none"},
		{"no location", security.Store{}, trusted, "ssl.keystore.location is not set"},
		{"key of another certificate", security.Store{Certificates: string(cert.PEM), Key: string(other.Keys)}, trusted, "does not match"},
		{"no key", security.Store{Certificates: string(cert.PEM)}, trusted, "no private key"},
		{"no certificate", security.Store{Location: write("k.pem", cert.Keys)}, trusted, "ssl.keystore"},
		{"nobody is trusted", security.Store{Location: pemFile}, security.Store{What: "ssl.truststore"}, "ssl.truststore.location is not set"},
		{"nobody is in the truststore", security.Store{Location: pemFile}, security.Store{What: "ssl.truststore", Location: write("e.pem", cert.Keys)}, "no certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.key.What = "ssl.keystore"
			_, err := auth.NewTLS(auth.TLSConfig{Keystore: c.key, Truststore: c.trust, ClientAuth: "required"}, slog.New(slog.DiscardHandler), time.Now)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
	for says, cfg := range map[string]auth.TLSConfig{
		"none, requested or required": {ClientAuth: "maybe"},
		"TLSv1.2 and TLSv1.3":         {Protocols: []string{"TLSv1.1"}},
		"unknown or not secure":       {Ciphers: []string{"TLS_RSA_WITH_RC4_128_SHA"}},
	} {
		cfg.Keystore = security.Store{What: "ssl.keystore", Location: pemFile}
		if _, err := auth.NewTLS(cfg, slog.New(slog.DiscardHandler), time.Now); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

func TestNameRules(t *testing.T) {
	const subject = "CN=kafka1.example.com,OU=Servers,O=Acme\\, Inc.,C=US"
	for _, c := range []struct{ rules, want string }{
		{"", ""},
		{"DEFAULT", subject},
		{"RULE:^CN=(.*?),.*$/$0/", subject},
		{"RULE:^CN=(.*?),OU=Servers.*$/$1/", "kafka1.example.com"},
		{"RULE:^CN=(.*?),OU=Servers.*$/$1/U", "KAFKA1.EXAMPLE.COM"},
		{"RULE:^CN=(.*?),OU=(.*?),.*$/$1@$2/L", "kafka1.example.com@servers"},
		{"RULE:^CN=Other.*$/x/, RULE:^CN=.*$/y/ ,DEFAULT", "y"},
		{"RULE:CN=kafka1/x/,DEFAULT", subject}, // a pattern fits the whole subject or not
		{"RULE:^CN=(\\w+)\\..*$/$1/", "kafka1"},
		{"RULE:^CN=(.*?),.*$/$1@$4/", "kafka1.example.com@$4"},
		{"RULE:^CN=(.*?),.*$/$12/", "kafka1.example.com2"},
		{"RULE:^.*$/a\\/b/", "a/b"},
		{"RULE:^CN=Other$/x/", ""},
	} {
		r, err := auth.ParseNameRules(c.rules)
		if err != nil {
			t.Errorf("%q: %v", c.rules, err)
			continue
		}
		if got, err := r.Name(subject); got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%q: %q, %v; want %q", c.rules, got, err, c.want)
		}
	}
	for _, bad := range []string{"RULE:a/b", "RULE:(/b/", "RULE:a/b/X", "RULE:a/b/LU", "rule:a/b/", "DEFAULT;DEFAULT", "RULE:(?=a)/b/", "RULE:^.*$/$1/"} {
		if r, err := auth.ParseNameRules(bad); err == nil {
			t.Errorf("%q is %v", bad, r)
		}
	}
}

// TestSubjects are those that Java's X500Principal.getName writes so.
func TestSubjects(t *testing.T) {
	oid := func(n ...int) asn1.ObjectIdentifier { return n }
	for _, c := range []struct {
		names []pkix.AttributeTypeAndValue
		want  string
	}{
		{[]pkix.AttributeTypeAndValue{{Type: oid(2, 5, 4, 6), Value: "US"}, {Type: oid(2, 5, 4, 10), Value: "Acme, Inc."}, {Type: oid(2, 5, 4, 3), Value: "a+b"}}, `CN=a\+b,O=Acme\, Inc.,C=US`},
		{[]pkix.AttributeTypeAndValue{{Type: oid(0, 9, 2342, 19200300, 100, 1, 25), Value: "com"}, {Type: oid(0, 9, 2342, 19200300, 100, 1, 1), Value: "u1"}}, `UID=u1,DC=com`},
		{[]pkix.AttributeTypeAndValue{{Type: oid(2, 5, 4, 3), Value: " #a\"\\<>; "}}, `CN=\ \#a\"\\\<\>\;\ `},
		{[]pkix.AttributeTypeAndValue{{Type: oid(2, 5, 4, 3), Value: "  a=b  c  "}}, `CN=\ \ a\=b  c\ \ `},
		{[]pkix.AttributeTypeAndValue{{Type: oid(2, 5, 4, 3), Value: "#a"}}, `CN=\#a`},
		{[]pkix.AttributeTypeAndValue{{Type: oid(2, 5, 4, 5), Value: "7"}, {Type: oid(2, 5, 4, 3), Value: "a"}}, `CN=a,2.5.4.5=#130137`},
		{[]pkix.AttributeTypeAndValue{{Type: oid(2, 5, 4, 3), Value: "Jürgen"}}, `CN=Jürgen`},
	} {
		ca := certs.NewCA(t, "ours")
		key := ca.Key
		var rdns pkix.RDNSequence
		for _, n := range c.names {
			rdns = append(rdns, pkix.RelativeDistinguishedNameSET{n})
		}
		raw, err := asn1.Marshal(rdns)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: ca.Cert.SerialNumber, RawSubject: raw}, ca.Cert, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := auth.Subject(cert); got != c.want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, c.want)
		}
	}
}
