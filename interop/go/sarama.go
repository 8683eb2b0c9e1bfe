package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/IBM/sarama"
)

var saramaCodec = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

// saramaAll runs with the version that sarama has by default, and as the oldest that Kafka 4 serves and the newest that sarama knows.
func saramaAll(boot string) error {
	for _, codec := range codecs {
		if err := saramaTrip(boot, "sarama-"+codec, codec, sarama.DefaultVersion); err != nil {
			return fmt.Errorf("%s: %w", codec, err)
		}
	}
	for _, v := range []sarama.KafkaVersion{sarama.V2_1_0_0, sarama.MaxVersion} {
		if err := saramaTrip(boot, "sarama-as-"+v.String(), "zstd", v); err != nil {
			return fmt.Errorf("as version %s: %w", v, err)
		}
	}
	return nil
}

func saramaConfig(v sarama.KafkaVersion) *sarama.Config {
	c := sarama.NewConfig()
	c.Version = v
	c.ClientID = "interop-sarama"
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Return.Errors = true
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1
	return c
}

func saramaTrip(boot, topic, codec string, v sarama.KafkaVersion) error {
	conf := saramaConfig(v)
	conf.Producer.Compression = saramaCodec[codec]
	adm, err := sarama.NewClusterAdmin([]string{boot}, conf)
	if err != nil {
		return err
	}
	defer adm.Close() //nolint:errcheck // nothing is left to be lost
	if err := adm.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false); err != nil {
		return err
	}
	if err := saramaProduce(boot, topic, conf); err != nil {
		return err
	}
	s := newSeen()
	for _, until := range []int{half, records} {
		if err := saramaRead(boot, topic, topic+"-group", conf, s, until); err != nil {
			return err
		}
	}
	if err := s.all(); err != nil {
		return err
	}
	return saramaAdmin(adm, topic, v)
}

func saramaProduce(boot, topic string, conf *sarama.Config) error {
	p, err := sarama.NewSyncProducer([]string{boot}, conf)
	if err != nil {
		return err
	}
	var messages []*sarama.ProducerMessage
	for n := range records {
		messages = append(messages, saramaMessage(topic, n))
	}
	if err := p.SendMessages(messages); err != nil {
		return err
	}
	return p.Close()
}

func saramaMessage(topic string, n int) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{
		Topic: topic, Key: sarama.StringEncoder(key(n)), Value: sarama.StringEncoder(value(n)), Timestamp: at(n),
		Headers: []sarama.RecordHeader{{Key: []byte("n"), Value: number(n)}},
	}
}

// saramaMember reads until enough has been seen, then leaves with its offsets committed.
type saramaMember struct {
	seen  *seen
	until int
	stop  context.CancelFunc
	mu    sync.Mutex
	err   error
}

func (m *saramaMember) Setup(sarama.ConsumerGroupSession) error { return nil }

func (m *saramaMember) Cleanup(s sarama.ConsumerGroupSession) error {
	s.Commit()
	return nil
}

func (m *saramaMember) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case <-s.Context().Done():
			return nil
		case msg := <-claim.Messages():
			if msg == nil {
				return nil
			}
			if !m.take(s, msg) {
				return nil
			}
		}
	}
}

func (m *saramaMember) take(s sarama.ConsumerGroupSession, msg *sarama.ConsumerMessage) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil || m.seen.count() >= m.until {
		return false
	}
	header := ""
	if len(msg.Headers) == 1 {
		header = string(msg.Headers[0].Value)
	}
	m.err = m.seen.add(msg.Partition, msg.Offset, string(msg.Key), string(msg.Value), header, msg.Timestamp)
	s.MarkMessage(msg, "")
	if m.err != nil || m.seen.count() >= m.until {
		m.stop()
		return false
	}
	return true
}

func saramaRead(boot, topic, group string, conf *sarama.Config, s *seen, until int) error {
	g, err := sarama.NewConsumerGroup([]string{boot}, group, conf)
	if err != nil {
		return err
	}
	errs := make(chan error, 1)
	go func() {
		var first error
		for err := range g.Errors() {
			if first == nil {
				first = err
			}
		}
		errs <- first
	}()
	ctx, cancel := patient()
	defer cancel()
	m := &saramaMember{seen: s, until: until, stop: cancel}
	for ctx.Err() == nil {
		if err := g.Consume(ctx, []string{topic}, m); err != nil {
			return err
		}
	}
	if err := g.Close(); err != nil {
		return err
	}
	if err := <-errs; err != nil {
		return err
	}
	if m.err == nil && s.count() < until {
		return fmt.Errorf("%d records of %d", s.count(), until)
	}
	return m.err
}

func saramaAdmin(adm sarama.ClusterAdmin, topic string, v sarama.KafkaVersion) error {
	group := topic + "-group"
	offsets, err := adm.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0, 1, 2}})
	if err != nil {
		return err
	}
	total := int64(0)
	for p := range int32(partitions) {
		total += offsets.GetBlock(topic, p).Offset
	}
	if total != records {
		return fmt.Errorf("committed offsets add up to %d", total)
	}
	if described, err := adm.DescribeTopics([]string{topic}); err != nil || len(described) != 1 || len(described[0].Partitions) != partitions {
		return fmt.Errorf("described: %v %w", described, err)
	}
	groups, err := adm.ListConsumerGroups()
	if err != nil {
		return err
	}
	if kind, ok := groups[group]; !ok || kind != "consumer" {
		return fmt.Errorf("%s is not listed: %v", group, groups)
	}
	if err := adm.CreatePartitions(topic, partitions+1, nil, false); err != nil {
		return err
	}
	if err := adm.DeleteTopic("no-such-topic"); err == nil {
		return fmt.Errorf("a topic that does not exist was deleted")
	}
	if !v.IsAtLeast(sarama.V2_3_0_0) {
		return nil
	}
	retention := "60000"
	if err := adm.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{
		"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &retention},
	}, false); err != nil {
		return err
	}
	if err := eventually(func() error { return saramaRetention(adm, topic, retention) }); err != nil {
		return err
	}
	return adm.DeleteConsumerGroup(group)
}

func saramaRetention(adm sarama.ClusterAdmin, topic, retention string) error {
	configs, err := adm.DescribeConfigs([]*sarama.ConfigResource{{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}}},
		sarama.DescribeConfigsOptions{})
	if err != nil {
		return err
	}
	if len(configs) != 1 || len(configs[0].Configs) != 1 || configs[0].Configs[0].Value != retention {
		return fmt.Errorf("retention.ms is described as %+v", configs)
	}
	return nil
}

// saramaTxn commits one transaction and aborts another: read_committed sees the first only.
func saramaTxn(boot string) error {
	const topic = "sarama-txn"
	conf := saramaConfig(sarama.DefaultVersion)
	conf.Producer.Transaction.ID = topic
	conf.Consumer.IsolationLevel = sarama.ReadCommitted
	adm, err := sarama.NewClusterAdmin([]string{boot}, conf)
	if err != nil {
		return err
	}
	defer adm.Close() //nolint:errcheck // nothing is left to be lost
	if err := adm.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false); err != nil {
		return err
	}
	p, err := sarama.NewSyncProducer([]string{boot}, conf)
	if err != nil {
		return err
	}
	for _, commit := range []bool{false, true} {
		if err := saramaTransaction(p, topic, commit); err != nil {
			return err
		}
	}
	if err := p.Close(); err != nil {
		return err
	}
	s := newSeen()
	if err := saramaRead(boot, topic, topic+"-group", conf, s, records); err != nil {
		return err
	}
	return s.all()
}

func saramaTransaction(p sarama.SyncProducer, topic string, commit bool) error {
	if err := p.BeginTxn(); err != nil {
		return err
	}
	var messages []*sarama.ProducerMessage
	for n := range records {
		messages = append(messages, saramaMessage(topic, n))
	}
	if err := p.SendMessages(messages); err != nil {
		return err
	}
	if commit {
		return p.CommitTxn()
	}
	return p.AbortTxn()
}
