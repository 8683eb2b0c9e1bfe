package quota

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/meta"
	"pgregory.net/rapid"
)

var start = time.Unix(1_700_000_000, 0)

func name(s string) meta.QuotaName {
	switch s {
	case "":
		return meta.QuotaName{}
	case "*":
		return meta.QuotaName{Set: true, Default: true}
	default:
		return meta.QuotaName{Set: true, Name: s}
	}
}

// manager has quotas written as user/client or, with an address, @ip.
func manager(t testing.TB, quota string, rules map[string]float64) *Manager {
	t.Helper()
	image := meta.NewImage()
	for rule, limit := range rules {
		e := meta.QuotaEntity{}
		if rule[0] == '@' {
			e.IP = name(rule[1:])
		} else {
			var user, client string
			for i := range rule {
				if rule[i] == '/' {
					user, client = rule[:i], rule[i+1:]
				}
			}
			e.User, e.ClientID = name(user), name(client)
		}
		recs, err := meta.AlterQuotas(image, e, []meta.QuotaChange{{Name: quota, Value: limit}})
		if err != nil {
			t.Fatal(err)
		}
		image = image.Apply(recs...)
	}
	m := &Manager{}
	m.Follow(image)
	return m
}

// TestPrecedence takes the rules away one by one, from the most specific: the next holds, and says who shares its meter.
func TestPrecedence(t *testing.T) {
	order := []struct {
		rule string
		who  scope
	}{
		{"u/c", scope{Produce, "u", "c"}}, {"u/*", scope{Produce, "u", "c"}}, {"u/", scope{Produce, "u", ""}},
		{"*/c", scope{Produce, "u", "c"}}, {"*/*", scope{Produce, "u", "c"}}, {"*/", scope{Produce, "u", ""}},
		{"/c", scope{Produce, "", "c"}}, {"/*", scope{Produce, "", "c"}},
	}
	rules := map[string]float64{"v/": 1000, "/d": 1001}
	for i, r := range order {
		rules[r.rule] = float64(i + 1)
	}
	for i, r := range order {
		limit, who, ok := manager(t, meta.ProducerByteRate, rules).limits.Load().find(Produce, "u", "c")
		if !ok || limit != float64(i+1) || who != r.who {
			t.Errorf("with %v: %v %+v %v", rules, limit, who, ok)
		}
		delete(rules, r.rule)
	}
	m := manager(t, meta.ProducerByteRate, rules)
	if _, _, ok := m.limits.Load().find(Produce, "u", "c"); ok {
		t.Error("a quota of somebody else holds")
	}
	if m.Limited(Fetch) || !m.Limited(Produce) {
		t.Error("limited")
	}
}

// TestWaitBringsTheRateDown: after the wait, the average since the start of the window is the quota.
func TestWaitBringsTheRateDown(t *testing.T) {
	m := manager(t, meta.ProducerByteRate, map[string]float64{"/*": 1000})
	if wait := m.Use(Produce, "u", "c", 10_000, start); wait != 0 {
		t.Errorf("ten seconds' worth waits %s", wait)
	}
	if wait := m.Use(Produce, "u", "c", 5_000, start); wait != 5*time.Second {
		t.Errorf("five more wait %s", wait)
	}
	if wait := m.Use(Produce, "v", "c", 0, start.Add(2*time.Second)); wait != 5*time.Second {
		t.Errorf("another user of the client id, whose window still begins as early, waits %s", wait)
	}
	if wait := m.Use(Produce, "u", "d", 10_000, start); wait != 0 {
		t.Errorf("another client waits %s", wait)
	}
	if wait := m.Use(Produce, "u", "c", 0, start.Add(12*time.Second)); wait != 0 {
		t.Errorf("an empty window waits %s", wait)
	}
	if wait := m.Use(Fetch, "u", "c", 1e9, start); wait != 0 {
		t.Errorf("another quota makes wait %s", wait)
	}
	if most, ok := m.Most(Produce, "u", "c"); !ok || most != 10_000 {
		t.Errorf("most %v %v", most, ok)
	}
}

// TestRateIsHeld: a client that always waits for as long as it is told uses a window's worth and one request in a window.
func TestRateIsHeld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := float64(rapid.IntRange(1, 1000).Draw(t, "limit"))
		m := &Manager{}
		m.Follow(meta.NewImage().Apply(meta.QuotaSet{Entity: meta.QuotaEntity{ClientID: name("*")}, Name: meta.ProducerByteRate, Value: limit}))
		now, used := start, 0.0
		for range 300 {
			amount := float64(rapid.IntRange(0, int(limit)).Draw(t, "amount"))
			used += amount
			now = now.Add(m.Use(Produce, "", "c", amount, now))
			now = now.Add(time.Duration(rapid.IntRange(0, 50).Draw(t, "pause")) * time.Millisecond)
			windows := 1 + now.Sub(start).Seconds()/(samples-1)
			most := limit * samples * windows
			if used > most {
				t.Fatalf("used %v of %v after %s", used, most, now.Sub(start))
			}
		}
	})
}

// TestClientsHaveCountersOfTheirOwn: neither another kind of use nor a name that looks like two others put together counts.
func TestClientsHaveCountersOfTheirOwn(t *testing.T) {
	all := meta.QuotaEntity{User: name("*"), ClientID: name("*")}
	m := &Manager{}
	m.Follow(meta.NewImage().Apply(
		meta.QuotaSet{Entity: all, Name: meta.ProducerByteRate, Value: 1}, meta.QuotaSet{Entity: all, Name: meta.ConsumerByteRate, Value: 1},
	))
	if wait := m.Use(Produce, "ab", "c", 20, start); wait != 10*time.Second {
		t.Errorf("waits %s", wait)
	}
	if wait := m.Use(Produce, "a", "bc", 1, start); wait != 0 {
		t.Errorf("another user with another client id waits %s", wait)
	}
	if wait := m.Use(Fetch, "ab", "c", 1, start); wait != 0 {
		t.Errorf("who has produced too much waits %s to fetch", wait)
	}
	if wait := m.Use(Produce, "ab", "c", 1e12, start); wait != maxWait {
		t.Errorf("waits %s, where nobody should wait for longer than %s", wait, maxWait)
	}
	if n := m.throttled[Produce].Load(); n != 2 || m.throttled[Fetch].Load() != 0 {
		t.Errorf("%d waits are counted", n)
	}
}

// TestTheClockMayGoBack: a second that is over stays so, and nobody is charged for it twice.
func TestTheClockMayGoBack(t *testing.T) {
	m := manager(t, meta.ProducerByteRate, map[string]float64{"/*": 1})
	m.Use(Produce, "", "c", 10, start)
	if wait := m.Use(Produce, "", "c", 5, start.Add(-3*time.Second)); wait != 5*time.Second {
		t.Errorf("waits %s", wait)
	}
	if wait := m.Use(Produce, "", "c", 0, start.Add(11*time.Second)); wait != 0 {
		t.Errorf("waits %s when the window has gone by", wait)
	}
}

// TestRate: what is counted against one limit, such as the connections of a whole broker.
func TestRate(t *testing.T) {
	var r Rate
	if wait := r.Add(10, 1, start); wait != 0 {
		t.Errorf("ten seconds' worth waits %s", wait)
	}
	if wait := r.Add(3, 1, start); wait != 3*time.Second {
		t.Errorf("three more wait %s", wait)
	}
	if wait := r.Add(0, 0, start); wait != time.Second {
		t.Errorf("a limit of nothing waits %s, and is asked for again then", wait)
	}
}

func TestRequestsWaitASecondAtMost(t *testing.T) {
	m := manager(t, meta.RequestPercentage, map[string]float64{"u/": 1})
	if wait := m.Use(Request, "u", "", 10_000, start); wait != time.Second {
		t.Error(wait)
	}
}

// TestMutations: eleven seconds' worth at once, then refused until the debt is paid; forced ones go deeper into debt.
func TestMutations(t *testing.T) {
	m := manager(t, meta.ControllerMutationRate, map[string]float64{"u/": 2})
	if wait, ok := m.Mutate("u", "c", 30, false, start); !ok || wait != 4*time.Second {
		t.Errorf("the first: %s %v", wait, ok)
	}
	if wait, ok := m.Mutate("u", "c", 1, false, start.Add(time.Second)); ok || wait != 3*time.Second {
		t.Errorf("in debt: %s %v", wait, ok)
	}
	if wait, ok := m.Mutate("u", "c", 2, true, start.Add(time.Second)); !ok || wait != 4*time.Second {
		t.Errorf("forced: %s %v", wait, ok)
	}
	if wait, ok := m.Mutate("u", "c", 1, false, start.Add(5*time.Second)); !ok || wait != 500*time.Millisecond {
		t.Errorf("paid: %s %v", wait, ok)
	}
	if wait, ok := m.Mutate("v", "c", 1000, false, start); !ok || wait != 0 {
		t.Errorf("without a quota: %s %v", wait, ok)
	}
	if n := m.throttled[Mutation].Load(); n != 4 {
		t.Errorf("%d waits are counted", n)
	}
	if wait, ok := (&Manager{}).Mutate("u", "c", 1000, false, start); !ok || wait != 0 {
		t.Errorf("without any quota: %s %v", wait, ok)
	}
}

func TestConnections(t *testing.T) {
	m := manager(t, meta.ConnectionCreationRate, map[string]float64{"@10.0.0.1": 1, "@*": 2})
	count := func(ip string) (n int) {
		for range 50 {
			if wait, ok := m.Connect(ip, start); ok {
				n++
			} else if wait <= 0 || wait > time.Second {
				t.Errorf("%s waits %s", ip, wait)
			}
		}
		return n
	}
	if a, b, c := count("10.0.0.1"), count("10.0.0.2"), count("10.0.0.3"); a != 10 || b != 20 || c != 20 {
		t.Error(a, b, c)
	}
	if n := m.throttled[Connection].Load(); n != 40+30+30 {
		t.Errorf("%d waits are counted", n)
	}
	if wait, ok := (&Manager{}).Connect("10.0.0.1", start); !ok || wait != 0 {
		t.Errorf("without any quota: %s %v", wait, ok)
	}
}

// TestRefusedConnectionsAreNotCounted: an address that tries all the time gets in as soon as one that waits.
func TestRefusedConnectionsAreNotCounted(t *testing.T) {
	m := manager(t, meta.ConnectionCreationRate, map[string]float64{"@10.0.0.1": 1})
	for range 10 {
		m.Connect("10.0.0.1", start)
	}
	for range 40 {
		if _, ok := m.Connect("10.0.0.1", start.Add(5*time.Second)); ok {
			t.Fatal("let in beyond the quota")
		}
	}
	if wait, ok := m.Connect("10.0.0.1", start.Add(11*time.Second)); !ok {
		t.Errorf("after the window it waits %s", wait)
	}
	if wait, ok := m.Connect("10.0.0.2", start); !ok || wait != 0 {
		t.Errorf("an address without a quota waits %s", wait)
	}
}

// TestManyClientsCostLittle: idle ones are forgotten, and too many at once share a counter, so that none goes free.
func TestManyClientsCostLittle(t *testing.T) {
	m := manager(t, meta.ProducerByteRate, map[string]float64{"/*": 1})
	now := start
	for i := range 3 * maxCounters {
		m.Use(Produce, "", fmt.Sprint(i), 1, now)
	}
	if n := len(m.counters); n > maxCounters+1 {
		t.Errorf("%d counters", n)
	}
	if wait := m.Use(Produce, "", "one more", 1, now); wait <= 0 {
		t.Error("who comes last goes free")
	}
	now = now.Add(time.Minute)
	m.Use(Produce, "", "later", 1, now)
	if n := len(m.counters); n > 2 {
		t.Errorf("%d counters a minute later", n)
	}
	m.Follow(meta.NewImage())
	if m.limits.Load() != nil || len(m.counters) != 0 {
		t.Error("quotas that are gone leave something behind")
	}
}

func TestNoQuotaCostsNothing(t *testing.T) {
	m := &Manager{}
	m.Follow(meta.NewImage())
	if n := testing.AllocsPerRun(100, func() { m.Use(Produce, "u", "c", math.MaxInt64, start) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
