package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Join lets a member of the classic protocol into a consumer group. There is no leader: the broker assigns, and the
// member fetches with a sync what it has.
func (c *Consumer) Join(now time.Time, topics Topics, j Join) Effects {
	var e Effects
	m, err := c.join(now, topics, &j, &e)
	if err != nil {
		a := Answer{Token: j.Token, Err: err}
		if m != nil { // the id that it must come back with
			a.Join = &Joined{MemberID: m.ID, Generation: -1}
		}
		e.Answers = append(e.Answers, a)
		return e
	}
	e.Answers = append(e.Answers, Answer{Token: j.Token, Join: &Joined{
		MemberID: m.ID, Generation: m.Epoch, ProtocolType: ConsumerProtocol, Protocol: j.Protocols[0].Name,
	}})
	return e
}

func (c *Consumer) join(now time.Time, topics Topics, j *Join, e *Effects) (*ConsumerMember, error) {
	if !c.cfg.Consumer.Upgrade && !c.cfg.Consumer.Downgrade {
		return nil, refuse(kerr.InconsistentGroupProtocol, "Group %s has members of the consumer protocol, and group.consumer.migration.policy lets none of the classic one join.", c.ID)
	}
	if err := c.supports(j); err != nil {
		return nil, err
	}
	if j.MemberID == "" && j.Instance == nil && j.KnownIDs {
		return &ConsumerMember{ID: makeID(j.ClientID, nil, c.newID)}, kerr.MemberIDRequired
	}
	s, err := readSubscription(topics, j.Protocols[0].Metadata)
	if err != nil {
		return nil, refuse(kerr.InconsistentGroupProtocol, "The subscription of protocol %s cannot be read.", j.Protocols[0].Name)
	}
	downgrade := c.isLast(j.Instance)
	m, newcomer, err := c.admitClassic(j)
	if err != nil {
		return nil, err
	}
	c.name(m, j.Instance)
	m.Rack, m.ClientID, m.ClientHost, m.RebalanceTimeout, m.Assignor = s.rack, j.ClientID, j.ClientHost, j.RebalanceTimeout, ""
	m.Classic = &ClassicSide{j.SessionTimeout, j.Protocols}
	c.change(MemberChange, m.ID)
	noRegex := ""
	resubscribed := c.subscribe(now, topics, m, append([]string{}, s.topics...), &noRegex, nil)
	c.bump(now, topics, newcomer || resubscribed, nil)
	if downgrade {
		if c.Epoch == c.TargetEpoch {
			c.reconcile(now, topics, m, s.owned, resubscribed)
		}
		c.downgrade(now, topics, nil, c.State() != Stable, e)
		return m, nil
	}
	c.target(topics)
	c.reconcile(now, topics, m, s.owned, resubscribed)
	m.touch(now, c.cfg)
	m.joinBy, m.syncBy = time.Time{}, now.Add(j.RebalanceTimeout)
	c.expect(m)
	e.Changes = c.changes()
	return m, nil
}

// supports refuses a classic member that cannot be in this group.
func (c *Consumer) supports(j *Join) error {
	if c.Members[j.MemberID] == nil && len(c.Members) >= c.cfg.Consumer.MaxSize && (j.Instance == nil || c.static[*j.Instance] == "") {
		return kerr.GroupMaxSizeReached
	}
	if j.ProtocolType == ConsumerProtocol {
		for _, p := range j.Protocols {
			if c.allKnow(p.Name, j.MemberID) {
				return nil
			}
		}
	}
	return refuse(kerr.InconsistentGroupProtocol, "Member %s's protocols are not supported.", j.MemberID)
}

func (c *Consumer) allKnow(protocol, except string) bool {
	for _, m := range c.Members {
		if m.Classic != nil && m.ID != except && !slices.ContainsFunc(m.Classic.Protocols, func(p Protocol) bool { return p.Name == protocol }) {
			return false
		}
	}
	return true
}

// isLast tells whether the static member with that instance id is the last one that keeps the group from being classic.
func (c *Consumer) isLast(instance *string) bool {
	if instance == nil || c.static[*instance] == "" {
		return false
	}
	old := c.Members[c.static[*instance]]
	return old.Classic == nil && c.canDowngrade([]*ConsumerMember{old}, len(c.Members))
}

func (c *Consumer) admitClassic(j *Join) (m *ConsumerMember, newcomer bool, err error) {
	switch {
	case j.MemberID != "" && j.Instance != nil:
		m, err = c.find(j.MemberID, j.Instance)
		return m, false, err
	case j.MemberID != "":
		if m := c.Members[j.MemberID]; m != nil {
			return m, false, nil
		}
		return c.add(j.MemberID), true, nil
	}
	id := makeID(j.ClientID, j.Instance, c.newID)
	if m, err := c.predecessor(id, j.Instance, true); m != nil || err != nil {
		return m, false, err
	}
	return c.add(id), true, nil
}

// classicMember finds a member that speaks the classic protocol and is in the epoch that it believes to be in.
func (c *Consumer) classicMember(id string, instance *string, generation int32) (*ConsumerMember, error) {
	m, err := c.find(id, instance)
	switch {
	case err != nil:
		return nil, err
	case m.Classic == nil:
		return nil, refuse(kerr.UnknownMemberID, "Member %s does not use the classic protocol.", id)
	case m.Epoch != generation:
		return nil, kerr.IllegalGeneration
	}
	return m, nil
}

// rejoin gives a classic member its time to join again.
func (c *Consumer) rejoin(now time.Time, m *ConsumerMember) {
	if m.joinBy.IsZero() {
		m.joinBy = now.Add(m.RebalanceTimeout)
	}
	c.expect(m)
}

// Sync tells a classic member what it has.
func (c *Consumer) Sync(now time.Time, topics Topics, s Sync) Effects {
	var e Effects
	m, err := c.classicMember(s.MemberID, s.Instance, s.Generation)
	switch {
	case err != nil:
	case s.ProtocolType != "" && s.ProtocolType != ConsumerProtocol || s.Protocol != "" && s.Protocol != m.Classic.Protocols[0].Name:
		err = kerr.InconsistentGroupProtocol
	case c.TargetEpoch > m.Epoch && m.State != MemberUnrevoked:
		c.rejoin(now, m)
		err = kerr.RebalanceInProgress
	}
	if err != nil {
		e.fail(s.Token, err)
		return e
	}
	m.syncBy = time.Time{}
	m.touch(now, c.cfg)
	e.Changes = c.changes()
	sub, _ := readSubscription(topics, m.Classic.Protocols[0].Metadata) // it could be read when the member joined
	e.Answers = append(e.Answers, Answer{Token: s.Token, Sync: &Synced{
		ProtocolType: ConsumerProtocol, Protocol: m.Classic.Protocols[0].Name,
		Assignment: writeAssignment(topics, sub.version, m.Assigned.Sorted()),
	}})
	return e
}

// ClassicHeartbeat keeps a classic member alive, and tells it to join again when there is something to revoke or to get.
func (c *Consumer) ClassicHeartbeat(now time.Time, topics Topics, id string, instance *string, generation int32) (Effects, error) {
	var e Effects
	m, err := c.classicMember(id, instance, generation)
	if err != nil {
		return e, err
	}
	m.touch(now, c.cfg)
	c.bump(now, topics, false, nil)
	e.Changes = c.changes()
	if m.Epoch < c.Epoch || m.State == MemberUnrevoked || m.State == MemberUnreleased && !c.waits(m) {
		c.rejoin(now, m)
		return e, kerr.RebalanceInProgress
	}
	return e, nil
}

// waits tells whether somebody else still has a partition that the member shall get.
func (c *Consumer) waits(m *ConsumerMember) bool {
	return slices.ContainsFunc(m.Target, func(p TopicPartition) bool {
		owner, taken := c.owners[p]
		return taken && owner != m.ID
	})
}

// Leave removes a member, of either protocol, by id or by instance.
func (c *Consumer) Leave(now time.Time, topics Topics, id string, instance *string) (Effects, error) {
	var e Effects
	if instance != nil && id == "" {
		id = c.static[*instance]
	}
	m, err := c.find(id, instance)
	if err == nil {
		c.fence(now, topics, []*ConsumerMember{m}, &e)
	}
	return e, err
}
