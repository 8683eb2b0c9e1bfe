package group

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// State of a group, by Kafka's names.
type State string

// The states.
const (
	Empty               State = "Empty"
	PreparingRebalance  State = "PreparingRebalance"
	CompletingRebalance State = "CompletingRebalance"
	Stable              State = "Stable"
	Dead                State = "Dead"
)

// Config is what a broker is set to.
type Config struct {
	InitialDelay time.Duration // how long a new group waits for more members
	MaxSize      int
	Consumer     ConsumerConfig
}

// Protocol is an assignor that a member knows, with its subscription for it.
type Protocol struct {
	Name     string
	Metadata []byte
}

// Member is one member. Its fields are read by coord and changed here only.
type Member struct {
	ID               string
	Instance         *string // of a static member
	ClientID         string
	ClientHost       string
	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration
	Protocols        []Protocol
	Assignment       []byte

	deadline time.Time // of its session
	join     any       // token of a parked join; nil: none
	sync     any       // token of a parked sync; nil: none
	unsynced bool      // it has joined this generation, and not asked for its assignment
}

// Group is one group.
type Group struct {
	ID           string
	State        State
	Generation   int32
	ProtocolType string
	Protocol     string
	Leader       string
	Members      map[string]*Member

	cfg      Config
	static   map[string]string    // instance → member id
	pending  map[string]time.Time // ids given out that have not joined, until when
	order    []string             // member ids as they came
	initial  bool                 // the rebalance that is prepared is a new group's first
	deadline time.Time            // of the rebalance that is prepared or completed
	latest   time.Time            // until when newcomers can put off a new group's first generation
	newID    func() string
}

// New is an empty group. newID makes the random part of member ids.
func New(id string, cfg Config, newID func() string) *Group {
	return &Group{
		ID: id, State: Empty, Members: map[string]*Member{}, cfg: cfg,
		static: map[string]string{}, pending: map[string]time.Time{}, newID: newID,
	}
}

// Restore puts a member back that was read from the log, with a session that starts now.
func (g *Group) Restore(m *Member, now time.Time) {
	m.deadline = now.Add(m.SessionTimeout)
	g.insert(m)
}

// Restored checks a group whose members were all put back: one that is larger than groups may be now has to meet anew. Nobody waits
// for an answer yet.
func (g *Group) Restored(now time.Time) {
	if g.State == Stable && len(g.Members) > g.cfg.MaxSize {
		g.prepare(now, &Effects{})
	}
}

// Answer is the reply to a parked or an immediate request.
type Answer struct {
	Token any
	Err   error
	Join  *Joined
	Sync  *Synced
	Beat  *Beaten
}

// Joined answers a join.
type Joined struct {
	MemberID       string
	Generation     int32
	ProtocolType   string
	Protocol       string
	Leader         string
	SkipAssignment bool
	Members        []*Member // for the leader; copies, because the answer is read when the group has moved on
}

// Synced answers a sync.
type Synced struct {
	ProtocolType string
	Protocol     string
	Assignment   []byte
}

// Effects are what an event asks for, in this order: persist, then answer.
type Effects struct {
	Changes []Change // records of a consumer group that must be durable before the answers leave
	Persist bool     // the same for the one record of a classic group
	Became  *Group   // the consumer group is over, its members go on in this classic one
	Answers []Answer
}

func (e *Effects) fail(token any, err error) {
	if token != nil {
		e.Answers = append(e.Answers, Answer{Token: token, Err: err})
	}
}

func (g *Group) insert(m *Member) {
	g.Members[m.ID] = m
	g.order = append(g.order, m.ID)
	if m.Instance != nil {
		g.static[*m.Instance] = m.ID
	}
}

func (g *Group) forget(m *Member) {
	delete(g.Members, m.ID)
	g.order = slices.DeleteFunc(g.order, func(id string) bool { return id == m.ID })
	if m.Instance != nil && g.static[*m.Instance] == m.ID {
		delete(g.static, *m.Instance)
	}
	if g.Leader == m.ID {
		g.Leader = ""
	}
}

// find proves who a request comes from.
func (g *Group) find(id string, instance *string) (*Member, error) {
	if instance != nil {
		known, ok := g.static[*instance]
		switch {
		case !ok:
			return nil, kerr.UnknownMemberID
		case id == "":
			id = known
		case known != id:
			return nil, kerr.FencedInstanceID
		}
	}
	if m := g.Members[id]; m != nil {
		return m, nil
	}
	return nil, kerr.UnknownMemberID
}

// touch starts a member's session anew.
func (m *Member) touch(now time.Time) { m.deadline = now.Add(m.SessionTimeout) }

// Heartbeat keeps a member alive and tells it of a rebalance.
func (g *Group) Heartbeat(now time.Time, id string, instance *string, generation int32) error {
	m, err := g.find(id, instance)
	switch {
	case err != nil:
		return err
	case generation != g.Generation:
		return kerr.IllegalGeneration
	}
	m.touch(now)
	if g.State == PreparingRebalance {
		return kerr.RebalanceInProgress
	}
	return nil
}

// Claim is what somebody says who commits offsets.
type Claim struct {
	Member        string
	Instance      *string
	Epoch         int32 // the generation in a classic group; negative: from outside the group
	KnowsEpochs   bool  // OffsetCommit version 9 on
	Transactional bool
	Partitions    []TopicPartition
}

// Commit proves that a member may commit offsets. From outside it is allowed while nobody is in; in a transaction nobody
// need say who it is, and no state of the group forbids it.
func (g *Group) Commit(now time.Time, claim Claim) error {
	switch {
	case g.State == Dead:
		return kerr.CoordinatorNotAvailable
	case claim.Epoch < 0 && g.State == Empty:
		return nil
	case claim.Epoch < 0 && claim.Member == "" && claim.Instance == nil:
		if claim.Transactional {
			return nil
		}
		return kerr.UnknownMemberID
	}
	m, err := g.find(claim.Member, claim.Instance)
	switch {
	case err != nil:
		return err
	case claim.Epoch != g.Generation:
		return kerr.IllegalGeneration
	case claim.Transactional:
		return nil
	case g.State == CompletingRebalance:
		return kerr.RebalanceInProgress
	}
	m.touch(now)
	return nil
}

// Leave removes a member that says good-bye.
func (g *Group) Leave(now time.Time, id string, instance *string) (Effects, error) {
	var e Effects
	if _, ok := g.pending[id]; ok && instance == nil {
		delete(g.pending, id)
		g.tryComplete(now, &e)
		return e, nil
	}
	m, err := g.find(id, instance)
	if err != nil {
		return e, err
	}
	g.remove(now, &e, m)
	return e, nil
}

// remove takes members out and rebalances.
func (g *Group) remove(now time.Time, e *Effects, gone ...*Member) {
	if len(gone) == 0 {
		return
	}
	for _, m := range gone {
		e.fail(m.join, kerr.UnknownMemberID)
		e.fail(m.sync, kerr.UnknownMemberID)
		g.forget(m)
	}
	switch g.State {
	case Stable, CompletingRebalance:
		g.prepare(now, e)
	case PreparingRebalance:
		g.tryComplete(now, e)
	case Empty, Dead:
	}
}

// Kill ends the group: it was deleted.
func (g *Group) Kill() { g.State = Dead }

// Tick lets time pass: sessions and rebalances time out.
func (g *Group) Tick(now time.Time) Effects {
	var e Effects
	for id, at := range g.pending {
		if !at.After(now) {
			delete(g.pending, id)
		}
	}
	g.remove(now, &e, g.which(func(m *Member) bool { return m.join == nil && m.sync == nil && !m.deadline.After(now) })...)
	switch {
	case g.State == PreparingRebalance && !g.deadline.After(now):
		g.complete(now, &e)
	case g.State == PreparingRebalance:
		g.tryComplete(now, &e)
	case g.State == CompletingRebalance && !g.deadline.After(now), g.State == Stable && !g.deadline.After(now):
		// Who did not sync in time is out. If that is nobody, all wait for a leader that is gone.
		if g.remove(now, &e, g.which(func(m *Member) bool { return m.unsynced })...); g.State == CompletingRebalance {
			g.prepare(now, &e)
		}
	}
	return e
}

// which lists the members that are so, as they came.
func (g *Group) which(so func(*Member) bool) []*Member {
	return slices.DeleteFunc(g.Ordered(), func(m *Member) bool { return !so(m) })
}

// Next is when Tick has something to do; zero: never.
func (g *Group) Next() time.Time {
	var next time.Time
	earlier := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for _, at := range g.pending {
		earlier(at)
	}
	unsynced := false
	for _, m := range g.Members {
		if m.join == nil && m.sync == nil {
			earlier(m.deadline)
		}
		unsynced = unsynced || m.unsynced
	}
	if g.State == PreparingRebalance || g.State == CompletingRebalance || g.State == Stable && unsynced {
		earlier(g.deadline)
	}
	return next
}

// Ordered lists the members as they came.
func (g *Group) Ordered() []*Member {
	out := make([]*Member, 0, len(g.order))
	for _, id := range g.order {
		out = append(out, g.Members[id])
	}
	return out
}

// Metadata is a member's subscription for the group's protocol.
func (g *Group) Metadata(m *Member) []byte {
	for _, p := range m.Protocols {
		if p.Name == g.Protocol {
			return p.Metadata
		}
	}
	return nil
}

// maxRebalance is the longest that a member needs to come back.
func (g *Group) maxRebalance() time.Duration {
	var d time.Duration
	for _, m := range g.Members {
		d = max(d, m.RebalanceTimeout)
	}
	return d
}

// makeID is a member id of Kafka's form: the client's name, or the instance's, and something random.
func makeID(clientID string, instance *string, newID func() string) string {
	prefix := clientID
	if instance != nil {
		prefix = *instance
	}
	return fmt.Sprintf("%s-%s", cmp.Or(prefix, "member"), newID())
}

// Expects tells whether somebody was given an id and has not joined with it.
func (g *Group) Expects() bool { return len(g.pending) > 0 }
