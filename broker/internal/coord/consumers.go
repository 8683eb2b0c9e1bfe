package coord

import (
	"context"
	"errors"
	"fmt"

	"github.com/leatstream/leat/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kerr"
)

func (g *Groups) consumerSettings() group.ConsumerConfig {
	b := g.cfg.Broker
	policy := b.String("group.consumer.migration.policy")
	return group.ConsumerConfig{
		SessionTimeout: b.Millis("group.consumer.session.timeout.ms"),
		Heartbeat:      b.Millis("group.consumer.heartbeat.interval.ms"),
		MaxSize:        int(b.Int("group.consumer.max.size")),
		Assignors:      b.List("group.consumer.assignors"),
		Upgrade:        policy == "bidirectional" || policy == "upgrade",
		Downgrade:      policy == "bidirectional" || policy == "downgrade",
	}
}

// Beat handles a heartbeat of the consumer protocol, which lets members in and out and assigns. done gets the answer,
// once, when what it says is durable.
func (g *Groups) Beat(ctx context.Context, id string, b group.Beat, done func(*group.Beaten, error)) {
	cfg := g.settingsOf(id)
	if err := b.Check(cfg); err != nil {
		done(nil, err)
		return
	}
	s, err := g.shardOf(ctx, id)
	if err != nil {
		done(nil, err)
		return
	}
	b.Token = answer(func(a group.Answer) { done(a.Beat, a.Err) })
	now, t := g.cfg.Clock(), g.topics()
	s.mu.Lock()
	switch m := s.groups[id]; {
	case m != nil && m.consumer != nil:
		m.consumer.Configure(cfg)
		s.by(m, func() group.Effects { return m.consumer.Heartbeat(now, t, b) })
	case b.Epoch != 0:
		s.mu.Unlock()
		done(nil, &group.Refusal{Code: kerr.GroupIDNotFound, Why: fmt.Sprintf("Group %s is not a consumer group.", id)})
	case m != nil:
		var c *group.Consumer
		var e group.Effects
		holding(&s.mu, func() { c, e = m.classic.Upgrade(now, t, b) })
		if c == nil {
			s.apply(m, e)
			return
		}
		m.classic, m.consumer = nil, c
		s.apply(m, e, groupTombstone(id))
	default:
		c := group.NewConsumer(id, cfg, newID)
		var e group.Effects
		holding(&s.mu, func() { e = c.Heartbeat(now, t, b) })
		if len(c.Members) == 0 { // it was refused
			s.mu.Unlock()
			deliver(e.Answers, nil)
			return
		}
		s.apply(s.add(&managed{id: id, consumer: c}), e)
	}
}

// DescribedConsumer is a consumer group as tools see it.
type DescribedConsumer struct {
	State              group.State
	Epoch, TargetEpoch int32
	Assignor           string
	Members            []group.ConsumerMember // copies; what they point to never changes
}

// DescribeConsumer tells what a consumer group is like.
func (g *Groups) DescribeConsumer(ctx context.Context, id string) (DescribedConsumer, error) {
	s, m, err := g.findNamed(ctx, id)
	if errors.Is(err, kerr.UnknownMemberID) {
		return DescribedConsumer{}, &group.Refusal{Code: kerr.GroupIDNotFound, Why: fmt.Sprintf("Group %s not found.", id)}
	}
	if err != nil {
		return DescribedConsumer{}, err
	}
	defer s.mu.Unlock()
	c := m.consumer
	if c == nil {
		return DescribedConsumer{}, &group.Refusal{Code: kerr.GroupIDNotFound, Why: fmt.Sprintf("Group %s is not a consumer group.", id)}
	}
	d := DescribedConsumer{State: c.State(), Epoch: c.Epoch, TargetEpoch: c.TargetEpoch, Assignor: c.Assignor()}
	for _, x := range c.Ordered() {
		d.Members = append(d.Members, *x)
	}
	return d, nil
}
