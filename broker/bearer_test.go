package broker_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
)

// TestTokensOverTLS: a client with a token of the issuer is let in as its subject, for as long as the token is good.
func TestTokensOverTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":%q,"y":%q}]}`, b64(public[1:33]), b64(public[33:]))
	}))
	defer keys.Close()
	s := secure(t, map[string]string{
		"listener.name.sasled.sasl.enabled.mechanisms": "PLAIN,OAUTHBEARER", "super.users": "User:admin;User:svc",
		"listener.name.sasled.oauthbearer.sasl.oauthbearer.expected.issuer":   "https://issuer",
		"listener.name.sasled.oauthbearer.sasl.oauthbearer.expected.audience": "leat",
		"sasl.oauthbearer.jwks.endpoint.url":                                  keys.URL,
		"sasl.oauthbearer.sub.claim.name":                                     "azp",
	})
	token := func(audience string, lifetime time.Duration) oauth.Auth {
		text := b64([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + b64(fmt.Appendf(nil, `{"iss":"https://issuer","aud":%q,"azp":"svc","exp":%d}`, audience, time.Now().Add(lifetime).Unix()))
		sum := sha256.Sum256([]byte(text))
		r, v, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return oauth.Auth{Token: text + "." + b64(append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...))}
	}
	ctx := testContext(t)
	asked := 0
	good := s.as(oauth.Oauth(func(context.Context) (oauth.Auth, error) { asked++; return token("leat", time.Hour), nil }))
	if _, err := s.admin().CreateTopics(ctx, 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	if err := good.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil || asked == 0 {
		t.Error(err)
	}
	for name, a := range map[string]oauth.Auth{
		"another audience": token("other", time.Hour), "expired": token("leat", -time.Hour), "damaged": {Token: token("leat", time.Hour).Token + "x"},
		"as the administrator": {Token: token("leat", time.Hour).Token, Zid: "admin"},
	} {
		// franz-go gives up at the challenge that says why, before the broker can.
		if err := s.as(a.AsMechanism()).Ping(ctx); err == nil || errors.Is(err, kerr.UnsupportedSaslMechanism) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
