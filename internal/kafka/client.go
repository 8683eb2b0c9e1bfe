package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Config says where the cluster is.
type Config struct {
	Brokers  []string // HOST:PORT
	Dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	ClientID string
	Logger   *slog.Logger
}

func (c Config) options() []kgo.Opt {
	opts := []kgo.Opt{kgo.SeedBrokers(c.Brokers...)}
	if c.ClientID != "" {
		opts = append(opts, kgo.ClientID(c.ClientID))
	}
	if c.Dial != nil {
		opts = append(opts, kgo.Dialer(c.Dial))
	}
	return opts
}

func (c Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

// Client talks to one cluster. Producers and consumers made from it have connections of their own.
type Client struct {
	cfg Config
	kgo *kgo.Client
	adm *kadm.Client
	log *slog.Logger

	mu     sync.Mutex
	topics map[string]topicInfo
}

// topicInfo is what metadata says of a topic.
type topicInfo struct {
	id      kadm.TopicID
	leaders []int32 // by partition; -1: none
}

// New prepares a client; the first request connects.
func New(cfg Config) (*Client, error) {
	cl, err := kgo.NewClient(cfg.options()...)
	if err != nil {
		return nil, err
	}
	return &Client{cfg: cfg, kgo: cl, adm: kadm.NewClient(cl), log: cfg.logger(), topics: map[string]topicInfo{}}, nil
}

// Close ends the connections.
func (c *Client) Close() { c.kgo.Close() }

// Kgo is the client below, for requests of other kinds.
func (c *Client) Kgo() *kgo.Client { return c.kgo }

// Admin asks about and changes topics and groups.
func (c *Client) Admin() *kadm.Client { return c.adm }

// EnsureTopic makes a topic if it is not there. partitions -1: what the cluster is set to.
func (c *Client) EnsureTopic(ctx context.Context, name string, partitions int32, config map[string]string) error {
	values := map[string]*string{}
	for k, v := range config {
		values[k] = &v
	}
	_, err := c.adm.CreateTopic(ctx, partitions, -1, values, name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", name, err)
	}
	c.forget(name)
	return nil
}

// Partitions is how many partitions a topic has.
func (c *Client) Partitions(ctx context.Context, topic string) (int32, error) {
	t, err := c.topic(ctx, topic)
	return int32(len(t.leaders)), err
}

// topic looks a topic up, in memory first.
func (c *Client) topic(ctx context.Context, name string) (topicInfo, error) {
	c.mu.Lock()
	t, ok := c.topics[name]
	c.mu.Unlock()
	if ok {
		return t, nil
	}
	listed, err := c.adm.ListTopics(ctx, name)
	if err != nil {
		return topicInfo{}, err
	}
	d := listed[name]
	if d.Err != nil || len(d.Partitions) == 0 {
		return topicInfo{}, fmt.Errorf("topic %s: %w", name, firstError(d.Err, kerr.UnknownTopicOrPartition))
	}
	t = topicInfo{id: d.ID, leaders: make([]int32, len(d.Partitions))}
	for i := range t.leaders {
		t.leaders[i] = -1
		if p, ok := d.Partitions[int32(i)]; ok && p.Err == nil {
			t.leaders[i] = p.Leader
		}
	}
	c.mu.Lock()
	c.topics[name] = t
	c.mu.Unlock()
	return t, nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// forget has the next request ask the cluster again.
func (c *Client) forget(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.topics, topic)
}

// leader finds who takes requests for a partition.
func (c *Client) leader(ctx context.Context, topic string, partition int32) (int32, topicInfo, error) {
	t, err := c.topic(ctx, topic)
	if err != nil {
		return -1, t, err
	}
	if int(partition) >= len(t.leaders) || partition < 0 {
		return -1, t, fmt.Errorf("topic %s has no partition %d: %w", topic, partition, kerr.UnknownTopicOrPartition)
	}
	if t.leaders[partition] < 0 {
		c.forget(topic)
		return -1, t, kerr.LeaderNotAvailable
	}
	return t.leaders[partition], t, nil
}

// backoff waits before another attempt, longer each time.
func backoff(ctx context.Context, attempt int) error {
	d := min(20*time.Millisecond<<min(attempt, 6), time.Second)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// worthRetrying tells whether the same request may succeed later: the connection broke, or the broker says so.
func worthRetrying(err error) bool {
	var k *kerr.Error
	if errors.As(err, &k) {
		return k.Retriable
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}
