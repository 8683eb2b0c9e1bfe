package coord

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Versions of the records that are written, as Kafka 4 writes them, and its number for clients that follow KIP-890.
const (
	txnKeyVersion   = 0
	txnValueVersion = 1
	clientV2        = 2
)

func txnRecord(t *txn.Txn) record {
	k := kmsg.NewTxnMetadataKey()
	k.Version, k.TransactionalID = txnKeyVersion, t.ID
	v := kmsg.NewTxnMetadataValue()
	v.Version = txnValueVersion
	v.ProducerID, v.ProducerEpoch = t.Producer.ID, t.Producer.Epoch
	v.PreviousProducerID, v.NextProducerID = t.PreviousID, t.NextID
	v.TimeoutMillis = int32(t.Timeout.Milliseconds())
	v.LastUpdateTimestamp, v.StartTimestamp = t.Updated.UnixMilli(), Millis(t.Started)
	if t.V2 {
		v.ClientTransactionVersion = clientV2
	}
	for i, s := range txn.States {
		if s == t.State {
			v.State = kmsg.TransactionState(i)
		}
	}
	for _, p := range t.Partitions {
		if n := len(v.Topics); n == 0 || v.Topics[n-1].Topic != p.Topic {
			v.Topics = append(v.Topics, kmsg.TxnMetadataValueTopic{Topic: p.Topic})
		}
		last := &v.Topics[len(v.Topics)-1]
		last.Partitions = append(last.Partitions, p.Index)
	}
	return record{k.AppendTo(nil), v.AppendTo(nil)}
}

// Millis is a time as Kafka writes it, ms since 1970; -1: none.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

// readTxnKey is the transactional id that a record is about; known: it is of a kind that this version knows.
func readTxnKey(key []byte) (id string, known bool, err error) {
	if len(key) < 2 || binary.BigEndian.Uint16(key) != txnKeyVersion {
		return "", false, nil
	}
	var k kmsg.TxnMetadataKey
	err = k.ReadFrom(key)
	return k.TransactionalID, true, err
}

func readTxn(id string, value []byte) (*txn.Txn, error) {
	var v kmsg.TxnMetadataValue
	if err := v.ReadFrom(value); err != nil {
		return nil, err
	}
	if v.State < 0 || int(v.State) >= len(txn.States) {
		return nil, fmt.Errorf("transactional id %q is in the unknown state %d", id, v.State)
	}
	t := txn.Txn{
		ID: id, Producer: txn.Producer{ID: v.ProducerID, Epoch: v.ProducerEpoch}, PreviousID: v.PreviousProducerID, NextID: v.NextProducerID,
		Timeout: time.Duration(v.TimeoutMillis) * time.Millisecond, State: txn.States[v.State],
		Updated: time.UnixMilli(v.LastUpdateTimestamp), V2: v.ClientTransactionVersion >= clientV2,
	}
	if v.StartTimestamp >= 0 {
		t.Started = time.UnixMilli(v.StartTimestamp)
	}
	for _, topic := range v.Topics {
		for _, index := range topic.Partitions {
			t.Partitions = append(t.Partitions, txn.Partition{Topic: topic.Topic, Index: index})
		}
	}
	return txn.Restore(t), nil
}
