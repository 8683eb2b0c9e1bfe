package coord

import (
	"slices"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/internal/group"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/internal/obs"
	"github.com/twmb/franz-go/pkg/kerr"
)

// answer is the token of a request that waits in a group.
type answer func(group.Answer)

// shard is the groups of one partition of the offsets topic.
type shard struct {
	groupsOf *Groups
	log      journal

	mu     sync.Mutex
	loaded bool
	groups map[string]*managed

	pending map[int64][]*pending // by producer id

	writing sync.Mutex // held while a batch gets its place in the log
	owed    []record   // by who holds writing
}

// managed is a group, of either kind, with what the coordinator keeps beside it.
type managed struct {
	id       string
	classic  *group.Group    // nil: it is a consumer group
	consumer *group.Consumer // nil: it is a classic group
	shard    *shard
	offsets  map[partition]Offset
	flying   map[partition]int // how many commits of a partition are not durable yet
	since    int64             // when the last record of the group was written, in ms: an empty group is empty since then
	timer    *time.Timer
	armed    time.Time
	stopped  bool
	last     *write // the last records of the group, while they are not durable
	owes     bool   // the record of a classic group could not be written
}

// write is records of a group on their way, with the answers that build on them.
type write struct{ late []group.Answer }

// partition is one that offsets are committed for.
type partition struct {
	topic string
	index int32
}

func newShard(g *Groups, p *replica.Partition) *shard {
	return &shard{groupsOf: g, log: newJournal(&g.cfg, OffsetsTopic, p), groups: map[string]*managed{}, pending: map[int64][]*pending{}}
}

func (s *shard) partition() *replica.Partition { return s.log.Partition }

func (s *shard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.groups {
		m.stop()
	}
}

// create makes a classic group. The caller holds the lock.
func (s *shard) create(id string) *managed {
	return s.add(&managed{id: id, classic: group.New(id, s.groupsOf.settings(), newID)})
}

func (s *shard) add(m *managed) *managed {
	m.shard, m.offsets, m.flying = s, map[partition]Offset{}, map[partition]int{}
	s.groups[m.id] = m
	return m
}

// apply lets effects happen, behind records that come first, arms the timer, and gives the lock back. What must be
// durable is, before answers leave.
func (s *shard) apply(m *managed, e group.Effects, first ...record) {
	records := first
	now := s.groupsOf.cfg.Clock()
	e.Persist = e.Persist || m.owing()
	for _, ch := range e.Changes {
		records = append(records, consumerRecord(m, ch))
	}
	if e.Became != nil {
		m.classic, m.consumer = e.Became, nil
	}
	if e.Persist {
		records = append(records, groupRecord(m.classic, now))
	}
	if len(e.Changes) > 0 || e.Persist {
		m.since = now.UnixMilli()
	}
	m.arm()
	if len(records) == 0 {
		now := e.Answers
		if m.last != nil { // an assignment leaves with the record that says so, not before
			now = nil
			for _, a := range e.Answers {
				if a.Err == nil && (a.Sync != nil || m.consumer != nil) {
					m.last.late = append(m.last.late, a)
				} else {
					now = append(now, a)
				}
			}
		}
		s.mu.Unlock()
		deliver(now, nil)
		return
	}
	w := &write{}
	m.last = w
	s.writeLocked(records, func(_ int64, err error) {
		deliver(e.Answers, err)
		s.mu.Lock()
		if err != nil {
			m.repeat(e)
		}
		late := w.late
		if m.last == w {
			m.last = nil
		}
		s.mu.Unlock()
		deliver(late, err)
	})
}

// by has a decision take effect. The caller holds the lock, which is given back in any case.
func (s *shard) by(m *managed, decide func() group.Effects, first ...record) {
	var e group.Effects
	holding(&s.mu, func() { e = decide() })
	s.apply(m, e, first...)
}

// holding runs what is decided under a lock, and gives the lock back if it panics: the request fails, and others that come
// to the same lock do not.
func holding(mu *sync.Mutex, decide func()) {
	decided := false
	defer func() {
		if !decided {
			mu.Unlock()
		}
	}()
	decide()
	decided = true
}

func deliver(answers []group.Answer, err error) {
	for _, a := range answers {
		if err != nil {
			a = group.Answer{Token: a.Token, Err: kerr.CoordinatorNotAvailable}
		}
		a.Token.(answer)(a)
	}
}

// writeLocked appends records as one batch; done is called once, when they are durable or could not be written. The caller
// holds the lock, which is given back before anything is answered, and after the batch has its place in the log: records
// are in the order of events. Removals that found no place, because the disk was full, go with the next batch.
func (s *shard) writeLocked(records []record, done func(base int64, err error)) {
	s.writing.Lock()
	s.mu.Unlock()
	records = append(s.owed, records...)
	s.owed = nil
	settle, err := s.log.append(records, nil, done) // done hears of an error
	if err != nil {
		s.owed = slices.DeleteFunc(records, func(r record) bool { return r.value != nil })
	}
	s.writing.Unlock()
	settle()
}

// arm sets the timer for the group's next deadline. It fires too early when deadlines moved: then it is set again.
func (m *managed) arm() {
	next := m.next()
	if next.IsZero() || m.stopped || !m.armed.IsZero() && !next.Before(m.armed) {
		return
	}
	m.armed = next
	wait := max(next.Sub(m.shard.groupsOf.cfg.Clock()), 0)
	if m.timer == nil {
		m.timer = time.AfterFunc(wait, m.tick)
		return
	}
	m.timer.Reset(wait)
}

func (m *managed) tick() {
	s := m.shard
	s.mu.Lock()
	if m.stopped {
		s.mu.Unlock()
		return
	}
	m.armed = time.Time{}
	e, ok := s.passTime(m)
	if !ok {
		m.stop() // its members go on by their requests, which fail alone
		s.mu.Unlock()
		return
	}
	s.apply(m, e)
}

// passTime lets time pass for a group. false: it panicked; the timer of one group must not end those of others.
func (s *shard) passTime(m *managed) (e group.Effects, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			obs.Panicked(s.groupsOf.cfg.Log, "the timer of a group", p, "group", m.id)
		}
	}()
	return m.timePasses(s.groupsOf.cfg.Clock()), true
}

// drop takes a group out. The caller holds the lock.
func (s *shard) drop(m *managed) {
	if m.classic != nil {
		m.classic.Kill()
	}
	m.stop()
	delete(s.groups, m.id)
}

// stop ends the timer. The caller holds the shard's lock.
func (m *managed) stop() {
	m.stopped = true
	if m.timer != nil {
		m.timer.Stop()
	}
}
