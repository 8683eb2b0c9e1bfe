package group

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// world is the topics of a story. An id is the name, and how often there was a topic of that name before.
type world struct {
	partitions map[string]int32
	before     map[string]byte
	version    int
}

func (w *world) Version() any { return w.version }

func (w *world) Find(name string) (TopicID, int32) {
	if w.partitions[name] == 0 {
		return TopicID{}, 0
	}
	var id TopicID
	copy(id[:], name)
	id[15] = w.before[name]
	return id, w.partitions[name]
}

func nameOf(id TopicID) string { return strings.TrimRight(string(id[:15]), "\x00") }

func (w *world) Name(id TopicID) string {
	name := nameOf(id)
	if now, _ := w.Find(name); now != id {
		return ""
	}
	return name
}

func (w *world) Names() []string { return slices.Sorted(maps.Keys(w.partitions)) }

func (w *world) set(name string, partitions int32) {
	if w.partitions == nil {
		w.partitions, w.before = map[string]int32{}, map[string]byte{}
	}
	if partitions == 0 {
		if w.partitions[name] > 0 {
			w.before[name]++
		}
		delete(w.partitions, name)
	} else {
		w.partitions[name] = partitions
	}
	w.version++
}

func consumerConfig() Config {
	return Config{
		InitialDelay: 50 * time.Millisecond, MaxSize: 5,
		Consumer: ConsumerConfig{
			SessionTimeout: 45 * time.Second, Heartbeat: 5 * time.Second, MaxSize: 5,
			Assignors: []string{Uniform, Range}, Upgrade: true, Downgrade: true,
		},
	}
}

func all(string) bool { return true }

// scene is one group in a story, of whichever kind it is at the moment.
type scene struct {
	world
	now      time.Time
	consumer *Consumer
	classic  *Group
}

// TestScenes plays testdata: a command a step, with what the group answers, which records it asks for, and what it is.
func TestScenes(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if strings.Contains(path, "rapid") {
			return // where rapid keeps what a model has failed with
		}
		n := 0
		s := &scene{now: start, consumer: NewConsumer("g", consumerConfig(), func() string { n++; return fmt.Sprint(n) })}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.play(t, d) })
	})
}

func (s *scene) play(t *testing.T, d *datadriven.TestData) string {
	arg := func(name string) (string, bool) {
		for _, a := range d.CmdArgs {
			if a.Key == name && len(a.Vals) > 0 {
				return strings.Join(a.Vals, ","), true
			}
		}
		return "", false
	}
	text := func(name string) *string {
		if v, ok := arg(name); ok {
			return &v
		}
		return nil
	}
	number := func(name string, def int) int {
		v, ok := arg(name)
		if !ok {
			return def
		}
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatalf("%s: %v", d.Pos, err)
		}
		return n
	}
	who := ""
	if len(d.CmdArgs) > 0 && len(d.CmdArgs[0].Vals) == 0 {
		who = strings.Trim(d.CmdArgs[0].Key, `"`)
	}
	switch d.Cmd {
	case "classic": // the group begins as a classic one
		cfg := consumerConfig()
		cfg.MaxSize = number("max", cfg.MaxSize)
		s.consumer, s.classic = nil, New("g", cfg, s.consumer.newID)
		return ""
	case "restart": // the group is made anew of what it was
		old, cfg := s.classic, s.classic.cfg
		cfg.MaxSize = number("max", cfg.MaxSize)
		s.classic = New("g", cfg, old.newID)
		s.classic.State, s.classic.Generation, s.classic.ProtocolType, s.classic.Protocol, s.classic.Leader = old.State, old.Generation, old.ProtocolType, old.Protocol, old.Leader
		for _, m := range old.Ordered() {
			s.classic.Restore(m, s.now)
		}
		s.classic.Restored(s.now)
		return ""
	case "config":
		c := &s.consumer.cfg.Consumer
		c.MaxSize = number("max", c.MaxSize)
		c.Upgrade, c.Downgrade = number("upgrade", 1) == 1, number("downgrade", 1) == 1
		return ""
	case "topics":
		for _, a := range d.CmdArgs {
			n, _ := strconv.Atoi(a.Vals[0])
			s.set(a.Key, int32(n))
		}
		return ""
	case "beat":
		b := Beat{
			Token: who, Member: who, Epoch: int32(number("epoch", 0)), Instance: text("instance"), Rack: text("rack"), RebalanceTimeout: -1,
			Regex: text("regex"), Assignor: text("assignor"), ClientID: "c", ClientHost: "/h", OwnID: true, Visible: all,
		}
		if v, ok := arg("topics"); ok {
			b.Topics = strings.FieldsFunc(v, func(r rune) bool { return r == ',' })
			if b.Topics == nil {
				b.Topics = []string{}
			}
		}
		if v, ok := arg("owned"); ok {
			b.Owned = s.partitionsOf(v)
		}
		if b.Epoch == 0 {
			b.RebalanceTimeout, b.Owned = 30*time.Second, []TopicPartition{}
		}
		if err := b.Check(consumerConfig()); err != nil {
			return s.told(Effects{Answers: []Answer{{Token: who, Err: err}}})
		}
		if s.classic != nil {
			c, e := s.classic.Upgrade(s.now, s, b)
			if c != nil {
				s.consumer, s.classic = c, nil
			}
			return s.told(e)
		}
		return s.told(s.consumer.Heartbeat(s.now, s, b))
	case "join":
		name, _ := arg("protocol")
		if name == "" {
			name = "range"
		}
		v := kmsg.NewConsumerMemberMetadata()
		v.Version = 1
		if topics, ok := arg("topics"); ok {
			v.Topics = strings.Split(topics, ",")
		}
		if owned, ok := arg("owned"); ok {
			for _, p := range s.partitionsOf(owned) {
				v.OwnedPartitions = append(v.OwnedPartitions, kmsg.ConsumerMemberMetadataOwnedPartition{Topic: s.Name(p.Topic), Partitions: []int32{p.Index}})
			}
		}
		id, _ := arg("as")
		kind := "consumer"
		if v, ok := arg("type"); ok {
			kind = v
		}
		var protocols []Protocol
		for p := range strings.SplitSeq(name, ",") {
			protocols = append(protocols, Protocol{p, v.AppendTo(nil)})
		}
		j := Join{
			Token: who, MemberID: id, Instance: text("instance"), ClientID: who, ClientHost: "/h", SessionTimeout: 10 * time.Second,
			RebalanceTimeout: 20 * time.Second, ProtocolType: kind, Protocols: protocols, KnownIDs: number("known", 0) == 1,
			CanSkip: number("skip", 1) == 1,
		}
		if s.classic != nil {
			return s.told(s.classic.Join(s.now, j))
		}
		return s.told(s.consumer.Join(s.now, s, j))
	case "sync":
		y := Sync{Token: who, MemberID: who, Instance: text("instance"), Generation: int32(number("epoch", 0)), Assignments: map[string][]byte{}}
		if p := text("protocol"); p != nil {
			y.Protocol = *p
		}
		for line := range strings.Lines(d.Input) {
			id, list, _ := strings.Cut(strings.TrimSpace(line), " ")
			y.Assignments[id] = writeAssignment(s, 1, s.partitionsOf(list))
		}
		if s.classic != nil {
			return s.told(s.classic.Sync(s.now, y))
		}
		return s.told(s.consumer.Sync(s.now, s, y))
	case "heartbeat":
		if s.classic != nil {
			return s.verdict(s.classic.Heartbeat(s.now, who, text("instance"), int32(number("epoch", 0))))
		}
		e, err := s.consumer.ClassicHeartbeat(s.now, s, who, text("instance"), int32(number("epoch", 0)))
		return s.verdict(err) + s.told(e)
	case "leave":
		var e Effects
		var err error
		if s.classic != nil {
			e, err = s.classic.Leave(s.now, who, text("instance"))
		} else {
			e, err = s.consumer.Leave(s.now, s, who, text("instance"))
		}
		return s.told(e) + s.verdict(err)
	case "commit":
		old := number("old", 0) == 1
		partitions, _ := arg("of")
		claim := Claim{
			Member: who, Epoch: int32(number("epoch", -1)), KnowsEpochs: !old, Transactional: number("txn", 0) == 1, Partitions: s.partitionsOf(partitions),
		}
		if s.classic != nil {
			return s.verdict(s.classic.Commit(s.now, claim))
		}
		return s.verdict(s.consumer.Commit(claim))
	case "fetch":
		return s.verdict(s.consumer.Fetch(who, int32(number("epoch", -1))))
	case "time":
		d, err := time.ParseDuration(who)
		if err != nil {
			t.Fatal(err)
		}
		return s.pass(t, s.now.Add(d))
	case "show":
		return s.show()
	}
	t.Fatalf("%s: no command %s", d.Pos, d.Cmd)
	return ""
}

// pass lets time pass as coord does: the group is told of it when it has asked to be.
func (s *scene) pass(t *testing.T, until time.Time) string {
	var out strings.Builder
	for range 1000 {
		next := s.consumer.Next
		if s.classic != nil {
			next = s.classic.Next
		}
		at := next()
		if at.IsZero() || at.After(until) {
			s.now = until
			return out.String()
		}
		s.now = latest(s.now, at)
		if s.classic != nil {
			out.WriteString(s.told(s.classic.Tick(s.now)))
		} else {
			out.WriteString(s.told(s.consumer.Tick(s.now, s)))
		}
	}
	t.Fatalf("at %s the group still asks to be told the time", s.now)
	return ""
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// partitionsOf reads "a:0,a:1".
func (s *scene) partitionsOf(list string) []TopicPartition {
	out := []TopicPartition{}
	for _, w := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		name, index, _ := strings.Cut(w, ":")
		n, _ := strconv.Atoi(index)
		id, _ := s.Find(name)
		out = append(out, TopicPartition{id, int32(n)})
	}
	return out
}

func (s *scene) list(partitions []TopicPartition) string {
	var out []string
	for _, p := range partitions {
		out = append(out, fmt.Sprintf("%s:%d", nameOf(p.Topic), p.Index))
	}
	return "[" + strings.Join(out, " ") + "]"
}

func (s *scene) verdict(err error) string {
	var code *kerr.Error
	if !errors.As(err, &code) {
		return ""
	}
	if why := err.Error(); why != code.Error() {
		return code.Message + ": " + why + "\n"
	}
	return code.Message + "\n"
}

func (s *scene) told(e Effects) string {
	var b strings.Builder
	for _, a := range e.Answers {
		fmt.Fprintf(&b, "%v: %s", a.Token, s.verdict(a.Err))
		switch {
		case a.Beat != nil && a.Beat.Assignment == nil:
			fmt.Fprintf(&b, "%s is in epoch %d%s\n", a.Beat.Member, a.Beat.Epoch, when(a.Beat))
		case a.Beat != nil:
			fmt.Fprintf(&b, "%s is in epoch %d with %s%s\n", a.Beat.Member, a.Beat.Epoch, s.list(a.Beat.Assignment), when(a.Beat))
		case a.Join != nil:
			fmt.Fprintf(&b, "%s is in generation %d, protocol %s, leader %q", a.Join.MemberID, a.Join.Generation, a.Join.Protocol, a.Join.Leader)
			if a.Join.SkipAssignment {
				b.WriteString(", need not assign")
			}
			for i, m := range a.Join.Members {
				b.WriteString([]string{", of ", " "}[min(i, 1)] + m.ID)
			}
			b.WriteString("\n")
		case a.Sync != nil:
			has, _, _ := readAssignment(s, a.Sync.Assignment)
			fmt.Fprintf(&b, "assigned %s\n", s.list(has))
		}
	}
	names := []string{"epoch", "regex", "member", "target-epoch", "target", "current"}
	var changes []string
	for _, ch := range e.Changes {
		word := names[ch.Kind]
		if ch.Name != "" {
			word += " " + ch.Name
		}
		if ch.Gone {
			word = "no " + word
		}
		changes = append(changes, word)
	}
	if e.Persist {
		changes = append(changes, "classic group")
	}
	if len(changes) > 0 {
		fmt.Fprintf(&b, "records: %s\n", strings.Join(changes, ", "))
	}
	if e.Became != nil {
		s.consumer, s.classic = nil, e.Became
		b.WriteString("the group is classic now\n")
	}
	return b.String()
}

// when is how soon a member shall call again, where that is not the usual.
func when(b *Beaten) string {
	if b.Interval == 0 || b.Interval == consumerConfig().Consumer.Heartbeat {
		return ""
	}
	return fmt.Sprintf(", and calls in %s", b.Interval)
}

func (s *scene) show() string {
	var b strings.Builder
	if s.classic != nil {
		fmt.Fprintf(&b, "classic, %s, generation %d, protocol %q\n", s.classic.State, s.classic.Generation, s.classic.Protocol)
		for _, m := range s.classic.Ordered() {
			has, _, _ := readAssignment(s, m.Assignment)
			fmt.Fprintf(&b, "  %s %s\n", m.ID, s.list(has))
		}
		return b.String()
	}
	c := s.consumer
	fmt.Fprintf(&b, "%s, epoch %d, target of epoch %d, %s\n", c.State(), c.Epoch, c.TargetEpoch, c.Assignor())
	states := map[MemberState]string{MemberStable: "stable", MemberUnrevoked: "unrevoked", MemberUnreleased: "unreleased"}
	for _, m := range c.Ordered() {
		fmt.Fprintf(&b, "  %s epoch %d %s has %s", m.ID, m.Epoch, states[m.State], s.list(m.Assigned.Sorted()))
		if len(m.Revoking) > 0 {
			fmt.Fprintf(&b, " gives up %s", s.list(m.Revoking.Sorted()))
		}
		fmt.Fprintf(&b, " shall have %s\n", s.list(m.Target))
	}
	return b.String()
}
