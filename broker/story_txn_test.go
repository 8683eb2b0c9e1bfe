package broker_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// producer is the id and the epoch of producer=ID/EPOCH; -1 and -1 without.
func producer(d *datadriven.TestData) (int64, int16) {
	id, epoch, found := strings.Cut(argString(d, "producer", ""), "/")
	if !found {
		return -1, -1
	}
	return number(id), int16(number(epoch))
}

// id is the transactional id of a command, tx if it names none.
func id(d *datadriven.TestData) string { return argString(d, "id", "tx") }

var _ = command("producer-id", (*story).producerID)

// producerID [id=TXN [timeout=MS] [producer=ID/EPOCH]]
func (s *story) producerID(d *datadriven.TestData) string {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionTimeoutMillis = int32(argInt(d, "timeout", 60_000))
	if id := argString(d, "id", ""); id != "" {
		id = strings.Trim(id, `"`)
		req.TransactionalID = &id
	}
	req.ProducerID, req.ProducerEpoch = producer(d)
	resp := s.send(d, req).(*kmsg.InitProducerIDResponse)
	if resp.ErrorCode != 0 {
		return verdict(resp.ErrorCode, nil)
	}
	return fmt.Sprintf("id %d, epoch %d", resp.ProducerID, resp.ProducerEpoch)
}

// topicPartitions reads TOPIC:PARTITION a line.
func topicPartitions(d *datadriven.TestData, add func(topic string, partition int32)) {
	for _, l := range lines(d.Input) {
		topic, partition, _ := strings.Cut(l, ":")
		add(topic, int32(number(partition)))
	}
}

var _ = command("add-partitions", (*story).addPartitions)

// addPartitions [id=TXN] producer=ID/EPOCH [verify] takes TOPIC:PARTITION a line.
func (s *story) addPartitions(d *datadriven.TestData) string {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	one := kmsg.NewAddPartitionsToTxnRequestTransaction()
	one.TransactionalID, one.VerifyOnly = id(d), d.HasArg("verify")
	one.ProducerID, one.ProducerEpoch = producer(d)
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = one.TransactionalID, one.ProducerID, one.ProducerEpoch
	topicPartitions(d, func(topic string, partition int32) {
		one.Topics = append(one.Topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: topic, Partitions: []int32{partition}})
		req.Topics = append(req.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: topic, Partitions: []int32{partition}})
	})
	req.Transactions = append(req.Transactions, one)
	resp := s.send(d, req).(*kmsg.AddPartitionsToTxnResponse)
	var b strings.Builder
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, "%s:%d %s\n", t.Topic, p.Partition, verdict(p.ErrorCode, nil))
		}
	}
	for _, x := range resp.Transactions {
		for _, t := range x.Topics {
			for _, p := range t.Partitions {
				fmt.Fprintf(&b, "%s: %s:%d %s\n", x.TransactionalID, t.Topic, p.Partition, verdict(p.ErrorCode, nil))
			}
		}
	}
	return b.String()
}

var _ = command("add-offsets", (*story).addOffsets)

// addOffsets [id=TXN] producer=ID/EPOCH [group=G]
func (s *story) addOffsets(d *datadriven.TestData) string {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.Group = id(d), group(d)
	req.ProducerID, req.ProducerEpoch = producer(d)
	return verdict(s.send(d, req).(*kmsg.AddOffsetsToTxnResponse).ErrorCode, nil)
}

var _ = command("txn-commit", (*story).txnCommit)

// txnCommit [id=TXN] producer=ID/EPOCH [group=G] [member=MEMBER generation=N] takes TOPIC:PARTITION=OFFSET a line.
func (s *story) txnCommit(d *datadriven.TestData) string {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group = id(d), group(d)
	req.ProducerID, req.ProducerEpoch = producer(d)
	req.MemberID, req.Generation, req.InstanceID = s.member(argString(d, "member", "")), int32(argInt(d, "generation", -1)), instance(d)
	for _, l := range lines(d.Input) {
		at, offset, _ := strings.Cut(l, "=")
		topic, p, _ := strings.Cut(at, ":")
		rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset = int32(number(p)), number(offset)
		rt := kmsg.NewTxnOffsetCommitRequestTopic()
		rt.Topic, rt.TopicID, rt.Partitions = topic, s.topicID(topic), append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
	}
	var b strings.Builder
	for _, t := range s.send(d, req).(*kmsg.TxnOffsetCommitResponse).Topics {
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, "%d: %s\n", p.Partition, verdict(p.ErrorCode, nil))
		}
	}
	return b.String()
}

var _ = command("end-txn", (*story).endTxn)

// endTxn commit|abort [id=TXN] producer=ID/EPOCH
func (s *story) endTxn(d *datadriven.TestData) string {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.Commit = id(d), slices.Contains(bare(d), "commit")
	req.ProducerID, req.ProducerEpoch = producer(d)
	resp := s.send(d, req).(*kmsg.EndTxnResponse)
	if resp.ErrorCode != 0 || resp.Version < 5 {
		return verdict(resp.ErrorCode, nil)
	}
	return fmt.Sprintf("go on with id %d, epoch %d", resp.ProducerID, resp.ProducerEpoch)
}

var _ = command("write-markers", (*story).writeMarkers)

// writeMarkers commit|abort producer=ID/EPOCH [coordinator=N] [txn-version=N] takes TOPIC:PARTITION a line.
func (s *story) writeMarkers(d *datadriven.TestData) string {
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	m := kmsg.NewWriteTxnMarkersRequestMarker()
	m.Committed, m.CoordinatorEpoch = slices.Contains(bare(d), "commit"), int32(argInt(d, "coordinator", 0))
	m.TransactionVersion = int8(argInt(d, "txn-version", 0))
	m.ProducerID, m.ProducerEpoch = producer(d)
	topicPartitions(d, func(topic string, partition int32) {
		m.Topics = append(m.Topics, kmsg.WriteTxnMarkersRequestMarkerTopic{Topic: topic, Partitions: []int32{partition}})
	})
	req.Markers = append(req.Markers, m)
	var b strings.Builder
	for _, t := range s.send(d, req).(*kmsg.WriteTxnMarkersResponse).Markers[0].Topics {
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, "%s:%d %s\n", t.Topic, p.Partition, verdict(p.ErrorCode, nil))
		}
	}
	return b.String()
}

var _ = command("describe-producers", (*story).describeProducers)

// describeProducers takes TOPIC:PARTITION a line.
func (s *story) describeProducers(d *datadriven.TestData) string {
	req := kmsg.NewPtrDescribeProducersRequest()
	topicPartitions(d, func(topic string, partition int32) {
		req.Topics = append(req.Topics, kmsg.DescribeProducersRequestTopic{Topic: topic, Partitions: []int32{partition}})
	})
	var b strings.Builder
	for _, t := range s.send(d, req).(*kmsg.DescribeProducersResponse).Topics {
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, "%s:%d %s\n", t.Topic, p.Partition, verdict(p.ErrorCode, p.ErrorMessage))
			for _, a := range p.ActiveProducers {
				fmt.Fprintf(&b, "  %d/%d, last sequence %d, transaction from %d, coordinator epoch %d\n",
					a.ProducerID, a.ProducerEpoch, a.LastSequence, a.CurrentTxnStartOffset, a.CoordinatorEpoch)
			}
		}
	}
	return b.String()
}

var _ = command("describe-transactions", (*story).describeTransactions)

// describeTransactions takes a transactional id a line.
func (s *story) describeTransactions(d *datadriven.TestData) string {
	req := kmsg.NewPtrDescribeTransactionsRequest()
	for _, l := range lines(d.Input) {
		req.TransactionalIDs = append(req.TransactionalIDs, strings.Trim(l, `"`))
	}
	var b strings.Builder
	for _, t := range s.send(d, req).(*kmsg.DescribeTransactionsResponse).TransactionStates {
		if t.ErrorCode != 0 {
			fmt.Fprintf(&b, "%q: %s\n", t.TransactionalID, verdict(t.ErrorCode, nil))
			continue
		}
		started := "never started"
		if t.StartTimestamp > time.Now().Add(-time.Hour).UnixMilli() {
			started = "started lately"
		}
		fmt.Fprintf(&b, "%q: %s, %d/%d, timeout %d ms, %s", t.TransactionalID, t.State, t.ProducerID, t.ProducerEpoch, t.TimeoutMillis, started)
		for _, topic := range t.Topics {
			fmt.Fprintf(&b, " %s:%s", topic.Topic, list(topic.Partitions))
		}
		b.WriteString("\n")
	}
	return b.String()
}

var _ = command("list-transactions", (*story).listTransactions)

// listTransactions [state=S] [producer=ID/0] [longer=MS] [pattern=P]
func (s *story) listTransactions(d *datadriven.TestData) string {
	req := kmsg.NewPtrListTransactionsRequest()
	if state := argString(d, "state", ""); state != "" {
		req.StateFilters = append(req.StateFilters, state)
	}
	if id, _ := producer(d); id >= 0 {
		req.ProducerIDFilters = append(req.ProducerIDFilters, id)
	}
	if longer := argString(d, "longer", ""); longer != "" {
		ms, err := strconv.ParseInt(longer, 10, 64)
		if err != nil {
			return err.Error()
		}
		req.DurationFilterMillis = ms
	}
	if pattern := argString(d, "pattern", ""); pattern != "" {
		req.TransactionalIDPattern = &pattern
	}
	resp := s.send(d, req).(*kmsg.ListTransactionsResponse)
	var b strings.Builder
	fmt.Fprintln(&b, verdict(resp.ErrorCode, nil))
	for _, u := range resp.UnknownStateFilters {
		fmt.Fprintf(&b, "no such state: %s\n", u)
	}
	for _, t := range resp.TransactionStates {
		fmt.Fprintf(&b, "%s: %s, producer %d\n", t.TransactionalID, t.TransactionState, t.ProducerID)
	}
	return b.String()
}
