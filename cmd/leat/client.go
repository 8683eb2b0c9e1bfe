package main

import (
	"context"
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
	cmd.PersistentFlags().StringSliceVar(&c.brokers, "bootstrap-server", []string{defaultBroker}, "the same by Kafka's name")
	cmd.PersistentFlags().StringVar(&c.config, "client-config", "", "a file with properties of Kafka's clients: security.protocol, sasl.*, ssl.*")
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		said := cmd.Flags().Changed("brokers") || cmd.Flags().Changed("bootstrap-server")
		if err := c.readConfig(said); err != nil {
			return err
		}
		return checkBrokers(c.brokers)
	}
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
	var refused *kerr.Error
	if errors.As(err, &refused) {
		hint := "--client-config FILE says who you are (docs/security.md)"
		switch {
		case errors.Is(err, kerr.IllegalSaslState):
			hint = "this listener asks nobody who they are: security.protocol without SASL_"
		case errors.Is(err, kerr.UnsupportedSaslMechanism):
			hint = "sasl.mechanism is one that the broker does not have in sasl.enabled.mechanisms"
		case c.config != "":
			hint = "name or password in " + c.config + " is wrong, or there is no such user"
		}
		return fmt.Errorf("the broker at %s lets nobody in who comes so: %w\n  hint: %s", strings.Join(c.brokers, ","), err, hint)
	}
	cause := err
	var op *net.OpError
	if errors.As(err, &op) {
		cause = op.Err
	}
	return fmt.Errorf("cannot reach a Kafka broker at %s: %w\n  hint: start one with `leat serve`, or name another with --brokers HOST:PORT; one that asks for TLS or a password needs --client-config FILE",
		strings.Join(c.brokers, ","), cause)
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
