package group

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A stream of newcomers closer than the delay must not put off the first generation beyond a member's patience.
func TestInitialDelayIsBounded(t *testing.T) {
	g := New("g", Config{InitialDelay: 3 * time.Second, MaxSize: 1 << 30}, seq())
	now := start
	for i := 0; now.Sub(start) < 5*time.Minute; i++ {
		j := join(fmt.Sprint("j", i), "", nil, "s") // rebalance timeout 20 s
		for n := g.Next(); !n.IsZero() && !n.After(now); n = g.Next() {
			if e := g.Tick(now); len(e.Answers) > 0 {
				t.Logf("answered after %s", now.Sub(start))
				return
			}
		}
		g.Join(now, j)
		now = now.Add(2 * time.Second)
	}
	t.Fatalf("the first member joined with a rebalance timeout of 20 s and waits since %s; state %s, %d members", now.Sub(start), g.State, len(g.Members))
}

// A static member's metadata carries what it owned; restarted it owns nothing. Kafka: no rebalance while the vote stays.
func TestStaticRestartWithOtherOwnedPartitions(t *testing.T) {
	g := newGroup()
	x, y := "x", "y"
	settle(t, g, &x, &y)
	g.Join(start, join("back", "", &y, "the same topics, nothing owned"))
	if g.State != Stable {
		t.Errorf("state %s: rebalance for a static member whose protocol vote did not change", g.State)
	}
}

// After a load only the chosen protocol is known; a static member comes back with its whole list.
func TestStaticRestartAfterTheBrokers(t *testing.T) {
	g := newGroup()
	x := "x"
	g.State, g.Generation, g.ProtocolType, g.Protocol, g.Leader = Stable, 3, "consumer", "range", "x-1"
	g.Restore(&Member{ID: "x-1", Instance: &x, SessionTimeout: 10 * time.Second, RebalanceTimeout: 20 * time.Second,
		Protocols: []Protocol{{"range", []byte("s")}}, Assignment: []byte("a")}, start)
	j := join("back", "", &x, "s")
	j.Protocols = append(j.Protocols, Protocol{"cooperative-sticky", []byte("s2")}) // Java's default list
	g.Join(start, j)
	if g.State != Stable {
		t.Errorf("state %s: a restart of the broker costs each static member a rebalance", g.State)
	}
}

// An answer that is given later must not change with the group.
func TestAnswersAreCopies(t *testing.T) {
	g := newGroup()
	g.Join(start, join("j0", "", nil, "old"))
	g.Join(start, join("j1", "", nil, "old"))
	e := g.Tick(g.Next())
	leader, other := e.Answers[0].Join, e.Answers[1].Join.MemberID
	g.Join(start, join("again", other, nil, "new"))
	for _, m := range leader.Members {
		if got := string(m.Protocols[0].Metadata); got != "old" {
			t.Errorf("the leader's answer of generation %d now says %q for %s", leader.Generation, got, m.ID)
		}
	}
}

// A static member that is silent and has no patience must not make the timer spin.
func TestNoSpin(t *testing.T) {
	g := newGroup()
	x := "x"
	for i, in := range []*string{&x, nil} {
		j := join(fmt.Sprint("j", i), "", in, "s")
		j.RebalanceTimeout = 0
		g.Join(start, j)
	}
	e := g.Tick(g.Next())
	ids := []string{e.Answers[0].Join.MemberID, e.Answers[1].Join.MemberID}
	g.Sync(start, Sync{Token: "l", MemberID: ids[0], Generation: 1})
	if _, err := g.Leave(start, ids[1], nil); err != nil {
		t.Fatal(err)
	}
	now := start.Add(time.Second)
	for range 1000 {
		g.Tick(now)
		if n := g.Next(); n.IsZero() || n.After(now) {
			return
		}
	}
	t.Errorf("1000 ticks and the next one is due at once: state %s, next %s", g.State, g.Next().Sub(now))
}

func seq() func() string { n := 0; return func() string { n++; return fmt.Sprint(n) } }

// What a member subscribes to is what every version of a subscription begins with: some clients write the number of a
// later version and leave out what it added.
func TestSubscribedByTheBeginning(t *testing.T) {
	v := kmsg.NewConsumerMemberMetadata()
	v.Topics = []string{"t"}
	v.Version = 3
	whole := v.AppendTo(nil)
	v.Version = 0
	short := v.AppendTo(nil)
	short[1] = 3
	future := slices.Clone(short)
	future[0], future[1] = 9, 9
	for name, metadata := range map[string][]byte{"whole": whole, "short": short, "future": future} {
		g := newGroup()
		g.State, g.Generation, g.ProtocolType, g.Protocol, g.Leader = Stable, 3, "consumer", "range", "x-1"
		g.Restore(&Member{ID: "x-1", SessionTimeout: 10 * time.Second, Protocols: []Protocol{{"range", metadata}}}, start)
		if !g.Subscribed("t") || g.Subscribed("u") {
			t.Errorf("%s: t %v, u %v", name, g.Subscribed("t"), g.Subscribed("u"))
		}
	}
}
