package broker

import (
	"context"

	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/meta"
)

// createOffsetsTopic makes the topic that keeps consumer groups, at the first use of a group.
func (n *node) createOffsetsTopic(ctx context.Context) error {
	compact, segment := "compact", n.plan.config.String("offsets.topic.segment.bytes")
	_, err := n.meta.Propose(ctx, func(m *meta.Image) ([]meta.Record, error) {
		if m.Topic(coord.OffsetsTopic) != nil {
			return nil, nil
		}
		return meta.CreateTopic(m, n.plan.config, meta.NewTopic{
			Name: coord.OffsetsTopic, ID: meta.NewTopicID(), Internal: true,
			Partitions:  int32(n.plan.config.Int("offsets.topic.num.partitions")),
			Replication: int16(min(n.plan.config.Int("offsets.topic.replication.factor"), int64(len(m.Brokers())))),
			Config:      map[string]*string{"cleanup.policy": &compact, "segment.bytes": &segment},
		})
	})
	return err
}
