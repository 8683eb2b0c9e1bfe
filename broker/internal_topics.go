package broker

import (
	"context"

	"github.com/leatstream/leat/broker/internal/meta"
)

// createInternalTopic makes a topic that a coordinator keeps its state in, at its first use. settings is how the names
// of its broker configurations begin.
func (n *node) createInternalTopic(settings string) func(ctx context.Context, name string) error {
	return func(ctx context.Context, name string) error {
		c := n.plan.config
		compact, segment := "compact", c.String(settings+"segment.bytes")
		_, err := n.meta.Propose(ctx, func(m *meta.Image) ([]meta.Record, error) {
			if m.Topic(name) != nil {
				return nil, nil
			}
			return meta.CreateTopic(m, c, meta.NewTopic{
				Name: name, ID: meta.NewTopicID(), Internal: true,
				Partitions:  int32(c.Int(settings + "num.partitions")),
				Replication: int16(min(c.Int(settings+"replication.factor"), int64(len(m.Brokers())))),
				Config:      map[string]*string{"cleanup.policy": &compact, "segment.bytes": &segment},
			})
		})
		return err
	}
}
