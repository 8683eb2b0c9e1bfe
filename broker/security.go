package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/internal/security"
)

// standardAuthorizer are the names of the one authorizer that there is.
var standardAuthorizer = []string{"StandardAuthorizer", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"}

// insideProcess is who clients of the in-memory door are: code of this process, which could reach everything anyhow. No
// way of authenticating leads to it.
var insideProcess = auth.Principal{Type: "Process", Name: "leat"}

// authorizer is what decides what clients may do; nil: nothing does.
func authorizer(c *meta.BrokerConfig) (*auth.Standard, error) {
	name := c.String("authorizer.class.name")
	if name == "" {
		return nil, nil
	}
	if !slices.Contains(standardAuthorizer, name) {
		return nil, &ConfigError{fmt.Sprintf("there is no authorizer %q", name), "authorizer.class.name is StandardAuthorizer, or empty"}
	}
	super, err := auth.ParseSuperUsers(c.String("super.users"))
	if err != nil {
		return nil, &ConfigError{"super.users: " + err.Error(), "put semicolons between users: User:alice;User:bob"}
	}
	return auth.NewStandard(append(super, insideProcess), c.Bool("allow.everyone.if.no.acl.found")), nil
}

// lockDoors says how each door meets its clients. What is wrong with certificates is an error.
func (n *node) lockDoors() error {
	for i, l := range n.plan.listeners {
		meets := &n.doors[i].meets
		meets.Who = auth.Anonymous
		if l.tls() {
			cfg, err := tlsConfig(n.plan.config.ForListener(l.name, ""))
			if l.sasl() { // what is said for all listeners is meant for those without SASL (KIP-684)
				cfg.ClientAuth = n.plan.config.OfListener(l.name, "ssl.client.auth")
			}
			if err == nil {
				meets.TLS, err = auth.NewTLS(cfg, n.logger, time.Now)
			}
			if err != nil {
				return &StartError{fmt.Sprintf("the listener %s cannot speak TLS: %v", l.name, err), "docs/security.md shows how certificates are made and named", err}
			}
		}
		if l.sasl() {
			var err error
			if meets.SASL, err = n.gate(l); err != nil {
				return err
			}
		}
	}
	return nil
}

func tlsConfig(v meta.Values) (auth.TLSConfig, error) {
	rules, err := auth.ParseNameRules(v.String("ssl.principal.mapping.rules"))
	if err != nil {
		return auth.TLSConfig{}, fmt.Errorf("ssl.principal.mapping.rules: %w", err)
	}
	return auth.TLSConfig{
		Keystore: security.Store{
			What: "ssl.keystore", Type: v.String("ssl.keystore.type"), Location: v.String("ssl.keystore.location"), Password: v.String("ssl.keystore.password"),
			Certificates: v.String("ssl.keystore.certificate.chain"), Key: v.String("ssl.keystore.key"), KeyPassword: v.String("ssl.key.password"),
		},
		Truststore: security.Store{
			What: "ssl.truststore", Type: v.String("ssl.truststore.type"), Location: v.String("ssl.truststore.location"), Password: v.String("ssl.truststore.password"),
			Certificates: v.String("ssl.truststore.certificates"),
		},
		ClientAuth: v.String("ssl.client.auth"), Protocols: v.List("ssl.enabled.protocols"), Ciphers: v.List("ssl.cipher.suites"), Rules: rules,
	}, nil
}

// scramMechanisms are those that find their users in the metadata.
var scramMechanisms = map[string]auth.ScramMechanism{"SCRAM-SHA-256": auth.ScramSHA256, "SCRAM-SHA-512": auth.ScramSHA512}

// checkListener refuses a listener that could not speak what it should, or whose clients could not prove who they are.
func checkListener(c *meta.BrokerConfig, l listener) error {
	v := c.ForListener(l.name, "")
	if l.tls() && v.String("ssl.keystore.location") == "" && v.String("ssl.keystore.certificate.chain") == "" {
		return &ConfigError{fmt.Sprintf("the listener %s speaks %s, and there is no certificate for it", l.name, l.protocol),
			"set ssl.keystore.location to a PEM file with certificate and private key"}
	}
	if !l.sasl() {
		return nil
	}
	mechanisms := v.List("sasl.enabled.mechanisms")
	if len(mechanisms) == 0 {
		return &ConfigError{fmt.Sprintf("the listener %s asks for SASL, and sasl.enabled.mechanisms names no mechanism", l.name), "set sasl.enabled.mechanisms=SCRAM-SHA-512"}
	}
	for _, m := range mechanisms {
		switch {
		case scramMechanisms[m] != 0:
		case m == "PLAIN":
			if _, err := plainUsers(c.ForListener(l.name, m)); err != nil {
				return &ConfigError{fmt.Sprintf("the users of PLAIN on the listener %s: %v", l.name, err),
					fmt.Sprintf(`set listener.name.%s.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="PASSWORD";`, strings.ToLower(l.name))}
			}
		case m == "OAUTHBEARER":
			if err := bearerConfig(c.ForListener(l.name, m)).Check(); err != nil {
				return &ConfigError{fmt.Sprintf("OAUTHBEARER on the listener %s: %v", l.name, err), "issuer, audience and keys are all needed: without one of them tokens of others would be believed"}
			}
		default:
			return &ConfigError{fmt.Sprintf("sasl.enabled.mechanisms has %q on the listener %s", m, l.name), "there are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER"}
		}
	}
	return nil
}

func bearerConfig(v meta.Values) auth.BearerConfig {
	return auth.BearerConfig{
		Issuer: v.String("sasl.oauthbearer.expected.issuer"), Audience: v.List("sasl.oauthbearer.expected.audience"),
		Keys: v.String("sasl.oauthbearer.jwks.endpoint.url"), Claim: v.String("sasl.oauthbearer.sub.claim.name"),
		Skew: time.Duration(v.Int("sasl.oauthbearer.clock.skew.seconds")) * time.Second,
	}
}

func plainUsers(v meta.Values) (map[string]string, error) {
	j, err := security.ParseJAAS(v.String("sasl.jaas.config"))
	if err != nil {
		return nil, fmt.Errorf("sasl.jaas.config: %w", err)
	}
	users := j.Users()
	if len(users) == 0 {
		return nil, errors.New("sasl.jaas.config has no user_NAME=\"PASSWORD\"")
	}
	for name, password := range users {
		if password == "" {
			return nil, fmt.Errorf("%s has no password", name)
		}
	}
	return users, nil
}

// gate is how clients of a listener prove who they are.
func (n *node) gate(l listener) (*auth.Gate, error) {
	v := n.plan.config.ForListener(l.name, "")
	g := &auth.Gate{FailureDelay: v.Millis("connection.failed.authentication.delay.ms"), MaxReauth: map[string]time.Duration{}}
	for _, name := range v.List("sasl.enabled.mechanisms") {
		own := n.plan.config.ForListener(l.name, name)
		g.MaxReauth[name] = own.Millis("connections.max.reauth.ms")
		m, err := n.mechanism(name, own)
		if err != nil {
			return nil, err
		}
		g.Mechanisms = append(g.Mechanisms, m)
	}
	return g, nil
}

func (n *node) mechanism(name string, v meta.Values) (auth.Mechanism, error) {
	switch m := scramMechanisms[name]; {
	case m != 0:
		return auth.NewScram(m, func(user string) (auth.ScramCredential, bool) {
			return n.meta.Image().Scram(meta.ScramUser{Name: user, Mechanism: m})
		}), nil
	case name == "OAUTHBEARER":
		return auth.NewBearer(bearerConfig(v), time.Now)
	default:
		users, err := plainUsers(v)
		return auth.NewPlain(users), err
	}
}

// followACLs keeps the authorizer's rules those of the metadata.
func (n *node) followACLs() {
	n.plan.authorizer.Follow(n.meta.Image().ACLs())
	n.meta.Subscribe(func(old, image *meta.Image) {
		if !image.SameACLs(old) {
			n.plan.authorizer.Follow(image.ACLs())
		}
	})
}
