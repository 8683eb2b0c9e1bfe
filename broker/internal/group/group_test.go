package group

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

var start = time.UnixMilli(1_700_000_000_000)

func newGroup() *Group {
	n := 0
	return New("g", Config{InitialDelay: 50 * time.Millisecond, MaxSize: 5}, func() string { n++; return fmt.Sprint(n) })
}

func join(token, id string, instance *string, metadata string) Join {
	return Join{
		Token: token, MemberID: id, Instance: instance, ClientID: "c", SessionTimeout: 10 * time.Second, RebalanceTimeout: 20 * time.Second,
		ProtocolType: "consumer", Protocols: []Protocol{{Name: "range", Metadata: []byte(metadata)}}, CanSkip: true,
	}
}

// one expects exactly one answer.
func one(t *testing.T, e Effects) Answer {
	t.Helper()
	if len(e.Answers) != 1 {
		t.Fatalf("%d answers: %+v", len(e.Answers), e.Answers)
	}
	return e.Answers[0]
}

func TestANewMemberMustKnowItsID(t *testing.T) {
	g := newGroup()
	j := join("a", "", nil, "s")
	j.KnownIDs = true
	a := one(t, g.Join(start, j))
	if !errors.Is(a.Err, kerr.MemberIDRequired) || a.Join.MemberID == "" {
		t.Fatalf("%+v", a)
	}
	j.MemberID = a.Join.MemberID
	if e := g.Join(start, j); len(e.Answers) != 0 {
		t.Fatal("the first join waits for others")
	}
	if a := one(t, g.Tick(g.Next())); a.Join.Generation != 1 || a.Join.Leader != j.MemberID || len(a.Join.Members) != 1 {
		t.Fatalf("%+v", a.Join)
	}
	if a := one(t, g.Join(start, join("x", "nobody", nil, "s"))); !errors.Is(a.Err, kerr.UnknownMemberID) {
		t.Errorf("%v", a.Err)
	}
}

// settle brings two members into a stable generation and returns their ids, the leader first.
func settle(t *testing.T, g *Group, instances ...*string) (ids []string) {
	t.Helper()
	for i, instance := range instances {
		g.Join(start, join(fmt.Sprint("j", i), "", instance, "s"))
	}
	e := g.Tick(g.Next())
	if len(e.Answers) != len(instances) {
		t.Fatalf("%+v", e.Answers)
	}
	assignments := map[string][]byte{}
	for _, a := range e.Answers {
		ids = append(ids, a.Join.MemberID)
		assignments[a.Join.MemberID] = []byte(a.Join.MemberID)
	}
	for i := len(ids) - 1; i >= 0; i-- {
		s := Sync{Token: fmt.Sprint("s", i), MemberID: ids[i], Generation: g.Generation}
		if i == 0 {
			s.Assignments = assignments
		}
		e = g.Sync(start, s)
	}
	if len(e.Answers) != len(instances) || !e.Persist || g.State != Stable {
		t.Fatalf("%+v", e)
	}
	return ids
}

func TestAFollowerMayAskAgainTheLeaderRebalances(t *testing.T) {
	g := newGroup()
	ids := settle(t, g, nil, nil)
	if a := one(t, g.Join(start, join("again", ids[1], nil, "s"))); a.Join.Generation != 1 {
		t.Errorf("%+v", a)
	}
	if e := g.Join(start, join("leader", ids[0], nil, "s")); len(e.Answers) != 0 || g.State != PreparingRebalance {
		t.Errorf("%+v %s", e, g.State)
	}
	if err := g.Heartbeat(start, ids[1], nil, 1); !errors.Is(err, kerr.RebalanceInProgress) {
		t.Error(err)
	}
	if e := g.Join(start, join("follower", ids[1], nil, "s")); len(e.Answers) != 2 || g.Generation != 2 {
		t.Errorf("%+v", e)
	}
}

func TestSilentMembersAreDropped(t *testing.T) {
	g := newGroup()
	ids := settle(t, g, nil, nil)
	if err := g.Heartbeat(start.Add(9*time.Second), ids[0], nil, 1); err != nil {
		t.Fatal(err)
	}
	g.Tick(start.Add(11 * time.Second)) // the other one's session ends
	if len(g.Members) != 1 || g.State != PreparingRebalance {
		t.Fatalf("%d members, %s", len(g.Members), g.State)
	}
	g.Tick(g.Next()) // and the first does not come back
	g.Tick(g.Next())
	if g.State != Empty || len(g.Members) != 0 {
		t.Errorf("%d members, %s", len(g.Members), g.State)
	}
}

func TestStaticMemberTakesItsPlace(t *testing.T) {
	g := newGroup()
	x, y := "x", "y"
	ids := settle(t, g, &x, &y)
	e := g.Join(start, join("back", "", &x, "s"))
	a := one(t, e)
	if a.Join == nil || a.Join.Generation != 1 || !a.Join.SkipAssignment || a.Join.MemberID == ids[0] || !e.Persist {
		t.Fatalf("%+v", a)
	}
	if err := g.Heartbeat(start, ids[0], &x, 1); !errors.Is(err, kerr.FencedInstanceID) {
		t.Errorf("the old one: %v", err)
	}
	s := one(t, g.Sync(start, Sync{Token: "s", MemberID: a.Join.MemberID, Instance: &x, Generation: 1}))
	if string(s.Sync.Assignment) != ids[0] {
		t.Errorf("it gets the assignment of its predecessor, not %q", s.Sync.Assignment)
	}
	if a := one(t, g.Join(start, join("new", "", &y, "other"))); a.Join == nil || g.State != Stable {
		t.Errorf("another subscription waits for the next rebalance, as in Kafka: %+v %s", a, g.State)
	}
}

func TestRefusals(t *testing.T) {
	g := newGroup()
	ids := settle(t, g, nil, nil)
	bad := join("p", "", nil, "s")
	bad.Protocols[0].Name = "other"
	if a := one(t, g.Join(start, bad)); !errors.Is(a.Err, kerr.InconsistentGroupProtocol) {
		t.Error(a.Err)
	}
	for _, c := range []struct {
		got, want error
	}{
		{g.Heartbeat(start, ids[0], nil, 7), kerr.IllegalGeneration},
		{g.Heartbeat(start, "nobody", nil, 1), kerr.UnknownMemberID},
		{g.Commit(start, Claim{Member: ids[0], Epoch: 1}), nil},
		{g.Commit(start, Claim{Member: ids[0]}), kerr.IllegalGeneration},
		{g.Commit(start, Claim{Epoch: -1}), kerr.UnknownMemberID},
		{newGroup().Commit(start, Claim{Epoch: -1}), nil},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%v, want %v", c.got, c.want)
		}
	}
	for i := range 3 {
		g.Join(start, join(fmt.Sprint("more", i), "", nil, "s"))
	}
	e := g.Join(start, join("full", "", nil, "s"))
	if a := e.Answers[len(e.Answers)-1]; !errors.Is(a.Err, kerr.GroupMaxSizeReached) {
		t.Error(a.Err)
	}
}

// TestEveryRequestIsAnsweredOnce lets members do anything at any time, and holds the group to its promises.
func TestEveryRequestIsAnsweredOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, now, tokens := newGroup(), start, 0
		open := map[string]time.Time{} // requests without an answer, and since when
		ids := []string{"", "nobody"}
		instances := []*string{nil, nil, new(string), new(string)}
		*instances[2], *instances[3] = "x", "y"
		token := func() string { tokens++; return fmt.Sprint(tokens) }
		take := func(e Effects) {
			for _, a := range e.Answers {
				id := a.Token.(string)
				if _, ok := open[id]; !ok {
					t.Fatalf("request %s is answered twice or never asked", id)
				}
				delete(open, id)
				if a.Join != nil {
					ids = append(ids, a.Join.MemberID)
				}
				if a.Sync != nil && g.State != Stable {
					t.Fatalf("an assignment in state %s", g.State)
				}
			}
		}
		pick := func() (string, *string) {
			return rapid.SampledFrom(ids).Draw(t, "id"), rapid.SampledFrom(instances).Draw(t, "instance")
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				id, instance := pick()
				j := join(token(), id, instance, rapid.SampledFrom([]string{"s", "t"}).Draw(t, "metadata"))
				j.KnownIDs = rapid.Bool().Draw(t, "known")
				open[j.Token.(string)] = now
				take(g.Join(now, j))
			},
			"sync": func(t *rapid.T) {
				id, instance := pick()
				s := Sync{Token: token(), MemberID: id, Instance: instance, Generation: g.Generation}
				open[s.Token.(string)] = now
				take(g.Sync(now, s))
			},
			"leave": func(*rapid.T) {
				e, _ := g.Leave(now, rapid.SampledFrom(ids).Draw(t, "id"), nil)
				take(e)
			},
			"heartbeat": func(*rapid.T) {
				id, instance := pick()
				_ = g.Heartbeat(now, id, instance, g.Generation)
			},
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 12000).Draw(t, "ms")) * time.Millisecond)
				for next := g.Next(); !next.IsZero() && !next.After(now); next = g.Next() {
					take(g.Tick(now))
				}
			},
			"": func(t *rapid.T) {
				for id, since := range open {
					if now.Sub(since) > time.Minute {
						t.Fatalf("request %s waits since %s in state %s", id, now.Sub(since), g.State)
					}
				}
				if len(g.Members) == 0 && (g.State == Stable || g.State == CompletingRebalance) || g.State == Empty && len(g.Members) > 0 {
					t.Fatalf("%s with %d members", g.State, len(g.Members))
				}
				if g.State == Stable && g.Members[g.Leader] == nil {
					t.Fatal("stable without a leader")
				}
			},
		})
	})
}
