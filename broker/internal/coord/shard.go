package coord

import (
	"sync"
	"time"

	"github.com/leatstream/leat/broker/internal/group"
	"github.com/leatstream/leat/broker/internal/replica"
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
}

// managed is a group with what the coordinator keeps beside it.
type managed struct {
	*group.Group
	shard   *shard
	offsets map[partition]Offset
	timer   *time.Timer
	armed   time.Time
	stopped bool

	persisting int            // records of the group that are not durable yet
	late       []group.Answer // answers that build on them
}

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

// create makes a group. The caller holds the lock.
func (s *shard) create(id string) *managed {
	m := &managed{Group: group.New(id, s.groupsOf.settings(), newID), shard: s, offsets: map[partition]Offset{}}
	s.groups[id] = m
	return m
}

// apply lets effects happen, arms the timer, and gives the lock back. What must be durable is, before answers leave.
func (s *shard) apply(m *managed, e group.Effects) {
	m.arm()
	var records []record
	if e.Persist {
		records = append(records, groupRecord(m.Group, s.groupsOf.cfg.Clock()))
	}
	if len(records) == 0 {
		now := e.Answers
		if m.persisting > 0 { // an assignment leaves with the record that says so, not before
			now = nil
			for _, a := range e.Answers {
				if a.Sync != nil {
					m.late = append(m.late, a)
				} else {
					now = append(now, a)
				}
			}
		}
		s.mu.Unlock()
		deliver(now, nil)
		return
	}
	m.persisting++
	s.writeLocked(records, func(_ int64, err error) {
		deliver(e.Answers, err)
		s.mu.Lock()
		var late []group.Answer
		if m.persisting--; m.persisting == 0 {
			late, m.late = m.late, nil
		}
		s.mu.Unlock()
		deliver(late, err)
	})
}

func deliver(answers []group.Answer, err error) {
	for _, a := range answers {
		if err != nil {
			a = group.Answer{Token: a.Token, Err: kerr.CoordinatorNotAvailable}
		}
		a.Token.(answer)(a)
	}
}

// write appends records as one batch; done is called once, when they are durable or could not be written.
func (s *shard) write(records []record, done func(error)) {
	s.mu.Lock()
	s.writeLocked(records, func(_ int64, err error) { done(err) })
}

// writeLocked is write for who holds the lock, which is given back before anything is answered, and after the batch has
// its place in the log: records are in the order of events.
func (s *shard) writeLocked(records []record, done func(base int64, err error)) {
	s.writing.Lock()
	s.mu.Unlock()
	settle, _ := s.log.append(records, nil, done) // done hears of an error
	s.writing.Unlock()
	settle()
}

// arm sets the timer for the group's next deadline. It fires too early when deadlines moved: then it is set again.
func (m *managed) arm() {
	next := m.Next()
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
	s.apply(m, m.Tick(s.groupsOf.cfg.Clock()))
}

// stop ends the timer. The caller holds the shard's lock.
func (m *managed) stop() {
	m.stopped = true
	if m.timer != nil {
		m.timer.Stop()
	}
}
