package api

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// sessionCache holds fetch sessions (KIP-227): a client that has one names only what changed.
type sessionCache struct {
	mu       sync.Mutex
	sessions map[int32]*fetchSession
	size     int // of all sessions, bytes
}

// fetchSession is what one client wants, in the order in which it is served.
type fetchSession struct {
	id int32

	mu    sync.Mutex
	epoch int32 // of the request that must come next
	used  time.Time
	byKey map[partitionKey]*wantedPartition
	serve []*wantedPartition
	byID  bool

	size int // as the cache counts it; guarded by the cache's mutex
}

const (
	sessionsMax   = 64 << 20 // bytes that all sessions may take
	partitionCost = 256      // bytes of a partition in a session, without its name
)

// cost is what a session keeps for these partitions, in bytes.
func cost(wanted []*wantedPartition) int {
	n := 0
	for _, w := range wanted {
		n += partitionCost + len(w.name)
	}
	return n
}

// sessionIdle is how long a session must be unused before another may have its slot.
const sessionIdle = 2 * time.Minute

func sessionID(s *fetchSession) int32 {
	if s == nil {
		return 0
	}
	return s.id
}

// use finds out what a request wants: all that it lists, or what its session has after the request's changes.
func (c *sessionCache) use(r *fetchRequest, slots int, now time.Time) (*fetchSession, []*wantedPartition, error) {
	if r.fullSession() {
		wanted := distinct(r.wanted)
		c.drop(r.session)
		if r.epoch == -1 || r.version < 7 {
			return nil, wanted, nil
		}
		return c.create(r, wanted, slots, now), wanted, nil
	}
	c.mu.Lock()
	s := c.sessions[r.session]
	c.mu.Unlock()
	if s == nil {
		return nil, nil, kerr.FetchSessionIDNotFound
	}
	s, wanted, err := s.change(r, now)
	if err == nil && !c.resize(s, cost(wanted)) {
		return nil, nil, kerr.FetchSessionIDNotFound // it makes another, or goes on without
	}
	return s, wanted, err
}

// resize notes what a session takes now. One for which there is no room is dropped.
func (c *sessionCache) resize(s *fetchSession, size int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions[s.id] != s { // dropped meanwhile: it is counted no more
		return true
	}
	c.size += size - s.size
	s.size = size
	if c.size > sessionsMax {
		c.remove(s)
		return false
	}
	return true
}

// remove is called with the cache locked.
func (c *sessionCache) remove(s *fetchSession) {
	delete(c.sessions, s.id)
	c.size -= s.size
}

// distinct are the partitions of a request; one that is listed twice is wanted as it is listed last.
func distinct(wanted []wantedPartition) []*wantedPartition {
	out := make([]*wantedPartition, 0, len(wanted))
	at := make(map[partitionKey]int, len(wanted))
	for i := range wanted {
		w := &wanted[i]
		if j, twice := at[w.partitionKey]; twice {
			out[j] = w
			continue
		}
		at[w.partitionKey] = len(out)
		out = append(out, w)
	}
	return out
}

func (c *sessionCache) drop(id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.sessions[id]; s != nil {
		c.remove(s)
	}
}

// create makes a session if there is a slot: a free one, or that of the session that was not used for longest.
func (c *sessionCache) create(r *fetchRequest, wanted []*wantedPartition, slots int, now time.Time) *fetchSession {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions == nil {
		c.sessions = map[int32]*fetchSession{}
	}
	size := cost(wanted)
	for len(c.sessions) >= slots || c.size+size > sessionsMax {
		if size > sessionsMax || !c.evict(now) {
			return nil
		}
	}
	s := &fetchSession{epoch: 1, used: now, size: size, byKey: map[partitionKey]*wantedPartition{}, serve: wanted, byID: r.version >= fetchByID}
	for s.id == 0 || c.sessions[s.id] != nil {
		s.id = rand.Int32N(1<<31-1) + 1
	}
	for _, w := range wanted {
		s.byKey[w.partitionKey] = w
	}
	c.sessions[s.id] = s
	c.size += size
	return s
}

func (c *sessionCache) evict(now time.Time) bool {
	var oldest *fetchSession
	var since time.Time
	for _, s := range c.sessions {
		s.mu.Lock()
		used := s.used
		s.mu.Unlock()
		if oldest == nil || used.Before(since) {
			oldest, since = s, used
		}
	}
	if oldest == nil || now.Sub(since) < sessionIdle {
		return false
	}
	c.remove(oldest)
	return true
}

// change applies an incremental request, and returns a copy of what is wanted now, in the order of service.
func (s *fetchSession) change(r *fetchRequest, now time.Time) (*fetchSession, []*wantedPartition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.epoch != s.epoch:
		return nil, nil, kerr.InvalidFetchSessionEpoch
	case s.byID != (r.version >= fetchByID):
		return nil, nil, kerr.FetchSessionTopicIDError
	}
	if s.epoch++; s.epoch < 0 {
		s.epoch = 1
	}
	s.used = now
	for _, key := range r.forgotten {
		delete(s.byKey, key)
	}
	for _, w := range distinct(r.wanted) {
		if old := s.byKey[w.partitionKey]; old != nil {
			w.high, w.start, w.failed = old.high, old.start, old.failed
		} else {
			s.serve = append(s.serve, w)
		}
		s.byKey[w.partitionKey] = w
	}
	kept := s.serve[:0]
	for _, old := range s.serve {
		if w := s.byKey[old.partitionKey]; w != nil {
			kept = append(kept, w)
		}
	}
	clear(s.serve[len(kept):])
	s.serve = kept
	return s, append([]*wantedPartition(nil), kept...), nil
}

// sent leaves out what the client knows already, notes what it will know, and moves partitions that gave records to the
// end, so that none starves behind the limit of bytes.
func (s *fetchSession) sent(results []fetched, all bool) []fetched {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := results[:0]
	served := map[*wantedPartition]bool{}
	for _, r := range results {
		w := r.wantedPartition
		if all || r.err != nil || w.failed || r.read.Chunk.Len > 0 || r.read.HighWatermark != w.high || r.read.StartOffset != w.start {
			changed = append(changed, r)
		}
		w.high, w.start, w.failed = r.read.HighWatermark, r.read.StartOffset, r.err != nil
		if r.read.Chunk.Len > 0 {
			served[w] = true
		}
	}
	first, last := make([]*wantedPartition, 0, len(s.serve)), []*wantedPartition(nil)
	for _, w := range s.serve {
		if served[w] {
			last = append(last, w)
		} else {
			first = append(first, w)
		}
	}
	s.serve = append(first, last...)
	return changed
}
