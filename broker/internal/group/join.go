package group

import (
	"bytes"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Join is a member's wish to be in the next generation.
type Join struct {
	Token            any
	MemberID         string
	Instance         *string
	ClientID         string
	ClientHost       string
	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration
	ProtocolType     string
	Protocols        []Protocol
	KnownIDs         bool // version 4 on: a new member must come back with the id it was given (KIP-394)
	CanSkip          bool // version 9 on: a leader can be told not to assign (KIP-814)
}

// Join handles a join. The answer may come later.
func (g *Group) Join(now time.Time, j Join) Effects {
	var e Effects
	if err := g.admit(j); err != nil {
		e.fail(j.Token, err)
		return e
	}
	switch {
	case j.MemberID == "" && j.Instance != nil && g.static[*j.Instance] != "":
		g.replace(now, j, &e)
	case j.MemberID == "" && j.Instance == nil && j.KnownIDs:
		id := makeID(j.ClientID, nil, g.newID)
		g.pending[id] = now.Add(j.SessionTimeout)
		e.Answers = append(e.Answers, Answer{Token: j.Token, Err: kerr.MemberIDRequired, Join: &Joined{MemberID: id, Generation: -1}})
	case j.MemberID == "":
		g.add(now, makeID(j.ClientID, j.Instance, g.newID), j, &e)
	case j.Instance == nil && g.isPending(j.MemberID):
		delete(g.pending, j.MemberID)
		g.add(now, j.MemberID, j, &e)
	default:
		m, err := g.find(j.MemberID, j.Instance)
		if err != nil {
			e.fail(j.Token, err)
			return e
		}
		g.rejoin(now, m, j, &e)
	}
	return e
}

func (g *Group) isPending(id string) bool {
	_, ok := g.pending[id]
	return ok
}

// admit refuses what cannot be in this group whoever asks.
func (g *Group) admit(j Join) error {
	newcomer := g.Members[j.MemberID] == nil && (j.Instance == nil || g.static[*j.Instance] == "")
	switch {
	case g.State == Dead:
		return kerr.CoordinatorNotAvailable
	case g.State == PreparingRebalance && !newcomer && g.awaiting(j) >= g.cfg.MaxSize:
		return kerr.GroupMaxSizeReached // the group was made smaller: the first to come back stay
	case newcomer && len(g.Members)+len(g.pending) >= g.cfg.MaxSize && !g.isPending(j.MemberID):
		return kerr.GroupMaxSizeReached
	case j.ProtocolType == "" || len(j.Protocols) == 0:
		return kerr.InconsistentGroupProtocol
	case len(g.Members) == 0:
		return nil
	case j.ProtocolType != g.ProtocolType:
		return kerr.InconsistentGroupProtocol
	}
	for _, p := range j.Protocols {
		if g.allKnow(p.Name, j.MemberID) {
			return nil
		}
	}
	return kerr.InconsistentGroupProtocol
}

// awaiting is how many other members have joined the rebalance that is prepared.
func (g *Group) awaiting(j Join) int {
	return len(g.which(func(m *Member) bool {
		return m.join != nil && m.ID != j.MemberID && (j.Instance == nil || m.Instance == nil || *m.Instance != *j.Instance)
	}))
}

func (g *Group) allKnow(protocol, except string) bool {
	for _, m := range g.Members {
		if m.ID != except && !slices.ContainsFunc(m.Protocols, func(p Protocol) bool { return p.Name == protocol }) {
			return false
		}
	}
	return true
}

// add takes a new member in and rebalances.
func (g *Group) add(now time.Time, id string, j Join, e *Effects) {
	m := &Member{ID: id, Instance: j.Instance}
	m.update(now, j)
	if len(g.Members) == 0 {
		g.ProtocolType = j.ProtocolType
	}
	g.insert(m)
	m.join = j.Token
	if g.State != PreparingRebalance {
		g.prepare(now, e)
		return
	}
	if g.initial { // a new group waits a little for each newcomer, but not longer than anybody's patience
		g.deadline = minTime(now.Add(g.cfg.InitialDelay), g.latest)
	}
	g.tryComplete(now, e)
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (m *Member) update(now time.Time, j Join) {
	m.ClientID, m.ClientHost = j.ClientID, j.ClientHost
	m.SessionTimeout, m.RebalanceTimeout, m.Protocols = j.SessionTimeout, j.RebalanceTimeout, j.Protocols
	m.touch(now)
}

// rejoin handles a join of a member that is in.
func (g *Group) rejoin(now time.Time, m *Member, j Join, e *Effects) {
	same := sameProtocols(m.Protocols, j.Protocols)
	if (g.State == CompletingRebalance && same) || (g.State == Stable && same && m.ID != g.Leader) {
		m.touch(now) // it lost the answer, or asks without need: the generation goes on
		e.Answers = append(e.Answers, g.joined(m, j.Token))
		return
	}
	e.fail(m.join, kerr.RebalanceInProgress) // an older request of the same member
	m.update(now, j)
	m.join = j.Token
	if g.State != PreparingRebalance {
		g.prepare(now, e)
		return
	}
	g.tryComplete(now, e)
}

// replace lets a static member that was restarted take its old place (KIP-345).
func (g *Group) replace(now time.Time, j Join, e *Effects) {
	old := g.Members[g.static[*j.Instance]]
	e.fail(old.join, kerr.FencedInstanceID)
	e.fail(old.sync, kerr.FencedInstanceID)
	oldLeader, leads := g.Leader, g.Leader == old.ID
	m := &Member{ID: makeID(j.ClientID, j.Instance, g.newID), Instance: j.Instance, Assignment: old.Assignment}
	at := slices.Index(g.order, old.ID)
	g.forget(old)
	m.update(now, j)
	g.insert(m)
	g.order = slices.Insert(g.order[:len(g.order)-1], at, m.ID)
	if leads {
		g.Leader = m.ID
	}
	// Kafka's rule: nothing but the vote counts. What a member owned stands in its metadata, and after a restart it owns nothing.
	if g.State == Stable && g.vote() == g.Protocol {
		a := g.joined(m, j.Token)
		if leads && !j.CanSkip { // it would assign anew if it knew that it leads
			a.Join.Leader, a.Join.Members = oldLeader, nil
		}
		a.Join.SkipAssignment = leads && j.CanSkip
		e.Persist = true
		e.Answers = append(e.Answers, a)
		return
	}
	m.join = j.Token
	if g.State != PreparingRebalance {
		g.prepare(now, e)
		return
	}
	g.tryComplete(now, e)
}

func sameProtocols(a, b []Protocol) bool {
	return slices.EqualFunc(a, b, func(x, y Protocol) bool { return x.Name == y.Name && bytes.Equal(x.Metadata, y.Metadata) })
}

// prepare starts a rebalance: everybody must join again.
func (g *Group) prepare(now time.Time, e *Effects) {
	for _, m := range g.Members {
		e.fail(m.sync, kerr.RebalanceInProgress)
		m.sync = nil
	}
	g.initial = g.State == Empty && len(g.Members) > 0
	g.State = PreparingRebalance
	g.deadline = now.Add(g.maxRebalance())
	if g.initial {
		g.latest = now.Add(max(g.maxRebalance(), g.cfg.InitialDelay))
		g.deadline = now.Add(g.cfg.InitialDelay)
	}
	g.tryComplete(now, e)
}

// tryComplete ends the preparation as soon as all are there. A new group waits for its delay to pass.
func (g *Group) tryComplete(now time.Time, e *Effects) {
	if g.State != PreparingRebalance || g.initial && g.deadline.After(now) && len(g.Members) > 0 {
		return
	}
	for _, m := range g.Members {
		if m.join == nil {
			return
		}
	}
	if len(g.pending) == 0 || len(g.Members) == 0 {
		g.complete(now, e)
	}
}

// patience is the shortest wait for silent static members: a client may have said that it has none.
const patience = time.Second

// complete begins a generation with those who joined. Static members may be late: their session decides.
func (g *Group) complete(now time.Time, e *Effects) {
	g.initial = false
	for _, id := range slices.Clone(g.order) {
		if m := g.Members[id]; m.join == nil && m.Instance == nil {
			g.forget(m)
		}
	}
	joined := g.which(func(m *Member) bool { return m.join != nil })
	if len(joined) == 0 && len(g.Members) > 0 { // only silent static members: wait on
		g.deadline = now.Add(max(g.maxRebalance(), patience))
		return
	}
	g.Generation++
	if len(g.Members) == 0 {
		g.State, g.Protocol, g.Leader = Empty, "", ""
		e.Persist = true
		return
	}
	if l := g.Members[g.Leader]; l == nil || l.join == nil {
		g.Leader = joined[0].ID
	}
	g.Protocol = g.vote()
	g.State = CompletingRebalance
	g.deadline = now.Add(g.maxRebalance())
	for _, m := range joined {
		e.Answers = append(e.Answers, g.joined(m, m.join))
		m.join, m.unsynced = nil, true
		m.touch(now)
	}
}

// joined is the answer for one member of the current generation.
func (g *Group) joined(m *Member, token any) Answer {
	j := &Joined{MemberID: m.ID, Generation: g.Generation, ProtocolType: g.ProtocolType, Protocol: g.Protocol, Leader: g.Leader}
	if m.ID == g.Leader {
		for _, m := range g.Ordered() {
			c := *m
			j.Members = append(j.Members, &c)
		}
	}
	return Answer{Token: token, Join: j}
}

// vote picks the protocol that most members prefer among those that all know.
func (g *Group) vote() string {
	votes := map[string]int{}
	best := ""
	for _, m := range g.Ordered() {
		for _, p := range m.Protocols {
			if g.allKnow(p.Name, "") {
				votes[p.Name]++
				if best == "" || votes[p.Name] > votes[best] {
					best = p.Name
				}
				break
			}
		}
	}
	return best
}

// Sync is a member's wish for its assignment; the leader brings everybody's.
type Sync struct {
	Token        any
	MemberID     string
	Instance     *string
	Generation   int32
	ProtocolType string // empty: not said
	Protocol     string // empty: not said
	Assignments  map[string][]byte
}

// Sync handles a sync. The answer comes when the leader's assignment is there.
func (g *Group) Sync(now time.Time, s Sync) Effects {
	var e Effects
	m, err := g.find(s.MemberID, s.Instance)
	switch {
	case err != nil:
	case s.Generation != g.Generation:
		err = kerr.IllegalGeneration
	case s.ProtocolType != "" && s.ProtocolType != g.ProtocolType || s.Protocol != "" && s.Protocol != g.Protocol:
		err = kerr.InconsistentGroupProtocol
	case g.State == PreparingRebalance:
		err = kerr.RebalanceInProgress
	case g.State == Empty || g.State == Dead:
		err = kerr.UnknownMemberID
	}
	if err != nil {
		e.fail(s.Token, err)
		return e
	}
	m.touch(now)
	m.unsynced = false
	if g.State == Stable {
		e.Answers = append(e.Answers, g.synced(m, s.Token))
		return e
	}
	e.fail(m.sync, kerr.RebalanceInProgress) // an older request of the same member
	m.sync = s.Token
	if m.ID != g.Leader {
		return e
	}
	g.State = Stable
	e.Persist = true
	for _, m := range g.Ordered() {
		m.Assignment = s.Assignments[m.ID]
		if m.sync != nil {
			e.Answers = append(e.Answers, g.synced(m, m.sync))
			m.sync = nil
			m.touch(now)
		}
	}
	return e
}

func (g *Group) synced(m *Member, token any) Answer {
	return Answer{Token: token, Sync: &Synced{ProtocolType: g.ProtocolType, Protocol: g.Protocol, Assignment: m.Assignment}}
}
