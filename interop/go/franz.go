package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var franzCodec = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func franz(boot string) error {
	adm, err := kadm.NewOptClient(kgo.SeedBrokers(boot))
	if err != nil {
		return err
	}
	defer adm.Close()
	for _, codec := range codecs {
		topic := "franz-go-" + codec
		if err := franzTopic(adm, topic); err != nil {
			return err
		}
		if err := franzProduce(boot, topic, codec); err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
		if err := franzResume(boot, topic, topic+"-group"); err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
		if err := franzCommitted(adm, topic, topic+"-group"); err != nil {
			return err
		}
	}
	return nil
}

// franzNext reads with KIP-848's protocol, where the broker assigns.
func franzNext(boot string) error {
	adm, err := kadm.NewOptClient(kgo.SeedBrokers(boot))
	if err != nil {
		return err
	}
	defer adm.Close()
	const topic, group = "franz-go-next", "franz-go-next-group"
	if err := franzTopic(adm, topic); err != nil {
		return err
	}
	if err := franzProduce(boot, topic, "none"); err != nil {
		return err
	}
	if err := franzResume(boot, topic, group, kgo.ServerSideBalancer(), kgo.Balancers(kgo.RangeBalancer())); err != nil {
		return err
	}
	if err := franzCommitted(adm, topic, group); err != nil {
		return fmt.Errorf("lag: %w", err)
	}
	described, err := adm.DescribeConsumerGroups(context.Background(), group)
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	if g := described[group]; g.Err != nil || g.State != "Empty" {
		return fmt.Errorf("the consumer group is %+v", g)
	}
	_, err = adm.DeleteGroup(context.Background(), group)
	return err
}

func franzTopic(adm *kadm.Client, topic string) error {
	_, err := adm.CreateTopic(context.Background(), partitions, 1, nil, topic)
	return err
}

func franzRecord(topic string, n int) *kgo.Record {
	return &kgo.Record{
		Topic: topic, Key: []byte(key(n)), Value: []byte(value(n)), Timestamp: at(n),
		Headers: []kgo.RecordHeader{{Key: "n", Value: number(n)}},
	}
}

func franzProduce(boot, topic, codec string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(boot), kgo.ProducerBatchCompression(franzCodec[codec]))
	if err != nil {
		return err
	}
	defer cl.Close()
	var rs []*kgo.Record
	for n := range records {
		rs = append(rs, franzRecord(topic, n))
	}
	return cl.ProduceSync(context.Background(), rs...).FirstErr()
}

// franzResume lets one member read and commit the first part, and another one the rest.
func franzResume(boot, topic, group string, opts ...kgo.Opt) error {
	s := newSeen()
	for _, until := range []int{half, records} {
		opts := append([]kgo.Opt{
			kgo.SeedBrokers(boot), kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.DisableAutoCommit(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		}, opts...)
		if err := franzMember(s, until, opts...); err != nil {
			return err
		}
	}
	return s.all()
}

func franzMember(s *seen, until int, opts ...kgo.Opt) error {
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := franzRead(cl, s, until, nil); err != nil {
		return err
	}
	return cl.CommitUncommittedOffsets(context.Background())
}

// franzRead reads until enough has been seen; each, unless nil, is asked about every record.
func franzRead(cl *kgo.Client, s *seen, until int, each func(*kgo.Record) error) error {
	ctx, cancel := patient()
	defer cancel()
	for s.count() < until {
		fetches := cl.PollRecords(ctx, min(100, until-s.count()))
		if err := errors.Join(fetches.Err(), ctx.Err()); err != nil {
			return fmt.Errorf("after %d records: %w", s.count(), err)
		}
		for _, r := range fetches.Records() {
			if each != nil {
				if err := each(r); err != nil {
					return err
				}
			}
			if err := franzCheck(s, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func franzCheck(s *seen, r *kgo.Record) error {
	if len(r.Headers) != 1 || r.Headers[0].Key != "n" {
		return fmt.Errorf("headers of %s: %v", r.Key, r.Headers)
	}
	return s.add(r.Partition, r.Offset, string(r.Key), string(r.Value), string(r.Headers[0].Value), r.Timestamp)
}

// franzCommitted checks that the group has committed the end of every partition.
func franzCommitted(adm *kadm.Client, topic, group string) error {
	committed, err := adm.FetchOffsets(context.Background(), group)
	if err != nil {
		return err
	}
	ends, err := adm.ListEndOffsets(context.Background(), topic)
	if err != nil {
		return err
	}
	ends.Each(func(end kadm.ListedOffset) {
		if at, ok := committed.Lookup(topic, end.Partition); !ok || at.At != end.Offset {
			err = fmt.Errorf("partition %d ends at %d, %s has committed %+v", end.Partition, end.Offset, group, at)
		}
	})
	return err
}

// crossRead checks with one client what all the others wrote, and that their compression is kept on disk.
func crossRead(boot string) error {
	for _, client := range []string{"franz-go", "sarama", "kafka-go", "librdkafka", "kafka-python", "aiokafka", "kafkajs", "platformatic", "java"} {
		for code, codec := range codecs {
			topic := client + "-" + codec
			if topic == "platformatic-zstd" {
				continue // needs a newer Node than the others
			}
			if err := crossTopic(boot, topic, uint8(code)); err != nil {
				return fmt.Errorf("%s: %w", topic, err)
			}
		}
	}
	return nil
}

func crossTopic(boot, topic string, codec uint8) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(boot), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer cl.Close()
	compressed := codec == 0
	err = franzRead(cl, newSeen(), records, func(r *kgo.Record) error {
		switch r.Attrs.CompressionType() {
		case codec:
			compressed = true
		case 0: // some clients leave a batch as it is that would only grow
		default:
			return fmt.Errorf("offset %d has codec %d", r.Offset, r.Attrs.CompressionType())
		}
		return nil
	})
	if err == nil && !compressed {
		err = errors.New("nothing is compressed")
	}
	return err
}
