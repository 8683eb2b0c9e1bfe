package group

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Beat is a heartbeat of the consumer protocol. What is nil has not changed.
type Beat struct {
	Token            any
	Member           string
	Epoch            int32 // 0: it joins; -1: it leaves; -2: it leaves for a while
	Instance         *string
	Rack             *string
	RebalanceTimeout time.Duration // negative: not said
	Topics           []string
	Regex            *string
	Assignor         *string
	Owned            []TopicPartition // nil: not said
	ClientID         string
	ClientHost       string
	OwnID            bool              // version 1 on: members make their ids themselves
	Visible          func(string) bool // whether the member may know of a topic
}

// Beaten answers a heartbeat.
type Beaten struct {
	Member     string
	Epoch      int32
	Interval   time.Duration
	Assignment []TopicPartition // nil: as it was
}

// Check refuses a heartbeat that makes no sense in any group.
func (b *Beat) Check(cfg Config) error {
	empty := func(s *string) bool { return s != nil && strings.TrimSpace(*s) == "" }
	switch {
	case (b.OwnID || b.Epoch > 0 || b.Epoch == leaving) && b.Member == "":
		return refuse(kerr.InvalidRequest, "MemberId can't be empty.")
	case empty(b.Instance):
		return refuse(kerr.InvalidRequest, "InstanceId can't be empty.")
	case empty(b.Rack):
		return refuse(kerr.InvalidRequest, "RackId can't be empty.")
	case b.Epoch == joining && b.RebalanceTimeout < 0:
		return refuse(kerr.InvalidRequest, "RebalanceTimeoutMs must be provided in first request.")
	case b.Epoch == joining && (b.Owned == nil || len(b.Owned) > 0):
		return refuse(kerr.InvalidRequest, "TopicPartitions must be empty when (re-)joining.")
	case b.Epoch == joining && b.Topics == nil && b.Regex == nil:
		return refuse(kerr.InvalidRequest, "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
	case b.Epoch < staticLeaving:
		return refuse(kerr.InvalidRequest, "MemberEpoch is invalid.")
	case b.Assignor != nil && !slices.Contains(cfg.Consumer.Assignors, *b.Assignor):
		return refuse(kerr.UnsupportedAssignor, "ServerAssignor %s is not supported. Supported assignors: %s.",
			*b.Assignor, strings.Join(cfg.Consumer.Assignors, ", "))
	}
	return nil
}

// Heartbeat handles a heartbeat that was checked: it lets a member in or out, assigns, and tells it what it has.
func (c *Consumer) Heartbeat(now time.Time, topics Topics, b Beat) Effects {
	var e Effects
	answer, err := c.beat(now, topics, &b, &e)
	if err != nil {
		e.fail(b.Token, err)
		return e
	}
	e.Answers = append(e.Answers, Answer{Token: b.Token, Beat: answer})
	return e
}

func (c *Consumer) beat(now time.Time, topics Topics, b *Beat, e *Effects) (*Beaten, error) {
	if b.Epoch < joining {
		return c.depart(now, topics, b, e)
	}
	if b.Regex != nil && *b.Regex != "" && c.Regexes[*b.Regex] == nil {
		if _, err := compile(*b.Regex); err != nil {
			return nil, err
		}
	}
	m, newcomer, err := c.admit(b)
	if err != nil {
		return nil, err
	}
	wasClassic, had := m.Classic != nil, m.Assigned
	resubscribed := c.update(now, topics, m, b)
	if wasClassic {
		m.Classic, m.joinBy, m.syncBy = nil, time.Time{}, time.Time{}
		c.change(MemberChange, m.ID)
	}
	c.bump(now, topics, newcomer || resubscribed, b.Visible)
	c.target(topics)
	c.reconcile(now, topics, m, b.Owned, resubscribed)
	m.touch(now, c.cfg)
	c.expect(m)
	e.Changes = c.changes()
	answer := &Beaten{Member: m.ID, Epoch: m.Epoch, Interval: c.interval(now, m)}
	full := b.RebalanceTimeout >= 0 && (b.Topics != nil || b.Regex != nil) && b.Owned != nil
	if b.Epoch == joining || full || !maps.Equal(had, m.Assigned) {
		answer.Assignment = append([]TopicPartition{}, m.Assigned.Sorted()...)
	}
	return answer, nil
}

// depart handles a good-bye.
func (c *Consumer) depart(now time.Time, topics Topics, b *Beat, e *Effects) (*Beaten, error) {
	m, err := c.find(b.Member, b.Instance)
	if err != nil {
		return nil, err
	}
	if b.Epoch == staticLeaving && m.Instance == nil { // franz-go does not say the name again: Kafka refuses that
		return nil, refuse(kerr.InvalidRequest, "InstanceId can't be null.")
	}
	if b.Epoch == staticLeaving { // its partitions wait for it until its session ends
		c.own(m, MemberStable, staticLeaving, m.Assigned, nil)
		m.rebalance = time.Time{}
		e.Changes = c.changes()
	} else {
		c.fence(now, topics, []*ConsumerMember{m}, e)
	}
	return &Beaten{Member: b.Member, Epoch: b.Epoch}, nil
}

// admit finds the member that a heartbeat comes from, or makes it. A newcomer is one that changes who is in.
func (c *Consumer) admit(b *Beat) (m *ConsumerMember, newcomer bool, err error) {
	if b.Epoch != joining {
		if m, err = c.find(b.Member, b.Instance); err == nil {
			err = m.checkEpoch(b)
		}
		return m, false, err
	}
	if m, err := c.predecessor(b.Member, b.Instance, false); m != nil || err != nil {
		return m, false, err
	}
	if m := c.Members[b.Member]; m != nil && b.Member != "" {
		return m, false, nil
	}
	if len(c.Members) >= c.cfg.Consumer.MaxSize {
		return nil, false, refuse(kerr.GroupMaxSizeReached, "The consumer group has reached its maximum capacity of %d members.", c.cfg.Consumer.MaxSize)
	}
	id := b.Member
	if id == "" {
		id = c.newID()
	}
	return c.add(id), true, nil
}

func (c *Consumer) add(id string) *ConsumerMember {
	m := &ConsumerMember{ID: id, State: MemberStable}
	c.Members[id] = m
	c.change(MemberChange, id)
	return m
}

// predecessor lets a static member that comes back take the place of what it was; nil: it was not there.
func (c *Consumer) predecessor(id string, instance *string, classic bool) (*ConsumerMember, error) {
	if instance == nil || c.static[*instance] == "" || c.static[*instance] == id {
		return nil, nil
	}
	old := c.Members[c.static[*instance]]
	if !classic && old.Classic == nil && old.Epoch != staticLeaving {
		return nil, refuse(kerr.UnreleasedInstanceID, "Static member %s with instance id %s cannot join the group because the instance id is owned by member %s.",
			id, *instance, old.ID)
	}
	if id == "" {
		id = c.newID()
	}
	if other := c.Members[id]; other != nil { // it was somebody else until now
		c.forget(other)
	}
	m := *old
	m.ID, m.Epoch, m.Previous = id, 0, 0
	c.forget(old)
	c.Members[id] = &m
	c.index(&m)
	for _, kind := range []ChangeKind{MemberChange, TargetChange, CurrentChange} {
		c.change(kind, id)
	}
	return &m, nil
}

// checkEpoch holds the epoch that a member believes to be in against the one that it is in.
func (m *ConsumerMember) checkEpoch(b *Beat) error {
	switch {
	case b.Epoch == m.Epoch:
		return nil
	case b.Epoch == m.Previous && b.Epoch < m.Epoch && b.Owned != nil && m.hasAll(b.Owned): // the last answer was lost
		return nil
	}
	than := "greater"
	if b.Epoch < m.Epoch {
		than = "smaller"
	}
	return refuse(kerr.FencedMemberEpoch, "The consumer group member has a %s member epoch (%d) than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.",
		than, b.Epoch, m.Epoch)
}

func (m *ConsumerMember) hasAll(owned []TopicPartition) bool {
	for _, p := range owned {
		if _, ok := m.Assigned[p]; !ok {
			return false
		}
	}
	return true
}

// update takes over what a heartbeat says, and tells whether the member subscribes to something else.
func (c *Consumer) update(now time.Time, topics Topics, m *ConsumerMember, b *Beat) (resubscribed bool) {
	before := *m
	c.name(m, b.Instance)
	if b.Rack != nil {
		m.Rack = b.Rack
	}
	if b.RebalanceTimeout >= 0 {
		m.RebalanceTimeout = b.RebalanceTimeout
	}
	if b.Assignor != nil {
		m.Assignor = *b.Assignor
	}
	m.ClientID, m.ClientHost = b.ClientID, b.ClientHost
	resubscribed = c.subscribe(now, topics, m, b.Topics, b.Regex, b.Visible)
	if resubscribed || !sameText(before.Instance, m.Instance) || !sameText(before.Rack, m.Rack) || before.RebalanceTimeout != m.RebalanceTimeout ||
		before.Assignor != m.Assignor || before.ClientID != m.ClientID || before.ClientHost != m.ClientHost {
		c.change(MemberChange, m.ID)
	}
	return resubscribed
}

// name gives a member its instance id.
func (c *Consumer) name(m *ConsumerMember, instance *string) {
	if instance == nil {
		return
	}
	if m.Instance != nil && c.static[*m.Instance] == m.ID {
		delete(c.static, *m.Instance)
	}
	m.Instance = instance
	c.static[*instance] = m.ID
}

func sameText(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

func (c *Consumer) subscribe(now time.Time, topics Topics, m *ConsumerMember, names []string, regex *string, visible func(string) bool) (changed bool) {
	if names = sortedSet(slices.Clone(names)); names != nil && !slices.Equal(names, m.Topics) {
		m.Topics, changed = names, true
	}
	if regex != nil && *regex != m.Regex {
		m.Regex, changed = *regex, true
		if m.Regex != "" && c.Regexes[m.Regex] == nil {
			c.resolve(now, topics, m.Regex, visible)
		}
		c.dropRegexes()
	}
	return changed
}

// bump starts a new epoch if there is a reason.
func (c *Consumer) bump(now time.Time, topics Topics, changed bool, visible func(string) bool) {
	if c.refresh(now, topics, visible) || changed {
		c.Epoch++
		c.bumped = now
		c.change(EpochChange, "")
	}
}

// hurry is how many times as often members call while something moves.
const hurry = 20

// interval is after how long a member shall call again: soon while it has to give up or to get something, and while the
// group is so young that others may come and take their share.
func (c *Consumer) interval(now time.Time, m *ConsumerMember) time.Duration {
	every := c.cfg.Consumer.Heartbeat
	if !m.reached(c.TargetEpoch) || now.Before(c.bumped.Add(every)) {
		return max(every/hurry, time.Millisecond)
	}
	return every
}

// target assigns for the newest epoch.
func (c *Consumer) target(topics Topics) {
	if c.Epoch <= c.TargetEpoch {
		return
	}
	if h := c.hash(topics); h != c.Hash {
		c.Hash = h
		c.change(EpochChange, "")
	}
	c.assign(topics)
	c.TargetEpoch = c.Epoch
	c.change(TargetEpochChange, "")
}
