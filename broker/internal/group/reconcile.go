package group

import (
	"maps"
	"time"
)

// reconcile brings a member as near to its target as it can come now: it gives up what it must before it gets anything,
// and gets nothing that another one still has. owned is what it says it has; nil: not said.
func (c *Consumer) reconcile(now time.Time, topics Topics, m *ConsumerMember, owned []TopicPartition, resubscribed bool) {
	if m.reached(c.TargetEpoch) && !resubscribed {
		return
	}
	allowed := map[TopicID]bool{}
	for _, name := range c.names(m) {
		if id, partitions := topics.Find(name); partitions > 0 {
			allowed[id] = true
		}
	}
	switch {
	case m.State == MemberUnrevoked && holds(owned, m.Revoking), m.reached(c.TargetEpoch):
		c.shrink(m, allowed, owned)
	default:
		c.advance(m, allowed, owned)
	}
	switch {
	case m.State != MemberUnrevoked || m.Classic != nil: // classic members have a time to join, and one to sync
		m.rebalance = time.Time{}
	case m.rebalance.IsZero():
		m.rebalance = now.Add(m.RebalanceTimeout)
	}
}

// holds tells whether a member has, or may have, one of the partitions.
func holds(owned []TopicPartition, some Owned) bool {
	if owned == nil {
		return true
	}
	for _, p := range owned {
		if _, ok := some[p]; ok {
			return true
		}
	}
	return false
}

// shrink takes from a member what it does not subscribe to any more, while it stays in its epoch.
func (c *Consumer) shrink(m *ConsumerMember, allowed map[TopicID]bool, owned []TopicPartition) {
	kept, revoking := Owned{}, maps.Clone(m.Revoking)
	if revoking == nil {
		revoking = Owned{}
	}
	for p, epoch := range m.Assigned {
		if allowed[p.Topic] {
			kept[p] = epoch
		} else {
			revoking[p] = epoch
		}
	}
	switch {
	case len(kept) == len(m.Assigned):
	case holds(owned, revoking):
		c.own(m, MemberUnrevoked, m.Epoch, kept, revoking)
	default:
		c.own(m, m.State, m.Epoch, kept, nil)
	}
}

// advance moves a member towards its target.
func (c *Consumer) advance(m *ConsumerMember, allowed map[TopicID]bool, owned []TopicPartition) {
	kept, revoking, state := Owned{}, maps.Clone(m.Assigned), MemberStable
	if revoking == nil {
		revoking = Owned{}
	}
	var free []TopicPartition
	for _, p := range m.Target {
		epoch, has := m.Assigned[p]
		owner, taken := c.owners[p]
		switch {
		case !allowed[p.Topic]:
		case has:
			kept[p] = epoch
			delete(revoking, p)
		case taken && owner != m.ID:
			state = MemberUnreleased
		default:
			free = append(free, p)
		}
	}
	if len(revoking) > 0 && holds(owned, revoking) {
		c.own(m, MemberUnrevoked, m.Epoch, kept, revoking)
		return
	}
	for _, p := range free {
		kept[p] = c.TargetEpoch
	}
	c.own(m, state, c.TargetEpoch, kept, nil)
}

// own is the one place where what a member has changes.
func (c *Consumer) own(m *ConsumerMember, state MemberState, epoch int32, assigned, revoking Owned) {
	if m.State == state && m.Epoch == epoch && maps.Equal(m.Assigned, assigned) && maps.Equal(m.Revoking, revoking) {
		return
	}
	m.rebalance = time.Time{} // it is counted from the last change
	c.release(m)
	m.Previous, m.Epoch, m.State, m.Assigned, m.Revoking = m.Epoch, epoch, state, assigned, revoking
	c.index(m)
	c.change(CurrentChange, m.ID)
}
