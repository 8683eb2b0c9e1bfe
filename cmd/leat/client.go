package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const defaultBroker = "127.0.0.1:9092"

// answerTimeout bounds how long a command waits for a cluster that does not answer.
const answerTimeout = 10 * time.Second

// cluster is the address part of every command that talks to a running cluster.
type cluster struct {
	brokers []string
	config  string    // a file with the properties of Kafka's clients
	secure  []kgo.Opt // made of it
}

// addTo gives cmd the flags that name a cluster, in leat's and in Kafka's spelling.
func (c *cluster) addTo(cmd *cobra.Command) {
	cmd.PersistentFlags().StringSliceVarP(&c.brokers, "brokers", "b", []string{defaultBroker}, "where the cluster is, HOST:PORT[,HOST:PORT…]")
	cmd.PersistentFlags().StringSliceVar(&c.brokers, "bootstrap-server", []string{defaultBroker}, "--brokers by Kafka's name")
	cmd.PersistentFlags().StringVar(&c.config, "client-config", "", "a file with properties of Kafka's clients: security.protocol, sasl.*, ssl.*")
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return c.readFlags(cmd) }
}

// readFlags makes of the flags where the cluster is and how to get in.
func (c *cluster) readFlags(cmd *cobra.Command) error {
	said := cmd.Flags().Changed("brokers") || cmd.Flags().Changed("bootstrap-server")
	if err := c.readConfig(said); err != nil {
		return err
	}
	return checkBrokers(c.brokers)
}

// checkBrokers refuses what cannot be the address of a broker.
func checkBrokers(brokers []string) error {
	const hint = "hint: HOST:PORT, such as " + defaultBroker + "; several with commas between them"
	if len(brokers) == 0 {
		return usageError("--brokers names no broker\n  %s", hint)
	}
	for _, b := range brokers {
		host, port, err := net.SplitHostPort(b)
		if err != nil { // without a port it is 9092
			host, port = b, "9092"
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil || host == "" || strings.ContainsAny(host, "/ ") {
			return usageError("--brokers %q is not the address of a broker\n  %s", b, hint)
		}
	}
	return nil
}

// options are those of every client.
func (c *cluster) options() []kgo.Opt {
	return append([]kgo.Opt{kgo.SeedBrokers(c.brokers...), kgo.ClientID("leat"), kgo.DialTimeout(answerTimeout)}, c.secure...)
}

// client opens a client and proves that a broker answers, so that everything after is about the question.
func (c *cluster) client(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	cl, err := kgo.NewClient(append(append(c.options(), kgo.RetryTimeout(answerTimeout)), opts...)...)
	if err != nil {
		return nil, usageError("%w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := cl.Ping(ctx); err != nil {
		cl.Close()
		return nil, &exitError{exitConnect, c.unreachable(err)}
	}
	return cl, nil
}

// unreachable words a failed first contact: who did not answer, why, and what to do.
func (c *cluster) unreachable(err error) error {
	hint, cause := c.firstContact(err)
	what := "cannot reach a Kafka broker at %s: %w\n  hint: %s"
	if refused := (*kerr.Error)(nil); errors.As(err, &refused) {
		what = "the broker at %s lets nobody in who comes so: %w\n  hint: %s"
	}
	return fmt.Errorf(what, strings.Join(c.brokers, ","), cause, hint)
}

// firstContact says in plain words why a broker cannot be used, and what to do. The client words most of it as guesses, at
// length, of which the parts that matter are looked for.
func (c *cluster) firstContact(err error) (hint string, cause error) {
	file := cmp.Or(c.config, "the file of --client-config")
	says := func(part string) bool { return strings.Contains(err.Error(), part) }
	var refused *kerr.Error
	var op *net.OpError
	var late net.Error
	var stranger x509.UnknownAuthorityError
	var otherName x509.HostnameError
	switch {
	case errors.Is(err, kerr.IllegalSaslState):
		return "this listener asks nobody who they are: in " + file + ", security.protocol without SASL_", err
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return "sasl.mechanism in " + file + " is one that the broker does not have in sasl.enabled.mechanisms", err
	case errors.As(err, &refused) && c.config != "":
		return "name or password in " + c.config + " is wrong, or there is no such user", err
	case errors.As(err, &refused):
		return "--client-config FILE says who you are (docs/security.md)", err
	case says("is TLS missing"), says("tls alert record"):
		return "this listener probably speaks TLS: security.protocol=SSL or SASL_SSL in " + file + " (docs/security.md)", errors.New("it closed the connection at the first plain byte")
	case says("is SASL missing"):
		return "this listener probably asks for a name and a password: security.protocol=SASL_… and sasl.* in " + file + " (docs/security.md)", errors.New("it closed the connection at the first request")
	case says("is TLS misconfigured"), says("first record does not look like a TLS handshake"):
		return "this listener probably speaks no TLS: in " + file + ", security.protocol without SSL", errors.New("it does not answer in TLS")
	case errors.As(err, &stranger):
		return "ssl.truststore.location in " + file + " names a file with the certificate of who has", errors.New("nobody whom this machine trusts has signed its certificate")
	case errors.As(err, &otherName):
		return "name the broker as its certificate does, or have one made with this name in it", otherName
	case says("invalid large response size"):
		return "the port of clients is 9092 unless the broker was told otherwise", errors.New("what answers there does not speak Kafka's protocol")
	case errors.As(err, &late) && late.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "is it the port of a Kafka broker, which does not wait for TLS, and does no firewall stand between?", fmt.Errorf("no answer for %s", answerTimeout)
	case errors.As(err, &op) && op.Op == "dial":
		return "start one with `leat serve`, or name another with --brokers HOST:PORT", op.Err
	}
	return "name another broker with --brokers HOST:PORT; one that asks for TLS or a password needs --client-config FILE", err
}

// ask runs do with a client that is closed afterwards.
func (c *cluster) ask(ctx context.Context, do func(*kgo.Client) error) error {
	cl, err := c.client(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	return kafkaError(do(cl))
}

// admin is ask for those who only administrate.
func (c *cluster) admin(ctx context.Context, do func(*kadm.Client) error) error {
	return c.ask(ctx, func(cl *kgo.Client) error { return do(kadm.NewClient(cl)) })
}

// kafkaError puts behind the name of an error code what it means, where the broker has not said it better.
func kafkaError(err error) error {
	var k *kerr.Error
	var said *admin.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &said):
		return err
	case errors.As(err, &k) && !strings.Contains(err.Error(), k.Description):
		return fmt.Errorf("%w: %s", err, k.Description)
	case strings.Contains(err.Error(), "broker is too old"):
		return fmt.Errorf("%w\n  hint: the cluster does not have the API that this needs; a newer version of it may", err)
	}
	return err
}
