package main

import (
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/leatstream/leat/broker/brokertest/certs"
)

// TestFirstContactSaysWhatToChange goes to every kind of listener with every kind of configuration but the right one.
func TestFirstContactSaysWhatToChange(t *testing.T) {
	dir := t.TempDir()
	ca := certs.NewCA(t, "ours")
	trust := ca.Truststore(t, dir, "ca.pem")
	other := certs.NewCA(t, "theirs").Truststore(t, dir, "other.pem")
	c := brokertest.Start(t, 1, brokertest.Listen("PLAINTEXT://127.0.0.1:0", "SSL://127.0.0.1:0", "SASL_PLAINTEXT://127.0.0.1:0", "SASL_SSL://127.0.0.1:0"), brokertest.Properties(map[string]string{
		"ssl.keystore.location":   ca.Make(t, pkix.Name{CommonName: "broker"}).Keystore(t, dir, "broker.pem"),
		"sasl.enabled.mechanisms": "PLAIN", "sasl.jaas.config": `M required user_alice="secret";`,
	}))
	plain, tls, sasl, both := c.Addrs()[0], c.Addrs()[1], c.Addrs()[2], c.Addrs()[3]
	web := answering(t, "HTTP/1.1 400 Bad Request\r\n\r\n")
	const login = "\nsasl.mechanism=PLAIN\nsasl.jaas.config=M required username=\"alice\" password=\"secret\";"
	tests := []struct {
		name, addr, config string // config: properties
		cause, hint        string
	}{
		{"TLS is missing", tls, "", "closed the connection at the first plain byte", "security.protocol=SSL or SASL_SSL"},
		{"TLS is missing below SASL", both, "security.protocol=SASL_PLAINTEXT" + login, "closed the connection at the first plain byte", "SASL_SSL in "},
		{"SASL is missing", sasl, "", "closed the connection at the first request", "asks for a name and a password"},
		{"TLS is too much", plain, "security.protocol=SSL\nssl.truststore.location=" + trust, "does not answer in TLS", "security.protocol without SSL"},
		{"SASL is too much", plain, "security.protocol=SASL_PLAINTEXT" + login, "ILLEGAL_SASL_STATE", "security.protocol without SASL_"},
		{"another password", sasl, strings.Replace("security.protocol=SASL_PLAINTEXT"+login, "secret", "public", 1), "SASL_AUTHENTICATION_FAILED", "is wrong, or there is no such user"},
		{"another mechanism", sasl, strings.Replace("security.protocol=SASL_PLAINTEXT"+login, "PLAIN\n", "SCRAM-SHA-256\n", 1), "UNSUPPORTED_SASL_MECHANISM", "sasl.enabled.mechanisms"},
		{"another authority", tls, "security.protocol=SSL\nssl.truststore.location=" + other, "nobody whom this machine trusts", "ssl.truststore.location in "},
		{"a web server", web, "", "does not speak Kafka's protocol", "9092"},
		{"nobody", "127.0.0.1:1", "", "connection refused", "leat serve"},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			args := []string{"leat", "topic", "list", "-b", test.addr}
			if test.config != "" {
				file := filepath.Join(dir, fmt.Sprintf("%d.properties", i))
				if err := os.WriteFile(file, []byte(test.config), 0o600); err != nil {
					t.Fatal(err)
				}
				args = append(args, "--client-config", file)
			}
			var out, errs strings.Builder
			code := run(t.Context(), args, stdio{strings.NewReader(""), &out, &errs})
			if said, hint, _ := strings.Cut(errs.String(), "\n  hint: "); code != exitConnect || out.Len() > 0 || !strings.Contains(said, test.cause) || !strings.Contains(hint, test.hint) {
				t.Errorf("exit %d, %q, %q", code, out.String(), errs.String())
			}
		})
	}
}

// answering listens for connections, says the same to each and closes it.
func answering(t *testing.T, answer string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1024)) // closing with something unread would reset the connection
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}
