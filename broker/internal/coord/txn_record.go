package coord

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/twmb/franz-go/pkg/kbin"
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

// readTxn reads what kmsg.TxnMetadataValue writes. kmsg itself believes how many tagged fields there are, so that a few bytes
// keep it busy for minutes.
func readTxn(id string, value []byte) (*txn.Txn, error) {
	v := kbin.Reader{Src: value}
	version := v.Int16()
	if version != 0 && version != txnValueVersion {
		return nil, fmt.Errorf("transactional id %q has a record of version %d, which is not known", id, version)
	}
	t := txn.Txn{ID: id, PreviousID: -1, NextID: -1}
	t.Producer.ID, t.Producer.Epoch = v.Int64(), v.Int16()
	t.Timeout = time.Duration(v.Int32()) * time.Millisecond
	state := int(v.Int8())
	t.Partitions = readTxnPartitions(&v, version == txnValueVersion)
	t.Updated = time.UnixMilli(v.Int64())
	if started := v.Int64(); started >= 0 {
		t.Started = time.UnixMilli(started)
	}
	whole := true
	if version == txnValueVersion {
		eachTag(&v, func(tag uint32, f *kbin.Reader) {
			switch tag {
			case 0:
				t.PreviousID = f.Int64()
			case 1:
				t.NextID = f.Int64()
			case 2:
				t.V2 = f.Int16() >= clientV2
			}
			whole = whole && f.Ok()
		})
	}
	if err := v.Complete(); err != nil || !whole {
		return nil, fmt.Errorf("transactional id %q: %w", id, cmp.Or(err, kbin.ErrNotEnoughData))
	}
	if state < 0 || state >= len(txn.States) {
		return nil, fmt.Errorf("transactional id %q is in the unknown state %d", id, state)
	}
	t.State = txn.States[state]
	return txn.Restore(t), nil
}

func readTxnPartitions(v *kbin.Reader, flexible bool) (all []txn.Partition) {
	length, name := v.ArrayLen, v.String
	if flexible {
		length, name = v.CompactArrayLen, v.CompactString
	}
	for range length() {
		topic := name()
		for range length() {
			all = append(all, txn.Partition{Topic: topic, Index: v.Int32()})
		}
		if flexible {
			skipTags(v)
		}
	}
	return all
}
