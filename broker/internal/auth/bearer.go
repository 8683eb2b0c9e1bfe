package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
)

// BearerConfig is which tokens are believed (sasl.oauthbearer.*). Issuer, Audience and Keys are all needed.
type BearerConfig struct {
	Issuer   string
	Audience []string // one of them
	Keys     string   // the URL of a JSON Web Key Set
	Claim    string   // the user's name
	Skew     time.Duration
}

// Check refuses a configuration with which a token could be believed that nobody made for this broker.
func (c BearerConfig) Check() error {
	u, err := url.Parse(c.Keys)
	switch {
	case c.Issuer == "":
		return errors.New("sasl.oauthbearer.expected.issuer is not set")
	case len(c.Audience) == 0:
		return errors.New("sasl.oauthbearer.expected.audience is not set")
	case c.Keys == "":
		return errors.New("sasl.oauthbearer.jwks.endpoint.url is not set")
	case c.Claim == "":
		return errors.New("sasl.oauthbearer.sub.claim.name is empty")
	case err != nil || u.Scheme != "https" && (u.Scheme != "http" || !onThisMachine(u.Hostname())):
		return fmt.Errorf("sasl.oauthbearer.jwks.endpoint.url is %q: keys come by https, or from this machine by http", c.Keys)
	}
	return nil
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// signatures are the algorithms that tokens may be signed with: none that everybody, or this broker, could sign with.
var signatures = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

const (
	keysTime  = 10 * time.Second // for fetching keys
	keysEvery = 5 * time.Second  // keys are not fetched more often, however many unknown ones tokens name
	keysMax   = 1 << 20
)

// Bearer is SASL OAUTHBEARER (RFC 7628): a client shows a JSON Web Token that an issuer has signed for it.
type Bearer struct {
	cfg      BearerConfig
	verifier *oidc.IDTokenVerifier
	now      func() time.Time
}

// NewBearer believes tokens as cfg says.
func NewBearer(cfg BearerConfig, now func() time.Time) (*Bearer, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	client := &http.Client{
		Transport: &seldom{now: now}, Timeout: keysTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("keys do not move") },
	}
	keys := oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), client), cfg.Keys)
	return &Bearer{cfg, oidc.NewVerifier(cfg.Issuer, keys, &oidc.Config{
		SkipClientIDCheck: true, SkipExpiryCheck: true, // both are checked here: there may be several audiences, and clocks differ
		SupportedSigningAlgs: signatures,
	}), now}, nil
}

// Name implements Mechanism.
func (*Bearer) Name() string { return "OAUTHBEARER" }

// Start implements Mechanism.
func (b *Bearer) Start() Exchange { return &bearerExchange{Bearer: b} }

type bearerExchange struct {
	*Bearer
	refused error // said to the client, which has yet to acknowledge it
}

func (b *bearerExchange) Step(message []byte) ([]byte, *Identity, error) {
	if b.refused != nil {
		return nil, nil, b.refused
	}
	authzid, token, err := readBearer(message)
	if err != nil {
		return nil, nil, err
	}
	id, refused := b.believe(token)
	if refused == nil && authzid != "" && authzid != id.Name {
		id, refused = nil, errors.New("the authorization id is not the token's user")
	}
	if b.refused = refused; id == nil {
		return []byte(`{"status":"invalid_token"}`), nil, nil
	}
	return []byte{}, id, nil
}

// readBearer reads `n,a=AUTHZID,` and then pairs, each with a byte 1 before it, and two of them at the end.
func readBearer(message []byte) (authzid, token string, err error) {
	bad := errors.New("the message is not one of OAUTHBEARER")
	if !utf8.Valid(message) {
		return "", "", bad
	}
	head, pairs, ok := strings.Cut(string(message), "\x01")
	flag, rest, _ := strings.Cut(head, ",")
	authzid, end, closed := strings.Cut(rest, ",")
	if !ok || !closed || end != "" || flag != "n" && flag != "y" || !strings.HasSuffix(pairs, "\x01\x01") {
		return "", "", bad
	}
	if authzid != "" {
		if authzid, ok = strings.CutPrefix(authzid, "a="); !ok || authzid == "" {
			return "", "", bad
		}
		authzid = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(authzid)
	}
	for pair := range strings.SplitSeq(strings.TrimSuffix(pairs, "\x01\x01"), "\x01") {
		if value, ok := strings.CutPrefix(pair, "auth="); ok {
			scheme, t, _ := strings.Cut(value, " ")
			if !strings.EqualFold(scheme, "Bearer") || token != "" {
				return "", "", bad
			}
			token = strings.TrimSpace(t)
		}
	}
	if token == "" {
		return "", "", bad
	}
	return authzid, token, nil
}

// believe checks signature, issuer, audience and time.
func (b *Bearer) believe(token string) (*Identity, error) {
	ctx, cancel := context.WithTimeout(context.Background(), keysTime)
	defer cancel()
	t, err := b.verifier.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(t.Audience, func(a string) bool { return slices.Contains(b.cfg.Audience, a) }) {
		return nil, fmt.Errorf("the token is for %q", t.Audience)
	}
	var claims map[string]any
	if err := t.Claims(&claims); err != nil {
		return nil, err
	}
	now := b.now()
	if _, ok := claims["exp"].(float64); !ok || !now.Before(t.Expiry.Add(b.cfg.Skew)) {
		return nil, errors.New("the token has expired, or never does")
	}
	if nbf, there := claims["nbf"]; there {
		at, ok := nbf.(float64)
		if !ok || now.Add(b.cfg.Skew).Before(time.Unix(int64(at), 0)) {
			return nil, errors.New("the token is not valid yet")
		}
	}
	name, ok := claims[b.cfg.Claim].(string)
	if !ok || name == "" {
		return nil, fmt.Errorf("the token has no claim %s", b.cfg.Claim)
	}
	return &Identity{Name: name, Expires: t.Expiry.Add(b.cfg.Skew)}, nil
}

// seldom fetches, but not often and not much.
type seldom struct {
	now func() time.Time

	mu   sync.Mutex
	last time.Time
}

func (s *seldom) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	now := s.now()
	soon := !s.last.IsZero() && now.Sub(s.last) < keysEvery
	if !soon {
		s.last = now
	}
	s.mu.Unlock()
	if soon {
		return nil, errors.New("the key is unknown, and keys were fetched just now")
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = limited{io.LimitReader(resp.Body, keysMax), resp.Body}
	return resp, nil
}

type limited struct {
	io.Reader
	io.Closer
}
