package broker_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/broker/brokertest"
	"github.com/leatstream/leat/broker/brokertest/certs"
	"github.com/leatstream/leat/broker/internal/api"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const adminJAAS = `org.apache.kafka.common.security.plain.PlainLoginModule required user_admin="admin-secret";`

// secured is a broker with a door of each kind: SASL over TLS, certificates, and SASL in the open on loopback.
type secured struct {
	*brokertest.Cluster
	ca       *certs.CA
	keystore string
	t        *testing.T
}

const (
	saslSSL = iota
	mutual
	saslOpen
)

func secure(t *testing.T, more map[string]string) *secured {
	t.Helper()
	ca, dir := certs.NewCA(t, "ours"), t.TempDir()
	s := &secured{ca: ca, keystore: ca.Make(t, pkix.Name{CommonName: "broker"}).Keystore(t, dir, "broker.pem"), t: t}
	properties := map[string]string{
		"authorizer.class.name": "StandardAuthorizer", "super.users": "User:admin",
		"ssl.keystore.location":                            s.keystore,
		"listener.security.protocol.map":                   "SASLED:SASL_SSL,MUTUAL:SSL,OPEN:SASL_PLAINTEXT",
		"listener.name.mutual.ssl.client.auth":             "required",
		"listener.name.mutual.ssl.truststore.location":     ca.Truststore(t, dir, "ca.pem"),
		"listener.name.mutual.ssl.principal.mapping.rules": "RULE:^CN=(.*?),.*$/$1/,RULE:^CN=(.*)$/$1/",
		"sasl.enabled.mechanisms":                          "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"listener.name.sasled.plain.sasl.jaas.config":      adminJAAS,
		"listener.name.open.plain.sasl.jaas.config":        adminJAAS,
		"connection.failed.authentication.delay.ms":        "1",
	}
	for k, v := range more {
		properties[k] = v
	}
	s.Cluster = brokertest.Start(t, 1, brokertest.Listen("SASLED://127.0.0.1:0", "MUTUAL://127.0.0.1:0", "OPEN://127.0.0.1:0"), brokertest.Properties(properties))
	return s
}

func (s *secured) tls(show *certs.Cert) *tls.Config {
	cfg := &tls.Config{RootCAs: s.ca.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12}
	if show != nil {
		cfg.Certificates = []tls.Certificate{show.Pair(s.t)}
	}
	return cfg
}

// as is a client of the first door.
func (s *secured) as(m sasl.Mechanism) *kgo.Client {
	s.t.Helper()
	return s.Client(s.t, kgo.SASL(m), kgo.DialTLSConfig(s.tls(nil)), kgo.RequestRetries(0))
}

func (s *secured) admin() *kadm.Client {
	return kadm.NewClient(s.as(plain.Auth{User: "admin", Pass: "admin-secret"}.AsMechanism()))
}

// with is a client that shows a certificate.
func (s *secured) with(show *certs.Cert) *kgo.Client {
	s.t.Helper()
	return s.Client(s.t, kgo.SeedBrokers(s.Addrs()[mutual]), kgo.DialTLSConfig(s.tls(show)), kgo.RequestRetries(0))
}

func (s *secured) addUser(name, password string) {
	s.t.Helper()
	got, err := s.admin().AlterUserSCRAMs(testContext(s.t), nil, []kadm.UpsertSCRAM{
		{User: name, Mechanism: kadm.ScramSha256, Iterations: 4096, Password: password},
	})
	if err != nil || !got.Ok() {
		s.t.Fatal(err, got.Error())
	}
}

func (s *secured) allow(b *kadm.ACLBuilder) {
	s.t.Helper()
	got, err := s.admin().CreateACLs(testContext(s.t), b)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range got {
		if r.Err != nil {
			s.t.Fatal(r.Err)
		}
	}
}

// TestScramUsersOverTLS: users are made by an administrator, survive a restart, may do what ACLs say, and nobody else gets in.
func TestScramUsersOverTLS(t *testing.T) {
	s := secure(t, nil)
	ctx := testContext(t)
	s.addUser("alice", "wonder land")
	if _, err := s.admin().CreateTopics(ctx, 1, 1, nil, "orders", "other"); err != nil {
		t.Fatal(err)
	}
	s.allow(kadm.NewACLs().Allow("User:alice").AllowHosts().Topics("ord").ResourcePatternType(kadm.ACLPatternPrefixed).Operations(kadm.OpRead, kadm.OpWrite))
	s.Restart()
	auth := scram.Auth{User: "alice", Pass: "wonder land"}
	alice := s.as(auth.AsSha256Mechanism())
	if err := alice.ProduceSync(ctx, kgo.StringRecord("hello")).FirstErr(); err == nil {
		t.Error("a record without a topic")
	}
	if err := alice.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("hello")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := alice.ProduceSync(ctx, &kgo.Record{Topic: "other", Value: []byte("hello")}).FirstErr(); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("another topic: %v", err)
	}
	reader := s.Client(t, kgo.SASL(auth.AsSha256Mechanism()), kgo.DialTLSConfig(s.tls(nil)), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if got := reader.PollFetches(ctx).Records(); len(got) != 1 || string(got[0].Value) != "hello" {
		t.Errorf("%v", got)
	}
	topics, err := kadm.NewClient(alice).ListTopics(ctx)
	if err != nil || len(topics.Names()) != 1 || topics.Names()[0] != "orders" {
		t.Errorf("alice sees %v, %v", topics.Names(), err)
	}
	for name, m := range map[string]sasl.Mechanism{
		"another password":         scram.Auth{User: "alice", Pass: "wonderland"}.AsSha256Mechanism(),
		"another mechanism":        auth.AsSha512Mechanism(),
		"nobody":                   scram.Auth{User: "carol", Pass: "x"}.AsSha256Mechanism(),
		"a SCRAM user with PLAIN":  plain.Auth{User: "alice", Pass: "wonder land"}.AsMechanism(),
		"as somebody else":         plain.Auth{Zid: "alice", User: "admin", Pass: "admin-secret"}.AsMechanism(),
		"as somebody else (SCRAM)": scram.Auth{Zid: "admin", User: "alice", Pass: "wonder land"}.AsSha256Mechanism(),
		"the process's own user":   plain.Auth{User: "leat", Pass: "leat"}.AsMechanism(),
	} {
		if err := s.as(m).Ping(ctx); !errors.Is(err, kerr.SaslAuthenticationFailed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCertificatesAreUsers: the principal is made of the certificate's subject, and certificates are changed while the
// broker runs.
func TestCertificatesAreUsers(t *testing.T) {
	s := secure(t, nil)
	ctx := testContext(t)
	if _, err := s.admin().CreateTopics(ctx, 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	s.allow(kadm.NewACLs().Allow("User:alice").AllowHosts("127.0.0.1").Topics("orders").ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpWrite))
	record := func() *kgo.Record { return &kgo.Record{Topic: "orders", Value: []byte("hello")} }
	alice := s.with(s.ca.Make(t, pkix.Name{CommonName: "alice", OrganizationalUnit: []string{"ops"}}))
	if err := alice.ProduceSync(ctx, record()).FirstErr(); err != nil {
		t.Error(err)
	}
	bob := s.with(s.ca.Make(t, pkix.Name{CommonName: "bob"}))
	if err := bob.ProduceSync(ctx, record()).FirstErr(); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("bob: %v", err)
	}
	for name, cl := range map[string]*kgo.Client{
		"no certificate":       s.with(nil),
		"of another authority": s.with(certs.NewCA(t, "theirs").Make(t, pkix.Name{CommonName: "alice"})),
		"expired":              s.with(s.ca.MakeUntil(t, pkix.Name{CommonName: "alice"}, time.Now().Add(-time.Minute))),
		"no rule fits":         s.with(s.ca.Make(t, pkix.Name{Organization: []string{"alice"}})),
	} {
		if err := cl.Ping(ctx); err == nil {
			t.Errorf("%s: it is let in", name)
		}
	}

	fresh := s.ca.Make(t, pkix.Name{CommonName: "fresh"})
	if err := os.WriteFile(s.keystore, append(fresh.Keys, fresh.PEM...), 0o600); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; {
		nc, err := tls.Dial("tcp", s.Addrs()[saslSSL], s.tls(nil))
		if err != nil {
			t.Fatal(err)
		}
		name := nc.ConnectionState().PeerCertificates[0].Subject.CommonName
		nc.Close()
		if name == "fresh" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the certificate is still that of %s", name)
		}
	}
	if err := alice.ProduceSync(ctx, record()).FirstErr(); err != nil {
		t.Errorf("a connection from before the change: %v", err)
	}
}

// rude is a connection that speaks as it likes.
type rude struct {
	net.Conn
	t *testing.T
}

func (s *secured) rude(door int) *rude {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.Addrs()[door])
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	return &rude{nc, s.t}
}

func (r *rude) sized(b []byte) {
	_, _ = r.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
}

// read is what follows the length of an answer; nil: the connection is closed.
func (r *rude) read() []byte {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			r.t.Fatal("the connection stays open, and nothing is said")
		}
		return nil
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(r, b); err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *rude) ask(req kmsg.Request) kmsg.Response {
	r.sized(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)[4:])
	b := r.read()
	if b == nil {
		return nil
	}
	b = b[4:]
	if req.IsFlexible() && req.Key() != 18 {
		b = b[1:]
	}
	resp := req.ResponseKind()
	if err := resp.ReadFrom(b); err != nil {
		r.t.Fatal(err)
	}
	return resp
}

func saslHandshake(version int16, mechanism string) *kmsg.SASLHandshakeRequest {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version, req.Mechanism = version, mechanism
	return req
}

func token(version int16, text string) *kmsg.SASLAuthenticateRequest {
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.Version, req.SASLAuthBytes = version, []byte(text)
	return req
}

const adminToken = "\x00admin\x00admin-secret"

func metadataRequest() *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	return req
}

// TestBeforeAuthentication: three APIs and small frames, and then the door closes.
func TestBeforeAuthentication(t *testing.T) {
	s := secure(t, nil)
	for name, do := range map[string]func(r *rude){
		"another API":                     func(r *rude) { r.ask(metadataRequest()) },
		"another API during the exchange": func(r *rude) { r.ask(saslHandshake(1, "PLAIN")); r.ask(metadataRequest()) },
		"an unknown API":                  func(r *rude) { r.sized([]byte{3, 231, 0, 0, 0, 0, 0, 0, 0, 0}) },
		"a large frame":                   func(r *rude) { r.sized(append([]byte{0, 36, 0, 1}, make([]byte, 16<<10)...)) },
		"a large announcement":            func(r *rude) { _, _ = r.Write([]byte{0, 0, 0x40, 1, 0, 36, 0, 1}) },
		"a token before a handshake":      func(r *rude) { r.ask(token(1, adminToken)) },
		"an unknown mechanism":            func(r *rude) { r.ask(saslHandshake(1, "GSSAPI")) },
		"two handshakes":                  func(r *rude) { r.ask(saslHandshake(1, "PLAIN")); r.ask(saslHandshake(1, "PLAIN")) },
		"a wrong password":                func(r *rude) { r.ask(saslHandshake(1, "PLAIN")); r.ask(token(1, "\x00admin\x00x")) },
		"a cut exchange": func(r *rude) {
			r.ask(saslHandshake(1, "SCRAM-SHA-256"))
			r.ask(token(1, "n,,n=admin,r=x"))
			r.ask(token(1, ""))
		},
		"a raw token that is too large": func(r *rude) { r.ask(saslHandshake(0, "PLAIN")); r.sized(make([]byte, 16<<10+1)) },
		"a raw token of negative size":  func(r *rude) { r.ask(saslHandshake(0, "PLAIN")); _, _ = r.Write([]byte{0xff, 0xff, 0xff, 0xff}) },
		"a wrong raw token":             func(r *rude) { r.ask(saslHandshake(0, "PLAIN")); r.sized([]byte("\x00admin\x00x")) },
		"TLS":                           func(r *rude) { _, _ = r.Write([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello")) },
	} {
		t.Run(name, func(t *testing.T) {
			r := s.rude(saslOpen)
			r.t = t
			do(r)
			if b := r.read(); b != nil {
				t.Errorf("it goes on: %x", b)
			}
		})
	}
	t.Run("every API", func(t *testing.T) {
		for _, v := range api.Versions() {
			if v.Key == 17 || v.Key == 18 || v.Key == 36 {
				continue
			}
			req := kmsg.RequestForKey(v.Key)
			req.SetVersion(v.Max)
			r := s.rude(saslOpen)
			r.t = t
			if resp := r.ask(req); resp != nil {
				t.Errorf("%s is answered", kmsg.NameForKey(v.Key))
			}
		}
	})
	t.Run("no TLS where there must be", func(t *testing.T) {
		for _, door := range []int{saslSSL, mutual} {
			r := s.rude(door)
			r.t = t
			r.sized(kmsg.NewRequestFormatter().AppendRequest(nil, saslHandshake(1, "PLAIN"), 1)[4:])
			if b, _ := io.ReadAll(r); len(b) > 0 && b[0] != 21 { // an alert of TLS at most
				t.Errorf("door %d answers %x", door, b)
			}
		}
	})
}

// TestOldClients authenticate by tokens without request headers (SaslHandshake version 0), and those in between.
func TestOldClients(t *testing.T) {
	s := secure(t, nil)
	r := s.rude(saslOpen)
	versions := kmsg.NewPtrApiVersionsRequest()
	if resp := r.ask(versions).(*kmsg.ApiVersionsResponse); resp.ErrorCode != 0 {
		t.Fatal(resp.ErrorCode)
	}
	if resp := r.ask(saslHandshake(0, "PLAIN")).(*kmsg.SASLHandshakeResponse); resp.ErrorCode != 0 || strings.Join(resp.SupportedMechanisms, " ") != "PLAIN SCRAM-SHA-256 SCRAM-SHA-512" {
		t.Fatalf("%+v", resp)
	}
	r.sized([]byte(adminToken))
	if b := r.read(); b == nil || len(b) != 0 {
		t.Fatalf("%x", b)
	}
	if resp := r.ask(metadataRequest()); resp == nil {
		t.Error("no metadata")
	}

	r = s.rude(saslOpen) // one that does not wait for answers
	both := kmsg.NewRequestFormatter().AppendRequest(nil, saslHandshake(0, "PLAIN"), 1)
	both = append(binary.BigEndian.AppendUint32(both, uint32(len(adminToken))), adminToken...)
	_, _ = r.Write(append(both, kmsg.NewRequestFormatter().AppendRequest(nil, metadataRequest(), 2)...))
	if first, second, third := r.read(), r.read(), r.read(); len(first) < 5 || second == nil || len(second) != 0 || len(third) < 5 {
		t.Errorf("answers %x, %x, %x", first, second, third)
	}

	r = s.rude(saslOpen)
	r.ask(saslHandshake(1, "PLAIN"))
	if resp := r.ask(token(0, adminToken)).(*kmsg.SASLAuthenticateResponse); resp.ErrorCode != 0 {
		t.Errorf("%+v", resp)
	}
	if resp := r.ask(metadataRequest()); resp == nil {
		t.Error("no metadata")
	}
}

// TestProofsExpire: who does not prove again in time who it is, as the same user, is cut off, also in a long poll.
func TestProofsExpire(t *testing.T) {
	const lifetime = 700 * time.Millisecond
	s := secure(t, map[string]string{"listener.name.open.plain.connections.max.reauth.ms": "700"})
	login := func(r *rude) *kmsg.SASLAuthenticateResponse {
		r.ask(saslHandshake(1, "PLAIN"))
		resp, _ := r.ask(token(2, adminToken)).(*kmsg.SASLAuthenticateResponse)
		return resp
	}
	kept, cut, proven := s.rude(saslOpen), s.rude(saslOpen), time.Now()
	if resp := login(kept); resp.SessionLifetimeMillis != lifetime.Milliseconds() {
		t.Fatalf("%+v", resp)
	}
	login(cut)
	for start := time.Now(); time.Since(start) < 2*lifetime; {
		again := time.Now()
		resp := login(kept)
		late := time.Since(proven) >= lifetime
		switch proven = again; {
		case resp == nil && late: // this machine is too busy to prove it in time
			kept = s.rude(saslOpen)
			continue
		case resp == nil || resp.ErrorCode != 0:
			t.Fatalf("%+v", resp)
		}
		if kept.ask(metadataRequest()) == nil && time.Since(proven) < lifetime {
			t.Fatal("cut off though it has proven again who it is")
		}
	}
	if cut.ask(metadataRequest()) != nil {
		t.Error("not cut off")
	}
	poll := s.rude(saslOpen)
	login(poll)
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version, fetch.MaxWaitMillis, fetch.MinBytes, fetch.MaxBytes = 7, 60_000, 1, 1<<20
	ft, fp := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	ft.Topic, fp.PartitionMaxBytes = "t", 1<<20
	ft.Partitions = append(ft.Partitions, fp)
	fetch.Topics = append(fetch.Topics, ft)
	if _, err := s.admin().CreateTopics(testContext(t), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	poll.sized(kmsg.NewRequestFormatter().AppendRequest(nil, fetch, 1)[4:])
	start := time.Now()
	for poll.read() != nil { // an answer may come before the end
	}
	if took := time.Since(start); took > 45*time.Second {
		t.Errorf("a long poll outlives the proof by %v", took)
	}
}

// TestManyBytesOverTLS: what goes from files to the socket elsewhere is copied here, and arrives as it was.
func TestManyBytesOverTLS(t *testing.T) {
	s := secure(t, nil)
	ctx := testContext(t)
	if _, err := s.admin().CreateTopics(ctx, 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	m := plain.Auth{User: "admin", Pass: "admin-secret"}.AsMechanism()
	cl := s.Client(t, kgo.SASL(m), kgo.DialTLSConfig(s.tls(nil)), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxPartitionBytes(8<<20))
	random := rand.NewChaCha8([32]byte{})
	var sent [][]byte
	var records []*kgo.Record
	for i := range 40 {
		value := make([]byte, 1+i*25_000)
		_, _ = random.Read(value) // never fails
		sent = append(sent, value)
		records = append(records, &kgo.Record{Topic: "t", Value: value})
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(sent); {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			if !bytes.Equal(r.Value, sent[i]) {
				t.Fatalf("record %d arrives as another", i)
			}
			i++
		}
	}
}

// TestClientAuthOfAllIsNotThatOfSASL: a certificate is asked for where SASL is only if that listener is named (KIP-684).
func TestClientAuthOfAllIsNotThatOfSASL(t *testing.T) {
	ca := certs.NewCA(t, "ours")
	trust := ca.Truststore(t, t.TempDir(), "ca.pem")
	all := map[string]string{"ssl.client.auth": "required", "ssl.truststore.location": trust}
	if err := secure(t, all).as(plain.Auth{User: "admin", Pass: "admin-secret"}.AsMechanism()).Ping(testContext(t)); err != nil {
		t.Error(err)
	}
	named := map[string]string{"listener.name.sasled.ssl.client.auth": "required", "ssl.truststore.location": trust}
	if err := secure(t, named).as(plain.Auth{User: "admin", Pass: "admin-secret"}.AsMechanism()).Ping(testContext(t)); err == nil {
		t.Error("no certificate is asked for")
	}
}

// TestWhatKeepsTLSFromStarting: a certificate that cannot be used is said at the start.
func TestWhatKeepsTLSFromStarting(t *testing.T) {
	err := tryRun(t, broker.Config{DataDir: t.TempDir(), Listen: []string{"SSL://127.0.0.1:0"}, Properties: map[string]string{"ssl.keystore.location": "/nowhere/x.pem"}})
	var start *broker.StartError
	if !errors.As(err, &start) || !strings.Contains(err.Error(), "/nowhere/x.pem") {
		t.Errorf("%v", err)
	}
}

// TestTheProcessItselfMayDoEverything: what runs beside the broker needs no password.
func TestTheProcessItselfMayDoEverything(t *testing.T) {
	s := secure(t, nil)
	cl := s.Client(t, kgo.Dialer(s.DialContext))
	if _, err := kadm.NewClient(cl).CreateTopics(testContext(t), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(context.Background(), &kgo.Record{Topic: "t"}).FirstErr(); err != nil {
		t.Error(err)
	}
}
