package coord

import (
	"errors"

	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Mark ends a producer's transaction in one partition. done is called once, when that is durable; offsets that the
// transaction committed there count from then on.
func (t *Txns) Mark(at txn.Partition, m replica.Marker, done func(error)) {
	found := t.cfg.Meta.Image().Topic(at.Topic)
	if found == nil {
		done(kerr.UnknownTopicOrPartition)
		return
	}
	p := t.cfg.Replicas.Get(replica.ID{Topic: found.ID, Partition: at.Index})
	if p == nil {
		if _, known := found.Partition(at.Index); known {
			done(kerr.NotLeaderForPartition)
			return
		}
		done(kerr.UnknownTopicOrPartition)
		return
	}
	p.AppendMarker(m, t.cfg.Clock(), func(_ replica.Result, err error) {
		if err == nil && at.Topic == OffsetsTopic {
			t.groups.decided(at.Index, m.ProducerID, m.Commit)
		}
		done(err)
	})
}

// isGone tells that there is nothing left to mark.
func isGone(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, replica.ErrGone)
}

// isFenced tells that a partition knows a later epoch of the producer.
func isFenced(err error) bool { return errors.Is(err, replica.ErrProducerEpoch) }
