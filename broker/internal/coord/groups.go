package coord

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/internal/group"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/twmb/franz-go/pkg/kerr"
)

// OffsetsTopic holds groups and their offsets.
const OffsetsTopic = "__consumer_offsets"

// Groups are the consumer groups that this broker coordinates.
type Groups struct {
	cfg   Config
	topic topic[*shard]

	stop    chan struct{}
	keeping sync.WaitGroup
}

// New coordinates groups. Nothing is read before a group is asked for.
func New(cfg Config) *Groups {
	g := &Groups{cfg: cfg, stop: make(chan struct{})}
	g.topic = topic[*shard]{cfg: &g.cfg, name: OffsetsTopic, shards: map[int32]*shard{}}
	g.topic.make = func(p *replica.Partition) *shard { return newShard(g, p) }
	return g
}

// Start reads all groups, so that silent members are missed and nobody waits for it later, and looks after offsets whose
// time has come, until Close.
func (g *Groups) Start() {
	g.keeping.Go(func() {
		if _, err := g.topic.all(); err != nil && !errors.Is(err, kerr.CoordinatorNotAvailable) {
			g.cfg.Log.Error("groups cannot be read", "error", err)
		}
		rest := time.NewTicker(g.cfg.Broker.Millis("offsets.retention.check.interval.ms"))
		defer rest.Stop()
		for {
			select {
			case <-rest.C:
				g.Expire()
			case <-g.stop:
				return
			}
		}
	})
}

// Close stops the timers.
func (g *Groups) Close() {
	close(g.stop)
	g.topic.close()
	g.keeping.Wait()
}

// Ready makes the offsets topic if needed.
func (g *Groups) Ready(ctx context.Context) error {
	_, err := g.topic.ready(ctx)
	return err
}

// shardOf finds the shard that a group belongs to, and loads it. The group without a name keeps offsets, too; it has no
// members.
func (g *Groups) shardOf(ctx context.Context, id string) (*shard, error) { return g.topic.of(ctx, id) }

func (g *Groups) settings() group.Config {
	return group.Config{
		InitialDelay: g.cfg.Broker.Millis("group.initial.rebalance.delay.ms"),
		MaxSize:      int(g.cfg.Broker.Int("group.max.size")),
		Consumer:     g.consumerSettings(),
	}
}

// settingsOf are the settings of one group, which may have configurations of its own.
func (g *Groups) settingsOf(id string) group.Config {
	c, own := g.settings(), g.cfg.Broker.Group(id)
	c.Consumer.SessionTimeout = own.Millis("consumer.session.timeout.ms")
	c.Consumer.Heartbeat = own.Millis("consumer.heartbeat.interval.ms")
	return c
}

func newID() string {
	var b [16]byte
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	h := hex.EncodeToString(b[:])
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}

// Join lets a member in. done gets the answer, once, perhaps later.
func (g *Groups) Join(ctx context.Context, id string, j group.Join, done func(*group.Joined, error)) {
	low, high := g.cfg.Broker.Millis("group.min.session.timeout.ms"), g.cfg.Broker.Millis("group.max.session.timeout.ms")
	switch {
	case id == "":
		done(nil, kerr.InvalidGroupID)
		return
	case j.SessionTimeout < low || j.SessionTimeout > high:
		done(nil, kerr.InvalidSessionTimeout)
		return
	}
	s, err := g.shardOf(ctx, id)
	if err != nil {
		done(nil, err)
		return
	}
	j.Token = answer(func(a group.Answer) { done(a.Join, a.Err) })
	s.mu.Lock()
	m := s.groups[id]
	if m == nil {
		if j.MemberID != "" {
			s.mu.Unlock()
			done(nil, kerr.UnknownMemberID)
			return
		}
		m = s.create(id)
	}
	now := g.cfg.Clock()
	switch {
	case m.consumer == nil:
		s.by(m, func() group.Effects { return m.classic.Join(now, j) })
	case m.consumer.State() == group.Empty: // nobody is in: it gives way to a classic group
		gone := m.removal()
		epoch := m.consumer.Epoch
		m.classic, m.consumer = group.New(id, g.settings(), newID), nil
		m.classic.Generation = epoch
		s.by(m, func() group.Effects { return m.classic.Join(now, j) }, gone...)
	default:
		s.by(m, func() group.Effects { return m.consumer.Join(now, g.topics(), j) })
	}
}

// Sync gives a member its assignment. done gets the answer, once, perhaps later.
func (g *Groups) Sync(ctx context.Context, id string, sync group.Sync, done func(*group.Synced, error)) {
	sync.Token = answer(func(a group.Answer) { done(a.Sync, a.Err) })
	s, m, err := g.findNamed(ctx, id)
	if err != nil {
		done(nil, err)
		return
	}
	s.by(m, func() group.Effects {
		if m.consumer != nil {
			return m.consumer.Sync(g.cfg.Clock(), g.topics(), sync)
		}
		return m.classic.Sync(g.cfg.Clock(), sync)
	})
}

// find returns a group's shard, locked, and the group.
func (g *Groups) find(ctx context.Context, id string) (*shard, *managed, error) {
	s, err := g.shardOf(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	m := s.groups[id]
	if m == nil {
		s.mu.Unlock()
		return nil, nil, kerr.UnknownMemberID
	}
	return s, m, nil
}

// findNamed is find for what the group without a name does not have.
func (g *Groups) findNamed(ctx context.Context, id string) (*shard, *managed, error) {
	if id == "" {
		return nil, nil, kerr.InvalidGroupID
	}
	return g.find(ctx, id)
}

// Heartbeat keeps a member alive.
func (g *Groups) Heartbeat(ctx context.Context, id, member string, instance *string, generation int32) error {
	s, m, err := g.findNamed(ctx, id)
	if err != nil {
		return err
	}
	s.by(m, func() (effects group.Effects) {
		if m.consumer != nil {
			effects, err = m.consumer.ClassicHeartbeat(g.cfg.Clock(), g.topics(), member, instance, generation)
		} else {
			err = m.classic.Heartbeat(g.cfg.Clock(), member, instance, generation)
		}
		return effects
	})
	return err
}

// Leave removes a member. done is called once: when the last one left, after that is durable, so that a power loss does
// not bring a member back that others would then wait for.
func (g *Groups) Leave(ctx context.Context, id, member string, instance *string, done func(error)) {
	s, m, err := g.find(ctx, id)
	if err != nil {
		done(err)
		return
	}
	s.by(m, func() (effects group.Effects) {
		if m.consumer != nil {
			effects, err = m.consumer.Leave(g.cfg.Clock(), g.topics(), member, instance)
		} else {
			effects, err = m.classic.Leave(g.cfg.Clock(), member, instance)
		}
		effects.Answers = append(effects.Answers, group.Answer{Token: answer(func(a group.Answer) { done(a.Err) }), Err: err})
		return effects
	})
}

// Described is a group as tools see it.
type Described struct {
	ID           string
	Kind         string
	State        group.State
	ProtocolType string
	Protocol     string
	Size         int
	Members      []DescribedMember
}

// DescribedMember is one member of a Described.
type DescribedMember struct {
	ID, ClientID, ClientHost string
	Instance                 *string
	Metadata, Assignment     []byte
}

// Describe tells what a group is like. ErrUnknownGroup (GROUP_ID_NOT_FOUND): there is none.
func (g *Groups) Describe(ctx context.Context, id string) (Described, error) {
	s, m, err := g.find(ctx, id)
	if errors.Is(err, kerr.UnknownMemberID) {
		return Described{ID: id, State: group.Dead}, &group.Refusal{Code: kerr.GroupIDNotFound, Why: fmt.Sprintf("Group %s not found.", id)}
	}
	if err != nil {
		return Described{ID: id}, err
	}
	defer s.mu.Unlock()
	c := m.classic
	if c == nil {
		return Described{ID: id, State: group.Dead}, &group.Refusal{Code: kerr.GroupIDNotFound, Why: fmt.Sprintf("Group %s is not a classic group.", id)}
	}
	d := Described{ID: id, Kind: ClassicGroup, Size: len(c.Members), State: c.State, ProtocolType: c.ProtocolType}
	if c.State == group.Stable {
		d.Protocol = c.Protocol
	}
	for _, x := range c.Ordered() {
		dm := DescribedMember{ID: x.ID, ClientID: x.ClientID, ClientHost: x.ClientHost, Instance: x.Instance}
		if c.State == group.Stable {
			dm.Metadata, dm.Assignment = c.Metadata(x), x.Assignment
		}
		d.Members = append(d.Members, dm)
	}
	return d, nil
}

// List tells which groups there are, without their members, by id.
func (g *Groups) List() ([]Described, error) {
	shards, err := g.topic.all()
	if err != nil {
		return nil, err
	}
	var out []Described
	for _, s := range shards {
		s.mu.Lock()
		for id, m := range s.groups {
			out = append(out, Described{ID: id, Kind: m.kind(), State: m.state(), ProtocolType: m.protocolType(), Size: m.size()})
		}
		s.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b Described) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return out, nil
}

// Delete removes an empty group with its offsets. done is called once, when that is durable.
func (g *Groups) Delete(ctx context.Context, id string, done func(error)) {
	s, m, err := g.find(ctx, id)
	switch {
	case errors.Is(err, kerr.UnknownMemberID):
		done(kerr.GroupIDNotFound)
		return
	case err != nil:
		done(err)
		return
	case m.state() != group.Empty:
		s.mu.Unlock()
		done(kerr.NonEmptyGroup)
		return
	}
	records := m.removal()
	for at := range s.partitions(m) {
		records = append(records, s.uncommit(m, at))
	}
	s.drop(m)
	s.writeLocked(records, func(_ int64, err error) { done(err) })
}
