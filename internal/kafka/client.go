package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Config says where the cluster is.
type Config struct {
	Brokers  []string // HOST:PORT
	Dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	ClientID string
	Security []kgo.Opt // made by Secure; what a broker asks for before it lets a client in
	Logger   *slog.Logger

	// InstanceID makes consumers static members (KIP-345): a process that was killed and started again takes its old place
	// at once. It must belong to this process alone. Empty: whoever is killed is missed after its session's time-out.
	InstanceID string
}

func (c Config) options() []kgo.Opt {
	opts := []kgo.Opt{kgo.SeedBrokers(c.Brokers...)}
	if c.ClientID != "" {
		opts = append(opts, kgo.ClientID(c.ClientID))
	}
	if c.Dial != nil {
		opts = append(opts, kgo.Dialer(c.Dial))
	}
	return append(opts, c.Security...)
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
	id      [16]byte
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

// EndOffsets are the high watermarks of a topic's partitions.
func (c *Client) EndOffsets(ctx context.Context, topic string) ([]int64, error) {
	return c.offsets(ctx, topic, -1)
}

// StartOffsets are the first offsets that are still in a topic's partitions.
func (c *Client) StartOffsets(ctx context.Context, topic string) ([]int64, error) {
	return c.offsets(ctx, topic, -2)
}

// offsets asks every leader of a topic; at is -1 or -2 as in Kafka's ListOffsets.
func (c *Client) offsets(ctx context.Context, topic string, at int64) ([]int64, error) {
	n, err := c.Partitions(ctx, topic)
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = topic
	for p := range n {
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp, rp.CurrentLeaderEpoch = p, at, -1
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	found := make([]int64, n)
	for _, shard := range c.kgo.RequestSharded(ctx, req) { // one for each leader
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					c.forget(topic)
					return nil, fmt.Errorf("offsets of %s partition %d: %w", topic, p.Partition, err)
				}
				found[p.Partition] = p.Offset
			}
		}
	}
	return found, nil
}

// MaxMessageBytes is how large a batch for a topic may be: its max.message.bytes.
func (c *Client) MaxMessageBytes(ctx context.Context, topic string) (int, error) {
	all, err := c.adm.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return 0, err
	}
	for _, r := range all {
		if r.Err != nil {
			return 0, fmt.Errorf("configuration of topic %s: %w", topic, r.Err)
		}
		for _, cfg := range r.Configs {
			if cfg.Key == "max.message.bytes" && cfg.Value != nil {
				return strconv.Atoi(*cfg.Value)
			}
		}
	}
	return DefaultMaxMessageBytes, nil
}

// DefaultMaxMessageBytes is Kafka's default of max.message.bytes.
const DefaultMaxMessageBytes = 1048588

// topic looks a topic up, in memory first.
func (c *Client) topic(ctx context.Context, name string) (topicInfo, error) {
	c.mu.Lock()
	t, ok := c.topics[name]
	c.mu.Unlock()
	if ok {
		return t, nil
	}
	// Asked directly: kgo's own metadata may be some time old, and a topic was perhaps made just now.
	req := kmsg.NewPtrMetadataRequest()
	want := kmsg.NewMetadataRequestTopic()
	want.Topic = kmsg.StringPtr(name)
	req.Topics = append(req.Topics, want)
	resp, err := req.RequestWith(ctx, c.kgo)
	if err != nil {
		return topicInfo{}, err
	}
	if len(resp.Topics) != 1 {
		return topicInfo{}, fmt.Errorf("topic %s: %w", name, kerr.UnknownTopicOrPartition)
	}
	d := resp.Topics[0]
	if err := kerr.ErrorForCode(d.ErrorCode); err != nil || len(d.Partitions) == 0 {
		return topicInfo{}, fmt.Errorf("topic %s: %w", name, firstError(err, kerr.UnknownTopicOrPartition))
	}
	t = topicInfo{id: d.TopicID, leaders: make([]int32, len(d.Partitions))}
	for i := range t.leaders {
		t.leaders[i] = -1
	}
	for _, p := range d.Partitions {
		if int(p.Partition) < len(t.leaders) && p.ErrorCode == 0 {
			t.leaders[p.Partition] = p.Leader
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
