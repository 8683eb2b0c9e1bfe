package auth

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/leatstream/leat/broker/brokertest/certs"
	"github.com/leatstream/leat/internal/security"
)

// FuzzBearer: no message proves anything without a signature of the issuer's, and none makes the broker ask its keys often.
func FuzzBearer(f *testing.F) {
	mech, err := NewBearer(BearerConfig{Issuer: "i", Audience: []string{"a"}, Keys: "http://127.0.0.1:1/none", Claim: "sub"}, time.Now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("n,a=alice,\x01auth=Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJpIn0.\x01\x01"))
	f.Add([]byte("n,,\x01auth=Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJpIiwiYXVkIjoiYSIsInN1YiI6ImEiLCJleHAiOjk5OTk5OTk5OTl9.AAAA\x01\x01"))
	f.Fuzz(func(t *testing.T, message []byte) {
		authzid, token, err := readBearer(message)
		if err == nil && (token == "" || strings.ContainsRune(authzid+token, 1)) {
			t.Errorf("%q has the id %q and the token %q", message, authzid, token)
		}
		s := NewSession(&Gate{Mechanisms: []Mechanism{mech}}, time.Now)
		if err := s.Handshake("OAUTHBEARER", false); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, _, _ = s.Authenticate(message)
		}
		if s.Open() || s.Failed() == nil {
			t.Fatalf("%q proves who somebody is", message)
		}
	})
}

// FuzzNameRules: any rules, and a subject of any attributes, make an error or a name; the subject alone cannot become the
// name of another.
func FuzzNameRules(f *testing.F) {
	f.Add("RULE:^CN=(.*?),OU=.*$/$1/L, DEFAULT", "alice", "ops,O=\"x\"")
	f.Add(`RULE:(a*)*b\/c/$9\$1/U`, "a\\", " #\x00")
	f.Fuzz(func(t *testing.T, text, name, unit string) {
		rules, err := ParseNameRules(text)
		if err != nil {
			return
		}
		if utf8.ValidString(name) && utf8.ValidString(unit) {
			one, other := subjectOf(t, name, unit), subjectOf(t, name+"x", unit)
			if one == other {
				t.Errorf("%q and %q are one", name, name+"x")
			}
			_, _ = rules.Name(one)
		}
		_, _ = rules.Name(name)
	})
}

func subjectOf(t *testing.T, name, unit string) string {
	raw, err := asn1.Marshal(pkix.Name{CommonName: name, OrganizationalUnit: []string{unit}}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	subject, err := Subject(&x509.Certificate{RawSubject: raw})
	if err != nil {
		t.Fatal(err)
	}
	return subject
}

// FuzzDecide holds decisions about any names to the naive model: three bytes and a name make a list.
func FuzzDecide(f *testing.F) {
	f.Add([]byte("\x03\x03\x00topic-\x00\x0a\x02\x01topic-a"), "topic-a", "10.0.0.1", true)
	f.Add([]byte("\x12\x03\x02*\x00\x0b\x01\x00*"), "*", "::1", false)
	f.Fuzz(func(t *testing.T, raw []byte, name, host string, everyone bool) {
		users := []string{"User:x", "User:y", "User:*", "User:", "Group:x"}
		var acls []ACL
		for part := range strings.SplitSeq(string(raw), "\x00") {
			if len(part) < 3 || len(acls) > 20 {
				continue
			}
			a := ACL{Kind: Topic, Pattern: Literal, Name: part[3:], Principal: users[int(part[1])%len(users)], Host: Wildcard, Operation: All + Operation(part[2]%12), Permission: Allow}
			if part[0]&1 > 0 {
				a.Pattern = Prefixed
			}
			if part[0]&2 > 0 {
				a.Permission = Deny
			}
			if part[0]&4 > 0 {
				a.Host = host
			}
			if part[0]&8 > 0 {
				a.Kind = Group
			}
			acls = append(acls, a)
		}
		s := NewStandard(nil, everyone)
		s.Follow(slices.Values(acls))
		for _, user := range users[:2] {
			who, _ := ParsePrincipal(user)
			for op := Read; op <= IdempotentWrite; op++ {
				if got, want := s.Allowed(who, host, op, Topic, name), naive(acls, everyone, user, host, op, Topic, name); got != want {
					t.Fatalf("%s %s on %q: %v, not %v, by %+v", user, op, name, got, want, acls)
				}
			}
		}
	})
}

// FuzzHello begins a handshake of TLS with any bytes: it ends, at little cost.
func FuzzHello(f *testing.F) {
	server, err := NewTLS(TLSConfig{
		Keystore:   security.Store{What: "ssl.keystore", Location: certs.NewCA(f, "ours").Make(f, pkix.Name{CommonName: "broker"}).Keystore(f, f.TempDir(), "broker.pem")},
		ClientAuth: "none",
	}, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{22, 3, 1, 0, 5, 1, 0, 0, 1, 0})
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte{22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, hello []byte) {
		client, nc := net.Pipe()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		done := make(chan struct{})
		go func() {
			defer close(done)
			go func() { _, _ = io.Copy(io.Discard, client) }()
			_, _ = client.Write(hello)
			client.Close()
		}()
		if tls.Server(nc, server.Config()).HandshakeContext(t.Context()) == nil {
			t.Error("a handshake without a client")
		}
		nc.Close()
		<-done
		runtime.ReadMemStats(&after)
		if got, may := after.TotalAlloc-before.TotalAlloc, uint64(8*len(hello)+2<<20); got > may {
			t.Errorf("%d bytes allocate %d", len(hello), got)
		}
	})
}
