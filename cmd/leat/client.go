package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

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
}

// addTo gives cmd the flags that name a cluster, in leat's and in Kafka's spelling.
func (c *cluster) addTo(cmd *cobra.Command) {
	cmd.PersistentFlags().StringSliceVarP(&c.brokers, "brokers", "b", []string{defaultBroker}, "where the cluster is, HOST:PORT[,HOST:PORT…]")
	cmd.PersistentFlags().StringSliceVar(&c.brokers, "bootstrap-server", []string{defaultBroker}, "the same by Kafka's name")
}

// client opens a client and proves that a broker answers, so that everything after is about the question.
func (c *cluster) client(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	opts = append([]kgo.Opt{
		kgo.SeedBrokers(c.brokers...),
		kgo.ClientID("leat"),
		kgo.DialTimeout(answerTimeout),
		kgo.RetryTimeout(answerTimeout),
	}, opts...)
	cl, err := kgo.NewClient(opts...)
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
	cause := err
	var op *net.OpError
	if errors.As(err, &op) {
		cause = op.Err
	}
	return fmt.Errorf("cannot reach a Kafka broker at %s: %w\n  hint: start one with `leat serve`, or name another with --brokers HOST:PORT",
		strings.Join(c.brokers, ","), cause)
}

// admin runs ask with an admin client that is closed afterwards.
func (c *cluster) admin(ctx context.Context, ask func(*kadm.Client) error) error {
	cl, err := c.client(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	return kafkaError(ask(kadm.NewClient(cl)))
}

// kafkaError puts the description of a broker's error code behind its name.
func kafkaError(err error) error {
	var k *kerr.Error
	if errors.As(err, &k) && !strings.Contains(err.Error(), k.Description) {
		return fmt.Errorf("%w: %s", err, k.Description)
	}
	return err
}
