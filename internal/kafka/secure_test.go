package kafka

import (
	"crypto/x509/pkix"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/leatstream/leat/broker/brokertest/certs"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestSecureReachesABroker: the properties of Kafka's clients lead through each kind of door.
func TestSecureReachesABroker(t *testing.T) {
	ca, dir := certs.NewCA(t, "ours"), t.TempDir()
	trust := ca.Truststore(t, dir, "ca.pem")
	key := ca.Make(t, pkix.Name{CommonName: "broker"}).Keystore(t, dir, "broker.pem")
	alice := ca.Make(t, pkix.Name{CommonName: "alice"}).Keystore(t, dir, "alice.pem")
	c := brokertest.Start(t, 1, brokertest.Listen("SASL_SSL://127.0.0.1:0", "SSL://127.0.0.1:0", "SASL_PLAINTEXT://127.0.0.1:0", "PLAINTEXT://127.0.0.1:0"), brokertest.Properties(map[string]string{
		"ssl.keystore.location": key, "sasl.enabled.mechanisms": "PLAIN", "sasl.jaas.config": `M required user_alice="a;\"b=c";`,
		"listener.name.ssl.ssl.client.auth": "required", "listener.name.ssl.ssl.truststore.location": trust,
	}))
	const jaas = `org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="a;\"b=c";`
	for _, x := range []struct {
		name string
		door int
		p    map[string]string
		ok   bool
	}{
		{"plaintext", 3, nil, true},
		{"SASL_SSL", 0, map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.jaas.config": jaas, "ssl.truststore.location": trust}, true},
		{"SASL_SSL without trust", 0, map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.jaas.config": jaas}, false},
		{"another password", 0, map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.jaas.config": strings.Replace(jaas, "b=c", "b", 1), "ssl.truststore.location": trust}, false},
		{"SASL without TLS", 2, map[string]string{"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", "sasl.jaas.config": jaas}, true},
		{"certificate", 1, map[string]string{"security.protocol": "SSL", "ssl.truststore.location": trust, "ssl.keystore.location": alice}, true},
		{"any name", 1, map[string]string{"security.protocol": "SSL", "ssl.truststore.location": trust, "ssl.keystore.location": alice, "ssl.endpoint.identification.algorithm": ""}, true},
		{"any name, but not any authority", 1, map[string]string{"security.protocol": "SSL", "ssl.truststore.location": certs.NewCA(t, "theirs").Truststore(t, dir, "theirs.pem"), "ssl.keystore.location": alice, "ssl.endpoint.identification.algorithm": ""}, false},
		{"no certificate", 1, map[string]string{"security.protocol": "SSL", "ssl.truststore.location": trust}, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			opts, err := Secure(x.p)
			if err != nil {
				t.Fatal(err)
			}
			cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.Addrs()[x.door]), kgo.RequestRetries(0))...)
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			if err := cl.Ping(t.Context()); (err == nil) != x.ok {
				t.Error(err)
			}
		})
	}
	for says, p := range map[string]map[string]string{
		"security.protocol is \"TLS\"":    {"security.protocol": "tls"},
		"no username":                     {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.jaas.config": "M required;"},
		"sasl.mechanism is \"GSSAPI\"":    {"security.protocol": "SASL_SSL", "sasl.mechanism": "GSSAPI", "sasl.jaas.config": jaas},
		"sasl.jaas.config":                {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"},
		"token.endpoint.url is not file:": {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER", "sasl.jaas.config": "M required;"},
		"ssl.truststore /nowhere":         {"security.protocol": "SSL", "ssl.truststore.location": "/nowhere"},
	} {
		if _, err := Secure(p); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "b=c") {
			t.Errorf("%v, want %q", err, says)
		}
	}
}
