package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franzTxn copies a topic in transactions, every second one aborted first: the copy has each record once, and so have the offsets.
func franzTxn(boot string) error {
	adm, err := kadm.NewOptClient(kgo.SeedBrokers(boot))
	if err != nil {
		return err
	}
	defer adm.Close()
	const from, to, group = "franz-go-txn-in", "franz-go-txn-out", "franz-go-txn-group"
	for _, topic := range []string{from, to} {
		if err := franzTopic(adm, topic); err != nil {
			return err
		}
	}
	if err := franzProduce(boot, from, "none"); err != nil {
		return err
	}
	if err := franzCopy(boot, from, to, group); err != nil {
		return err
	}
	if err := franzCommitted(adm, from, group); err != nil {
		return err
	}
	if err := committedTopic(boot, to); err != nil {
		return err
	}
	ends, err := adm.ListEndOffsets(context.Background(), to)
	if err != nil {
		return err
	}
	total := int64(0)
	ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
	if total < 2*records {
		return fmt.Errorf("%s ends at %d: the aborted records were never there", to, total)
	}
	txns, err := adm.DescribeTransactions(context.Background(), group)
	if err != nil {
		return err
	}
	if state := txns[group].State; state != "CompleteCommit" && state != "CompleteAbort" {
		return fmt.Errorf("the transaction is %+v", txns[group])
	}
	return nil
}

// crossCommitted checks with one client what the others wrote in transactions: each record was aborted once and then committed.
func crossCommitted(boot string) error {
	for _, topic := range []string{"sarama-txn", "librdkafka-txn-out", "kafka-python-txn", "aiokafka-txn", "kafkajs-txn", "platformatic-txn", "java-txn-out"} {
		if err := committedTopic(boot, topic); err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
	}
	return nil
}

func committedTopic(boot, topic string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(boot), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer cl.Close()
	return franzRead(cl, newSeen(), records, nil)
}

func franzCopy(boot, from, to, group string) error {
	sess, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(boot), kgo.TransactionalID(group), kgo.ConsumerGroup(group), kgo.ConsumeTopics(from),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer sess.Close()
	ctx, cancel := patient()
	defer cancel()
	copied := 0
	for try := 0; copied < records; try++ {
		fetches := sess.PollRecords(ctx, 100)
		if err := errors.Join(fetches.Err(), ctx.Err()); err != nil {
			return fmt.Errorf("after %d records: %w", copied, err)
		}
		if err := sess.Begin(); err != nil {
			return err
		}
		rs := fetches.Records()
		for _, r := range rs {
			sess.Produce(ctx, &kgo.Record{Topic: to, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp}, nil)
		}
		if err := sess.Client().Flush(ctx); err != nil {
			return err
		}
		committed, err := sess.End(ctx, try%2 == 1)
		if err != nil {
			return err
		}
		if committed {
			copied += len(rs)
		}
	}
	return nil
}
