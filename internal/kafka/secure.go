package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/leatstream/leat/internal/security"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Secure makes options of the security properties of Kafka's clients: security.protocol, sasl.* and ssl.*.
func Secure(properties map[string]string) ([]kgo.Opt, error) {
	protocol := strings.ToUpper(properties["security.protocol"])
	var opts []kgo.Opt
	switch protocol {
	case "", "PLAINTEXT", "SASL_PLAINTEXT":
	case "SSL", "SASL_SSL":
		cfg, err := clientTLS(properties)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(cfg))
	default:
		return nil, fmt.Errorf("security.protocol is %q: there are PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL", protocol)
	}
	if strings.HasPrefix(protocol, "SASL_") {
		m, err := clientSASL(properties)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(m))
	}
	return opts, nil
}

func clientTLS(p map[string]string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	trust := security.Store{
		What: "ssl.truststore", Type: p["ssl.truststore.type"], Location: p["ssl.truststore.location"], Password: p["ssl.truststore.password"],
		Certificates: p["ssl.truststore.certificates"],
	}
	if trust.Location != "" || trust.Certificates != "" {
		certs, err := trust.Trusted()
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		for _, c := range certs {
			cfg.RootCAs.AddCert(c)
		}
	}
	key := security.Store{
		What: "ssl.keystore", Type: p["ssl.keystore.type"], Location: p["ssl.keystore.location"], Password: p["ssl.keystore.password"],
		Certificates: p["ssl.keystore.certificate.chain"], Key: p["ssl.keystore.key"], KeyPassword: p["ssl.key.password"],
	}
	if key.Location != "" || key.Certificates != "" {
		pair, err := key.Pair()
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if algorithm, said := p["ssl.endpoint.identification.algorithm"]; said && algorithm == "" {
		anyName(cfg)
	}
	return cfg, nil
}

// anyName trusts a broker whatever its name is, if its certificate is signed by one that is trusted.
func anyName(cfg *tls.Config) {
	roots := cfg.RootCAs
	cfg.InsecureSkipVerify = true // of what this skips, VerifyConnection checks all but the name
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range state.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		_, err := state.PeerCertificates[0].Verify(opts)
		return err
	}
}

func clientSASL(p map[string]string) (sasl.Mechanism, error) {
	jaas, err := security.ParseJAAS(p["sasl.jaas.config"])
	if err != nil {
		return nil, fmt.Errorf("sasl.jaas.config: %w", err)
	}
	user, password := jaas.Options["username"], jaas.Options["password"]
	mechanism := p["sasl.mechanism"]
	if mechanism != "OAUTHBEARER" && (user == "" || password == "") {
		return nil, errors.New("sasl.jaas.config has no username and password")
	}
	switch mechanism {
	case "PLAIN":
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	case "OAUTHBEARER":
		return tokenFile(p["sasl.oauthbearer.token.endpoint.url"])
	default:
		return nil, fmt.Errorf("sasl.mechanism is %q: there are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER", mechanism)
	}
}

// tokenFile reads the token anew for every connection, because whoever writes it renews it.
func tokenFile(from string) (sasl.Mechanism, error) {
	u, err := url.Parse(from)
	if err != nil || u.Scheme != "file" || u.Path == "" {
		return nil, errors.New("sasl.oauthbearer.token.endpoint.url is not file:///PATH: this client reads its token from a file")
	}
	return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
		token, err := os.ReadFile(u.Path)
		return oauth.Auth{Token: strings.TrimSpace(string(token))}, err
	}), nil
}
