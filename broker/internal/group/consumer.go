package group

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// States that only a consumer group has.
const (
	Assigning   State = "Assigning"
	Reconciling State = "Reconciling"
)

// ConsumerConfig is what a broker is set to for groups of the consumer protocol.
type ConsumerConfig struct {
	SessionTimeout time.Duration
	Heartbeat      time.Duration // how often members are asked to call
	MaxSize        int
	Assignors      []string // of Uniform and Range; the first is taken where nobody says
	Upgrade        bool     // classic groups may become consumer groups while members are in
	Downgrade      bool     // and back
}

// TopicPartition is one partition of a topic.
type TopicPartition struct {
	Topic TopicID
	Index int32
}

func (p TopicPartition) compare(q TopicPartition) int {
	return cmp.Or(slices.Compare(p.Topic[:], q.Topic[:]), cmp.Compare(p.Index, q.Index))
}

// Owned maps the partitions that a member has to the group's epoch in which it got them.
type Owned map[TopicPartition]int32

// Sorted lists the partitions in order.
func (o Owned) Sorted() []TopicPartition {
	return slices.SortedFunc(maps.Keys(o), TopicPartition.compare)
}

// MemberState is how far a member has come towards its target, with the numbers of Kafka's records.
type MemberState int8

// The states of a member.
const (
	MemberStable     MemberState = 1 // it has what its epoch gives it
	MemberUnrevoked  MemberState = 2 // it must give up partitions before it may come into the next epoch
	MemberUnreleased MemberState = 3 // it waits for partitions that others have not given up
)

// epochs with a meaning of their own
const (
	joining       = 0
	leaving       = -1
	staticLeaving = -2 // a static member that means to come back
)

// ConsumerMember is one member of a consumer group. Its fields are read by coord and changed here only.
type ConsumerMember struct {
	ID               string
	Instance         *string // of a static member
	Rack             *string
	ClientID         string
	ClientHost       string
	Topics           []string // names that it subscribes to, sorted
	Regex            string   // expression that it subscribes to; empty: none
	Assignor         string   // server-side assignor that it prefers; empty: any
	RebalanceTimeout time.Duration
	Classic          *ClassicSide // of a member that speaks the classic protocol

	Epoch, Previous int32
	State           MemberState
	Assigned        Owned            // never changed in place
	Revoking        Owned            // has to go; never changed in place
	Target          []TopicPartition // sorted, never changed in place

	session   time.Time // until when it must call
	rebalance time.Time // until when it must have revoked; zero: nothing to revoke
	joinBy    time.Time // until when a classic member must join again; zero: it need not
	syncBy    time.Time // until when a classic member must ask for its assignment; zero: it need not
}

// ClassicSide is what a classic member said when it joined.
type ClassicSide struct {
	SessionTimeout time.Duration
	Protocols      []Protocol
}

// Consumer is one group of the consumer protocol (KIP-848).
type Consumer struct {
	ID          string
	Epoch       int32 // grows with each change of members, subscriptions and topics
	TargetEpoch int32 // the epoch that the members' targets were made for
	Hash        int64 // of the topics subscribed to
	Members     map[string]*ConsumerMember
	Regexes     map[string]*Resolved

	cfg     Config
	newID   func() string
	static  map[string]string         // instance → member id
	owners  map[TopicPartition]string // who has a partition, or has yet to give it up
	seen    any                       // version of the topics that Hash was last compared with
	scanned time.Time                 // when the expressions were last held against all topics
	changed map[Change]struct{}
	next    time.Time // nobody's time runs out before; zero: nobody is in
	bumped  time.Time // when the epoch began
}

// NewConsumer is an empty group.
func NewConsumer(id string, cfg Config, newID func() string) *Consumer {
	return &Consumer{
		ID: id, cfg: cfg, newID: newID, Members: map[string]*ConsumerMember{}, Regexes: map[string]*Resolved{},
		static: map[string]string{}, owners: map[TopicPartition]string{}, changed: map[Change]struct{}{},
	}
}

// Configure changes the settings. They hold from the next heartbeat of each member on.
func (c *Consumer) Configure(cfg Config) { c.cfg = cfg }

// Restored brings the group to life after its fields were read from the log: sessions start now.
func (c *Consumer) Restored(now time.Time) {
	for _, m := range c.Members {
		if m.Regex != "" && c.Regexes[m.Regex] == nil { // it is resolved with the next heartbeat
			c.Regexes[m.Regex] = &Resolved{}
		}
		c.index(m)
		m.touch(now, c.cfg)
		if m.State == MemberUnrevoked && m.Classic == nil {
			m.rebalance = now.Add(m.RebalanceTimeout)
		}
		c.expect(m)
	}
}

// expect notes when a member's time runs out.
func (c *Consumer) expect(m *ConsumerMember) {
	if t := m.next(); c.next.IsZero() || t.Before(c.next) {
		c.next = t
	}
}

// State is what tools call the group's state.
func (c *Consumer) State() State {
	switch {
	case len(c.Members) == 0:
		return Empty
	case c.Epoch > c.TargetEpoch:
		return Assigning
	}
	for _, m := range c.Members {
		if !m.reached(c.TargetEpoch) {
			return Reconciling
		}
	}
	return Stable
}

// Assignor is the assignor that most members prefer, or the default.
func (c *Consumer) Assignor() string {
	votes := map[string]int{}
	best := ""
	for _, m := range c.Members {
		if m.Assignor == "" {
			continue
		}
		votes[m.Assignor]++
		if n := votes[m.Assignor]; best == "" || n > votes[best] || n == votes[best] && m.Assignor < best {
			best = m.Assignor
		}
	}
	return cmp.Or(best, c.cfg.Consumer.Assignors[0])
}

// Ordered lists the members by id.
func (c *Consumer) Ordered() []*ConsumerMember {
	return slices.SortedFunc(maps.Values(c.Members), func(a, b *ConsumerMember) int { return strings.Compare(a.ID, b.ID) })
}

// ChangeKind is which of a group's records a change is about, in the order in which Kafka must read them.
type ChangeKind int8

// The kinds of records.
const (
	EpochChange ChangeKind = iota
	RegexChange
	MemberChange
	TargetEpochChange
	TargetChange
	CurrentChange
)

// Change names a record of the group that is not what it was. Name is a member or an expression; one that the group does
// not have any more, or everything when the group is Gone, loses its record.
type Change struct {
	Kind ChangeKind
	Name string
	Gone bool
}

func (c *Consumer) change(kind ChangeKind, name string) {
	c.changed[Change{Kind: kind, Name: name}] = struct{}{}
}

// changes takes what has changed: removals first, from the inside out, then the rest from the outside in.
func (c *Consumer) changes() []Change {
	out := make([]Change, 0, len(c.changed))
	for ch := range c.changed {
		switch ch.Kind {
		case RegexChange:
			ch.Gone = c.Regexes[ch.Name] == nil
		case MemberChange, TargetChange, CurrentChange:
			ch.Gone = c.Members[ch.Name] == nil
		case EpochChange, TargetEpochChange:
		}
		out = append(out, ch)
	}
	clear(c.changed)
	return sortChanges(out)
}

// Repeat lets changes that could not be written come with the next event's. Removals are not the group's any more.
func (c *Consumer) Repeat(changes []Change) {
	for _, ch := range changes {
		if !ch.Gone {
			c.change(ch.Kind, ch.Name)
		}
	}
}

func sortChanges(all []Change) []Change {
	slices.SortFunc(all, func(a, b Change) int {
		switch {
		case a.Gone && !b.Gone:
			return -1
		case !a.Gone && b.Gone:
			return 1
		case a.Gone:
			a, b = b, a
		}
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
	})
	return all
}

// Remove lists the records that go when the group goes.
func (c *Consumer) Remove() []Change {
	out := []Change{{Kind: EpochChange, Gone: true}, {Kind: TargetEpochChange, Gone: true}}
	for id := range c.Members {
		for _, kind := range []ChangeKind{MemberChange, TargetChange, CurrentChange} {
			out = append(out, Change{kind, id, true})
		}
	}
	for text := range c.Regexes {
		out = append(out, Change{RegexChange, text, true})
	}
	return sortChanges(out)
}

func (m *ConsumerMember) reached(epoch int32) bool {
	return m.State == MemberStable && m.Epoch == epoch
}

func (m *ConsumerMember) touch(now time.Time, cfg Config) {
	timeout := cfg.Consumer.SessionTimeout
	if m.Classic != nil {
		timeout = m.Classic.SessionTimeout
	}
	m.session = now.Add(timeout)
}

// index adds a member to what is looked up by instance and by partition.
func (c *Consumer) index(m *ConsumerMember) {
	if m.Instance != nil {
		c.static[*m.Instance] = m.ID
	}
	for p := range m.Assigned {
		c.owners[p] = m.ID
	}
	for p := range m.Revoking {
		c.owners[p] = m.ID
	}
}

// forget takes a member out with all that it has.
func (c *Consumer) forget(m *ConsumerMember) {
	delete(c.Members, m.ID)
	if m.Instance != nil && c.static[*m.Instance] == m.ID {
		delete(c.static, *m.Instance)
	}
	c.release(m)
	for _, kind := range []ChangeKind{MemberChange, TargetChange, CurrentChange} {
		c.change(kind, m.ID)
	}
}

func (c *Consumer) release(m *ConsumerMember) {
	for _, owned := range []Owned{m.Assigned, m.Revoking} {
		for p := range owned {
			if c.owners[p] == m.ID {
				delete(c.owners, p)
			}
		}
	}
}

// find proves who a request comes from.
func (c *Consumer) find(id string, instance *string) (*ConsumerMember, error) {
	if instance != nil {
		switch known, ok := c.static[*instance]; {
		case !ok:
			return nil, refuse(kerr.UnknownMemberID, "Instance id %s is unknown.", *instance)
		case known != id:
			return nil, refuse(kerr.FencedInstanceID, "Static member %s with instance id %s was fenced by member %s.", id, *instance, known)
		}
	}
	if m := c.Members[id]; m != nil {
		return m, nil
	}
	return nil, refuse(kerr.UnknownMemberID, "Member %s is not a member of group %s.", id, c.ID)
}

// fence takes members out, whether they said good-bye or fell silent. A group that has only classic members left becomes
// a classic one.
func (c *Consumer) fence(now time.Time, topics Topics, gone []*ConsumerMember, e *Effects) {
	if len(gone) == 0 {
		return
	}
	if c.canDowngrade(gone, len(c.Members)-len(gone)) {
		c.downgrade(now, topics, gone, true, e)
		return
	}
	for _, m := range gone {
		c.forget(m)
	}
	c.dropRegexes()
	c.Epoch++
	c.change(EpochChange, "")
	e.Changes = c.changes()
}

// Tick lets time pass: who did not call, revoke, join or sync in time is out.
func (c *Consumer) Tick(now time.Time, topics Topics) Effects {
	var e Effects
	var gone []*ConsumerMember
	c.next = time.Time{}
	for _, m := range c.Ordered() {
		if m.next().After(now) {
			c.expect(m)
		} else {
			gone = append(gone, m)
		}
	}
	c.fence(now, topics, gone, &e)
	return e
}

// Next is when Tick may have something to do, perhaps too early; zero: never.
func (c *Consumer) Next() time.Time { return c.next }

func (m *ConsumerMember) next() time.Time {
	next := m.session
	for _, t := range []time.Time{m.rebalance, m.joinBy, m.syncBy} {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	return next
}

// Commit proves that a member may commit offsets.
func (c *Consumer) Commit(claim Claim) error {
	switch {
	case claim.Epoch < 0 && len(c.Members) == 0: // from outside, and nobody is in
		return nil
	case claim.Transactional && claim.Epoch < 0 && claim.Member == "" && claim.Instance == nil: // it need not say who it is
		return nil
	}
	m := c.Members[claim.Member]
	switch {
	case m == nil:
		return refuse(kerr.UnknownMemberID, "Member %s is not a member of group %s.", claim.Member, c.ID)
	case !claim.Transactional && m.Classic == nil && !claim.KnowsEpochs:
		return refuse(kerr.UnsupportedVersion, "OffsetCommit version 9 or above must be used by members using the consumer group protocol.")
	case claim.Epoch == m.Epoch:
		return nil
	case claim.Epoch > m.Epoch:
		return m.stale(claim.Epoch)
	}
	for _, p := range claim.Partitions { // an older epoch may speak for what the member has had since then
		if since, ok := m.Assigned[p]; !ok || since > claim.Epoch {
			return m.stale(claim.Epoch)
		}
	}
	return nil
}

// Fetch proves that a member may read the group's offsets.
func (c *Consumer) Fetch(member string, epoch int32) error {
	if member == "" && epoch < 0 {
		return nil
	}
	switch m := c.Members[member]; {
	case m == nil:
		return refuse(kerr.UnknownMemberID, "Member %s is not a member of group %s.", member, c.ID)
	case m.Epoch != epoch:
		return m.stale(epoch)
	}
	return nil
}

func (m *ConsumerMember) stale(epoch int32) error {
	code := kerr.StaleMemberEpoch
	if m.Classic != nil {
		code = kerr.IllegalGeneration
	}
	return refuse(code, "The received member epoch %d does not match the expected member epoch %d.", epoch, m.Epoch)
}

// Subscribed tells whether a member subscribes to a topic.
func (c *Consumer) Subscribed(topic string) bool {
	for _, m := range c.Members {
		if _, ok := slices.BinarySearch(m.Topics, topic); ok {
			return true
		}
		if r := c.Regexes[m.Regex]; r != nil {
			if _, ok := slices.BinarySearch(r.Topics, topic); ok {
				return true
			}
		}
	}
	return false
}
