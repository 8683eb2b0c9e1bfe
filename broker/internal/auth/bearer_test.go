package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/auth"
)

// issuer signs tokens and shows its keys.
type issuer struct {
	*httptest.Server
	t       *testing.T
	key     *ecdsa.PrivateKey
	kid     string
	fetched atomic.Int32
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t, kid: "k1"}
	i.rotate("k1")
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.fetched.Add(1)
		b, err := i.key.PublicKey.Bytes()
		if err != nil {
			t.Error(err)
		}
		x, y := new(big.Int).SetBytes(b[1:33]), new(big.Int).SetBytes(b[33:])
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":%q,"x":%q,"y":%q}]}`, i.kid,
			base64.RawURLEncoding.EncodeToString(x.FillBytes(make([]byte, 32))), base64.RawURLEncoding.EncodeToString(y.FillBytes(make([]byte, 32))))
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) rotate(kid string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	i.key, i.kid = key, kid
}

func part(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// sign makes a token of a header and claims.
func (i *issuer) sign(header, claims map[string]any) string {
	text := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		i.t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func bearerMessage(token string) string { return "n,,\x01auth=Bearer " + token + "\x01\x01" }

// TestBearerTokens: a token is believed if everything about it is right, and not if one thing is missing or wrong.
func TestBearerTokens(t *testing.T) {
	i := newIssuer(t)
	now := time.Now()
	mech, err := auth.NewBearer(auth.BearerConfig{Issuer: "https://issuer", Audience: []string{"kafka", "leat"}, Keys: i.URL, Claim: "sub", Skew: 30 * time.Second}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	type change func(header, claims map[string]any)
	token := func(c change) string {
		header := map[string]any{"alg": "ES256", "kid": i.kid, "typ": "JWT"}
		claims := map[string]any{"iss": "https://issuer", "aud": "leat", "sub": "alice", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix()}
		if c != nil {
			c(header, claims)
		}
		return i.sign(header, claims)
	}
	login := func(message string) (*auth.Session, error) {
		s := auth.NewSession(&auth.Gate{Mechanisms: []auth.Mechanism{mech}}, func() time.Time { return now })
		if err := s.Handshake("OAUTHBEARER", false); err != nil {
			t.Fatal(err)
		}
		reply, _, err := s.Authenticate([]byte(message))
		if err == nil && !s.Open() {
			if !strings.Contains(string(reply), "invalid_token") {
				t.Errorf("the client is told %q", reply)
			}
			_, _, err = s.Authenticate([]byte("\x01"))
		}
		return s, err
	}
	good := map[string]change{
		"as it should be":      nil,
		"several audiences":    func(_, c map[string]any) { c["aud"] = []string{"other", "kafka"} },
		"expired a moment ago": func(_, c map[string]any) { c["exp"] = now.Add(-10 * time.Second).Unix() },
		"valid in a moment":    func(_, c map[string]any) { c["nbf"] = now.Add(10 * time.Second).Unix() },
	}
	for name, c := range good {
		if s, err := login(bearerMessage(token(c))); err != nil || s.Who().String() != "User:alice" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s, err := login("n,a=alice,\x01auth=bearer " + token(nil) + "\x01traceparent=1\x01\x01"); err != nil || !s.Open() {
		t.Errorf("with its own authorization id: %v", err)
	}
	s, err := login(bearerMessage(token(nil)))
	if end := s.Expires(); err != nil || end.Before(now.Add(59*time.Minute)) || end.After(now.Add(61*time.Minute)) {
		t.Errorf("the session ends at %v", end)
	}
	bad := map[string]change{
		"no issuer":           func(_, c map[string]any) { delete(c, "iss") },
		"another issuer":      func(_, c map[string]any) { c["iss"] = "https://issuer/" },
		"no audience":         func(_, c map[string]any) { delete(c, "aud") },
		"another audience":    func(_, c map[string]any) { c["aud"] = "leats" },
		"an empty audience":   func(_, c map[string]any) { c["aud"] = []string{} },
		"no expiry":           func(_, c map[string]any) { delete(c, "exp") },
		"expiry of zero":      func(_, c map[string]any) { c["exp"] = 0 },
		"expired":             func(_, c map[string]any) { c["exp"] = now.Add(-time.Minute).Unix() },
		"not yet valid":       func(_, c map[string]any) { c["nbf"] = now.Add(time.Minute).Unix() },
		"valid from a string": func(_, c map[string]any) { c["nbf"] = "now" },
		"no subject":          func(_, c map[string]any) { delete(c, "sub") },
		"an empty subject":    func(_, c map[string]any) { c["sub"] = "" },
		"a subject of number": func(_, c map[string]any) { c["sub"] = 7 },
		"alg none":            func(h, _ map[string]any) { h["alg"] = "none" },
		"alg None":            func(h, _ map[string]any) { h["alg"] = "None" },
		"no alg":              func(h, _ map[string]any) { delete(h, "alg") },
		"alg HS256":           func(h, _ map[string]any) { h["alg"] = "HS256" },
		"alg RS256":           func(h, _ map[string]any) { h["alg"] = "RS256" },
		"an unknown key":      func(h, _ map[string]any) { h["kid"] = "k2" },
	}
	for name, c := range bad {
		if s, err := login(bearerMessage(token(c))); err == nil || s.Open() {
			t.Errorf("%s: it is believed", name)
		}
	}
	other := newIssuer(t)
	whole := token(nil)
	parts := strings.Split(whole, ".")
	mac := hmac.New(sha256.New, []byte("secret"))
	for name, text := range map[string]string{
		"signed by another":          bearerMessage(other.sign(map[string]any{"alg": "ES256", "kid": "k1"}, map[string]any{"iss": "https://issuer", "aud": "leat", "sub": "alice", "exp": now.Add(time.Hour).Unix()})),
		"no signature":               bearerMessage(parts[0] + "." + parts[1] + "."),
		"alg none without signature": bearerMessage(part(map[string]any{"alg": "none"}) + "." + parts[1] + "."),
		"alg HS256 with a MAC":       bearerMessage(part(map[string]any{"alg": "HS256"}) + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))),
		"other claims":               bearerMessage(parts[0] + "." + part(map[string]any{"sub": "root"}) + "." + parts[2]),
		"two parts":                  bearerMessage(parts[0] + "." + parts[1]),
		"no token":                   bearerMessage(""),
		"as somebody else":           "n,a=bob,\x01auth=Bearer " + whole + "\x01\x01",
		"another scheme":             "n,,\x01auth=Basic " + whole + "\x01\x01",
		"two tokens":                 "n,,\x01auth=Bearer " + whole + "\x01auth=Bearer " + whole + "\x01\x01",
		"no end":                     "n,,\x01auth=Bearer " + whole,
		"no head":                    "\x01auth=Bearer " + whole + "\x01\x01",
		"channel binding":            "p=tls-unique,,\x01auth=Bearer " + whole + "\x01\x01",
		"nothing":                    "",
		"an acknowledgement":         "\x01",
		"not UTF-8":                  "n,,\x01auth=Bearer \xff\x01\x01",
		"a very large one":           bearerMessage(strings.Repeat("a.", 8<<10)),
	} {
		if s, err := login(text); err == nil || s.Open() {
			t.Errorf("%s: it is believed", name)
		}
	}
}

// TestBearerKeysRotate: new keys are found, and an unknown one does not make the broker ask without end.
func TestBearerKeysRotate(t *testing.T) {
	i := newIssuer(t)
	now := time.Now()
	mech, err := auth.NewBearer(auth.BearerConfig{Issuer: "i", Audience: []string{"a"}, Keys: i.URL, Claim: "user"}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	believed := func(kid string) bool {
		token := i.sign(map[string]any{"alg": "ES256", "kid": kid}, map[string]any{"iss": "i", "aud": "a", "user": "alice", "exp": now.Add(time.Hour).Unix()})
		_, id, err := mech.Start().Step([]byte(bearerMessage(token)))
		return err == nil && id != nil
	}
	if !believed("k1") || i.fetched.Load() != 1 {
		t.Fatalf("fetched %d times", i.fetched.Load())
	}
	for range 100 {
		believed("guess")
	}
	if n := i.fetched.Load(); n > 1 {
		t.Errorf("unknown keys were fetched %d times", n)
	}
	i.rotate("k2")
	now = now.Add(6 * time.Second)
	// The key set may still be ending a fetch that was refused above, and then answers with that refusal.
	within(t, func() bool { return believed("k2") })
	if n := i.fetched.Load(); n != 2 {
		t.Errorf("after a rotation: fetched %d times", n)
	}
}

// within waits until something is true.
func within(t *testing.T, f func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not become true")
		}
	}
}

func TestWhatBearerNeeds(t *testing.T) {
	good := auth.BearerConfig{Issuer: "i", Audience: []string{"a"}, Keys: "https://issuer/keys", Claim: "sub"}
	if _, err := auth.NewBearer(good, time.Now); err != nil {
		t.Error(err)
	}
	for says, change := range map[string]func(*auth.BearerConfig){
		"expected.issuer":   func(c *auth.BearerConfig) { c.Issuer = "" },
		"expected.audience": func(c *auth.BearerConfig) { c.Audience = nil },
		"jwks.endpoint.url": func(c *auth.BearerConfig) { c.Keys = "" },
		"sub.claim.name":    func(c *auth.BearerConfig) { c.Claim = "" },
		"by https":          func(c *auth.BearerConfig) { c.Keys = "http://issuer/keys" },
		"\"file:":           func(c *auth.BearerConfig) { c.Keys = "file:///etc/passwd" },
	} {
		cfg := good
		change(&cfg)
		if _, err := auth.NewBearer(cfg, time.Now); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}
