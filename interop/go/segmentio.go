package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

var segmentioCodec = map[string]kafka.Compression{
	"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

func segmentio(boot string) error {
	cl := &kafka.Client{Addr: kafka.TCP(boot), Timeout: patience}
	for _, codec := range codecs {
		topic := "kafka-go-" + codec
		if err := segmentioTopic(cl, topic); err != nil {
			return err
		}
		if err := segmentioProduce(boot, topic, codec); err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
		s := newSeen()
		for _, until := range []int{half, records} {
			if err := segmentioRead(boot, topic, s, until); err != nil {
				return fmt.Errorf("%s: %w", topic, err)
			}
		}
		if err := s.all(); err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
		if err := segmentioAdmin(cl, topic); err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
	}
	return nil
}

func segmentioTopic(cl *kafka.Client, topic string) error {
	created, err := cl.CreateTopics(context.Background(), &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}},
	})
	if err != nil {
		return err
	}
	return created.Errors[topic]
}

func segmentioProduce(boot, topic, codec string) error {
	w := &kafka.Writer{
		Addr: kafka.TCP(boot), Topic: topic, Balancer: kafka.Murmur2Balancer{}, BatchTimeout: 10 * time.Millisecond,
		RequiredAcks: kafka.RequireAll, Compression: segmentioCodec[codec],
	}
	var messages []kafka.Message
	for n := range records {
		messages = append(messages, kafka.Message{
			Key: []byte(key(n)), Value: []byte(value(n)), Time: at(n), Headers: []kafka.Header{{Key: "n", Value: number(n)}},
		})
	}
	return errors.Join(w.WriteMessages(context.Background(), messages...), w.Close())
}

func segmentioRead(boot, topic string, s *seen, until int) error {
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{boot}, Topic: topic, GroupID: topic + "-group", StartOffset: kafka.FirstOffset, MaxWait: time.Second})
	ctx, cancel := patient()
	defer cancel()
	var taken []kafka.Message
	for s.count() < until {
		m, err := r.FetchMessage(ctx)
		if err != nil {
			return fmt.Errorf("after %d records: %w", s.count(), err)
		}
		if len(m.Headers) != 1 {
			return fmt.Errorf("headers of %s: %v", m.Key, m.Headers)
		}
		if err := s.add(int32(m.Partition), m.Offset, string(m.Key), string(m.Value), string(m.Headers[0].Value), m.Time); err != nil {
			return err
		}
		taken = append(taken, m)
	}
	return errors.Join(r.CommitMessages(ctx, taken...), r.Close())
}

func segmentioAdmin(cl *kafka.Client, topic string) error {
	ctx, cancel := patient()
	defer cancel()
	group := topic + "-group"
	committed, err := cl.ConsumerOffsets(ctx, kafka.TopicAndGroup{Topic: topic, GroupId: group})
	if err != nil {
		return err
	}
	ends, err := cl.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		topic: {kafka.LastOffsetOf(0), kafka.LastOffsetOf(1), kafka.LastOffsetOf(2)},
	}})
	if err != nil {
		return err
	}
	total := int64(0)
	for _, end := range ends.Topics[topic] {
		if end.Error != nil || end.LastOffset != committed[end.Partition] {
			return fmt.Errorf("partition %d ends at %d and %d is committed: %w", end.Partition, end.LastOffset, committed[end.Partition], end.Error)
		}
		total += end.LastOffset
	}
	if total != records {
		return fmt.Errorf("the ends add up to %d", total)
	}
	altered, err := cl.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "retention.ms", Value: "60000", ConfigOperation: kafka.ConfigOperationSet}},
	}}})
	if err != nil {
		return err
	}
	if altered.Resources[0].Error != nil {
		return altered.Resources[0].Error
	}
	if err := eventually(func() error { return segmentioRetention(ctx, cl, topic) }); err != nil {
		return err
	}
	grown, err := cl.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: partitions + 1}}})
	if err != nil {
		return err
	}
	if err := grown.Errors[topic]; err != nil {
		return err
	}
	deleted, err := cl.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})
	if err != nil {
		return err
	}
	return deleted.Errors[group]
}

func segmentioRetention(ctx context.Context, cl *kafka.Client, topic string) error {
	configs, err := cl.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"retention.ms"},
	}}})
	if err != nil {
		return err
	}
	if entries := configs.Resources[0].ConfigEntries; len(entries) != 1 || entries[0].ConfigValue != "60000" {
		return fmt.Errorf("retention.ms is described as %+v", entries)
	}
	return nil
}
