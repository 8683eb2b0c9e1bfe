package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Upgrade handles a member of the consumer protocol that joins a classic group. Without an error the members go on in
// the returned group; those that wait for a classic rebalance are told to join again. An error leaves everything as it was.
func (g *Group) Upgrade(now time.Time, topics Topics, b Beat) (*Consumer, Effects) {
	var e Effects
	c, err := g.upgraded(now, topics)
	if err != nil {
		e.fail(b.Token, err)
		return nil, e
	}
	e = c.Heartbeat(now, topics, b)
	if e.Answers[0].Err != nil {
		return nil, e
	}
	g.State = Dead
	for _, m := range g.Ordered() {
		e.fail(m.join, kerr.RebalanceInProgress)
		e.fail(m.sync, kerr.RebalanceInProgress)
	}
	return c, e
}

// upgraded is the classic group as a consumer group. Its members stay as they are until they join again.
func (g *Group) upgraded(now time.Time, topics Topics) (*Consumer, error) {
	c := NewConsumer(g.ID, g.cfg, g.newID)
	c.Epoch, c.TargetEpoch = g.Generation, g.Generation // so that epochs only grow
	if len(g.Members) == 0 {
		return c, nil
	}
	no := func(why string) error {
		return refuse(kerr.GroupIDNotFound, "Cannot upgrade classic group %s to consumer group because %s.", g.ID, why)
	}
	switch {
	case !g.cfg.Consumer.Upgrade:
		return nil, no("online upgrade is disabled")
	case g.ProtocolType != ConsumerProtocol:
		return nil, no("the group does not use the consumer embedded protocol")
	case len(g.Members) > g.cfg.Consumer.MaxSize:
		return nil, no("the group size exceeds the consumer group maximum size")
	}
	c.change(EpochChange, "")
	c.change(TargetEpochChange, "")
	for _, old := range g.Ordered() {
		s, err := readSubscription(topics, g.metadataOrFirst(old))
		if err != nil {
			return nil, no("the embedded consumer protocol is malformed")
		}
		has, custom, err := readAssignment(topics, old.Assignment)
		switch {
		case err != nil:
			return nil, no("the embedded consumer protocol is malformed")
		case custom:
			return nil, no("an unsupported custom assignor is in use: switch to a default assignor first")
		}
		m := &ConsumerMember{
			ID: old.ID, Instance: old.Instance, Rack: s.rack, ClientID: old.ClientID, ClientHost: old.ClientHost, Topics: s.topics,
			RebalanceTimeout: old.RebalanceTimeout, Classic: &ClassicSide{old.SessionTimeout, old.Protocols},
			Epoch: g.Generation, Previous: g.Generation, State: MemberStable, Assigned: Owned{},
		}
		for _, p := range has {
			if c.owners[p] == "" { // an assignor of a client may have given one to two
				m.Assigned[p] = g.Generation
			}
		}
		m.Target = m.Assigned.Sorted()
		m.touch(now, c.cfg)
		c.expect(m)
		c.Members[m.ID] = m
		c.index(m)
		for _, kind := range []ChangeKind{MemberChange, TargetChange, CurrentChange} {
			c.change(kind, m.ID)
		}
	}
	return c, nil
}

// canDowngrade tells whether the group should go on as a classic one when some members are gone and left are left.
func (c *Consumer) canDowngrade(gone []*ConsumerMember, left int) bool {
	if !c.cfg.Consumer.Downgrade || left == 0 || left > c.cfg.MaxSize {
		return false
	}
	for _, m := range c.Members {
		if m.Classic == nil && !slices.Contains(gone, m) {
			return false
		}
	}
	return true
}

// downgrade makes a classic group of those that are not gone. Each is assigned its target; rebalance makes them join again.
func (c *Consumer) downgrade(now time.Time, topics Topics, gone []*ConsumerMember, rebalance bool, e *Effects) {
	g := New(c.ID, c.cfg, c.newID)
	g.State, g.Generation, g.ProtocolType = Stable, c.Epoch, ConsumerProtocol
	var targets [][]TopicPartition
	for _, old := range c.Ordered() {
		if slices.Contains(gone, old) {
			continue
		}
		m := &Member{
			ID: old.ID, Instance: old.Instance, ClientID: old.ClientID, ClientHost: old.ClientHost,
			SessionTimeout: old.Classic.SessionTimeout, RebalanceTimeout: old.RebalanceTimeout, Protocols: old.Classic.Protocols,
		}
		m.touch(now)
		g.insert(m)
		targets = append(targets, old.Target)
	}
	g.Leader, g.Protocol = g.order[0], g.vote()
	for i, m := range g.Ordered() {
		s, _ := readSubscription(topics, g.Metadata(m)) // it could be read when the member joined
		m.Assignment = writeAssignment(topics, s.version, targets[i])
	}
	e.Became, e.Persist = g, true
	e.Changes = slices.DeleteFunc(c.changes(), func(ch Change) bool { return !ch.Gone })
	e.Changes = sortChanges(append(e.Changes, c.Remove()...))
	e.Changes = slices.Compact(e.Changes)
	if rebalance {
		g.prepare(now, e)
	}
}
