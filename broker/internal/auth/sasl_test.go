package auth

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"
)

func plainGate() *Gate {
	return &Gate{Mechanisms: []Mechanism{NewPlain(map[string]string{"alice": "secret", "bob": "hidden", "empty": ""})}}
}

func TestPlain(t *testing.T) {
	for _, c := range []struct {
		token string
		who   string // empty: refused
	}{
		{"\x00alice\x00secret", "alice"},
		{"alice\x00alice\x00secret", "alice"},
		{"bob\x00alice\x00secret", ""}, // acts as another
		{"alice\x00bob\x00hidden", ""},
		{"\x00alice\x00hidden", ""},
		{"\x00alice\x00", ""},
		{"\x00empty\x00", ""}, // a user without a password is no user
		{"\x00alice\x00secret\x00", ""},
		{"\x00alice\x00secretx", ""},
		{"\x00Alice\x00secret", ""},
		{"\x00carol\x00", ""},
		{"\x00carol\x00" + strings.Repeat("\x00", 32), ""}, // the hash of nobody
		{"\x00\x00secret", ""},
		{"alice\x00secret", ""},
		{"alice", ""},
		{"", ""},
		{"\x00\xff\x00secret", ""},
	} {
		s := NewSession(plainGate(), time.Now)
		if err := s.Handshake("PLAIN", false); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Authenticate([]byte(c.token))
		if got := s.Who().Name; got != c.who || (err == nil) != (c.who != "") || s.Open() != (c.who != "") || (s.Failed() != nil) != (c.who == "") {
			t.Errorf("%q: %q, %v", c.token, got, err)
		}
		if c.who == "" && !errors.Is(err, ErrFailed) {
			t.Errorf("%q: %v", c.token, err)
		}
		if strings.HasPrefix(c.token, "\x00alice\x00hidden") && !strings.Contains(err.Error(), `of user "alice"`) {
			t.Errorf("the audit log does not learn who it was: %v", err)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "hidden")) {
			t.Errorf("the error shows a password: %v", err)
		}
	}
}

// credential is what `leat user create` and Kafka's tools make of a password.
func credential(t *testing.T, m ScramMechanism, password string) ScramCredential {
	t.Helper()
	salt := []byte("0123456789")
	salted, err := pbkdf2.Key(sha256.New, password, salt, 4096, 32)
	if m == ScramSHA512 {
		salted, err = pbkdf2.Key(sha512.New, password, salt, 4096, 64)
	}
	if err != nil {
		t.Fatal(err)
	}
	return NewScramCredential(m, salt, salted, 4096)
}

func TestScram(t *testing.T) {
	for m, generate := range map[ScramMechanism]scram.HashGeneratorFcn{ScramSHA256: scram.SHA256, ScramSHA512: scram.SHA512} {
		users := map[string]ScramCredential{"alice": credential(t, m, "secret"), "o'b=r,ien": credential(t, m, "x")}
		mech := NewScram(m, func(user string) (ScramCredential, bool) { c, ok := users[user]; return c, ok })
		for _, c := range []struct {
			user, password, authzid string
			ok                      bool
		}{
			{"alice", "secret", "", true},
			{"alice", "secret", "alice", true},
			{"o'b=r,ien", "x", "", true},
			{"alice", "secret", "bob", false},
			{"alice", "Secret", "", false},
			{"alice", "", "", false},
			{"carol", "secret", "", false},
		} {
			client, err := generate.NewClientUnprepped(c.user, c.password, c.authzid)
			if err != nil {
				t.Fatal(err)
			}
			s := NewSession(&Gate{Mechanisms: []Mechanism{mech}}, time.Now)
			if err := s.Handshake(m.String(), false); err != nil {
				t.Fatal(err)
			}
			conv := client.NewConversation()
			first, _ := conv.Step("")
			reply, _, err := s.Authenticate([]byte(first))
			if err != nil || s.Open() {
				t.Fatalf("%s: the first step gives away that there is no such user: %v", c.user, err)
			}
			final, err := conv.Step(string(reply))
			if err != nil {
				t.Fatal(err)
			}
			reply, _, err = s.Authenticate([]byte(final))
			if (err == nil) != c.ok || s.Open() != c.ok {
				t.Errorf("%s %+v: %v", m, c, err)
			}
			if err != nil && c.authzid == "" && !strings.Contains(err.Error(), `of user "`+c.user+`"`) {
				t.Errorf("the audit log does not learn who it was: %v", err)
			}
			if c.ok {
				if _, err := conv.Step(string(reply)); err != nil || !conv.Valid() || s.Who().Name != c.user {
					t.Errorf("the client does not know the broker again: %v", err)
				}
			}
		}
	}
}

// TestScramDoesNotTellWhoExists: an unknown user has a salt too, the same each time, as long as those that our tools make.
func TestScramDoesNotTellWhoExists(t *testing.T) {
	mech := NewScram(ScramSHA256, func(string) (ScramCredential, bool) { return ScramCredential{}, false })
	ask := func(user string) string {
		reply, _, err := mech.Start().Step([]byte("n,,n=" + user + ",r=nonce"))
		if err != nil {
			t.Fatal(err)
		}
		_, salt, _ := strings.Cut(string(reply), ",s=")
		return salt
	}
	if a := ask("carol"); a != ask("carol") || a == ask("dave") || !strings.HasSuffix(a, ",i=4096") {
		t.Errorf("%q, %q, %q", a, ask("carol"), ask("dave"))
	} else if salt, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(a, ",i=4096")); err != nil || len(salt) != 24 {
		t.Errorf("a salt of %d bytes, %v", len(salt), err)
	}
}

func TestScramDamage(t *testing.T) {
	c := credential(t, ScramSHA256, "secret")
	mech := NewScram(ScramSHA256, func(string) (ScramCredential, bool) { return c, true })
	for _, tokens := range [][]string{
		{""}, {"n"}, {"n,,"}, {"n,,n=alice"}, {"n,,n=,r=x", "c=biws,r=x,p="}, {"p=tls-unique,,n=alice,r=x"}, {"y,,n=alice,r=x", ""},
		{"n,,m=ext,n=alice,r=x"}, {"n,,n=alice,r=x", "c=biws,r=x"}, {"n,,n=alice,r=x", "c=biws,r=x,p=AAAA"}, {"n,,n=alice,r=x", "c=biws,r=other,p=AAAA", "again"},
		{"n,,n=\xff,r=x"}, {strings.Repeat("n", 16<<10)},
	} {
		s := NewSession(&Gate{Mechanisms: []Mechanism{mech}}, time.Now)
		if err := s.Handshake("SCRAM-SHA-256", false); err != nil {
			t.Fatal(err)
		}
		for _, token := range tokens {
			_, _, _ = s.Authenticate([]byte(token))
		}
		if s.Open() {
			t.Errorf("%q proves something", tokens)
		}
		if _, _, err := s.Authenticate([]byte("n,,n=alice,r=x")); s.Failed() == nil && err == nil && len(tokens) > 1 {
			t.Errorf("%q: the exchange goes on", tokens)
		}
	}
}

func FuzzSASL(f *testing.F) {
	c := ScramCredential{Salt: "salt", StoredKey: "stored", ServerKey: "server", Iterations: 4096}
	f.Add("PLAIN", []byte("\x00alice\x00x"), []byte(""))
	f.Add("SCRAM-SHA-256", []byte("n,,n=alice,r=x"), []byte("c=biws,r=x,p=AAAA"))
	f.Add("OAUTHBEARER", []byte("n,,\x01auth=Bearer a.b.c\x01\x01"), []byte("\x01"))
	gate := &Gate{Mechanisms: []Mechanism{
		NewPlain(map[string]string{"alice": "a password that nobody finds"}),
		NewScram(ScramSHA256, func(string) (ScramCredential, bool) { return c, true }),
	}}
	f.Fuzz(func(t *testing.T, mechanism string, first, second []byte) {
		s := NewSession(gate, time.Now)
		if s.Handshake(mechanism, false) != nil {
			return
		}
		_, _, _ = s.Authenticate(first)
		_, _, _ = s.Authenticate(second)
		if s.Open() {
			t.Fatalf("%q and %q prove who somebody is", first, second)
		}
	})
}

func TestSessionsKeepTheirOrder(t *testing.T) {
	now := time.Unix(1000, 0)
	gate := plainGate()
	gate.Mechanisms = append(gate.Mechanisms, NewScram(ScramSHA256, func(string) (ScramCredential, bool) { return ScramCredential{}, false }))
	gate.MaxReauth = map[string]time.Duration{"PLAIN": time.Minute}
	fresh := func() *Session { return NewSession(gate, func() time.Time { return now }) }
	good := []byte("\x00alice\x00secret")

	s := fresh()
	if _, _, err := s.Authenticate(good); !errors.Is(err, ErrSASLState) || s.Failed() == nil {
		t.Errorf("a token before a handshake: %v", err)
	}
	if err := s.Handshake("PLAIN", false); !errors.Is(err, ErrSASLState) {
		t.Errorf("a failure is final: %v", err)
	}
	s = fresh()
	if err := s.Handshake("GSSAPI", false); !errors.Is(err, ErrNoMechanism) || s.Failed() == nil {
		t.Errorf("%v", err)
	}
	s = fresh()
	_ = s.Handshake("PLAIN", false)
	if err := s.Handshake("PLAIN", false); !errors.Is(err, ErrSASLState) {
		t.Errorf("two handshakes: %v", err)
	}

	s = fresh()
	_ = s.Handshake("PLAIN", true)
	if !s.Raw() {
		t.Error("not raw")
	}
	if _, lifetime, err := s.Authenticate(good); err != nil || lifetime != time.Minute || !s.Open() || s.Raw() || !s.Expires().Equal(now.Add(time.Minute)) {
		t.Errorf("%v, %v, expires %v", lifetime, err, s.Expires())
	}
	now = now.Add(50 * time.Second)
	_ = s.Handshake("PLAIN", false)
	if !s.Open() {
		t.Error("while it proves again who it is, it may go on")
	}
	if _, _, err := s.Authenticate(good); err != nil || !s.Expires().Equal(now.Add(time.Minute)) {
		t.Errorf("%v, expires %v", err, s.Expires())
	}
	_ = s.Handshake("PLAIN", false)
	if _, _, err := s.Authenticate([]byte("\x00bob\x00hidden")); err == nil || s.Open() {
		t.Errorf("alice became bob: %v", err)
	}
	s = fresh()
	_ = s.Handshake("PLAIN", false)
	_, _, _ = s.Authenticate(good)
	if err := s.Handshake("SCRAM-SHA-256", false); err == nil || s.Open() {
		t.Errorf("another mechanism: %v", err)
	}
}
