package wire

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"time"
)

// Limits bound connections. They may change while a server runs.
type Limits struct {
	Connections int            // at most, of all listeners
	PerIP       int            // of one address
	IPs         map[string]int // addresses with another number
	Rate        int            // new ones a second; others wait to be accepted
}

// SetLimits changes the bounds for connections to come.
func (s *Server) SetLimits(l Limits) { s.limits.Store(&l) }

// admit notes a connection, or says which limit keeps it out. Those of the door inside this process have no address.
func (s *Server) admit(c *conn) (ok bool, limit string) {
	l := s.limits.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	most, special := l.IPs[c.host]
	if !special {
		most = l.PerIP
	}
	switch {
	case s.stopping:
		return false, ""
	case len(s.conns) >= l.Connections:
		return false, "max.connections"
	case c.door.Listener != "" && s.hosts[c.host] >= most:
		return false, "max.connections.per.ip"
	}
	s.stats.accepted.Add(1)
	s.conns[c] = struct{}{}
	s.hosts[c.host]++
	s.done.Add(1)
	return true, ""
}

// relieve ends connections whose clients do not read, those with the most first, until what others are owed fits.
func (s *Server) relieve(now time.Time) {
	if !s.relieving.TryLock() {
		return // somebody else does
	}
	defer s.relieving.Unlock()
	type slow struct {
		c     *conn
		bytes int
	}
	var all []slow
	s.mu.Lock()
	for c := range s.conns {
		if n := c.unread(now, hastyTime); n > 0 {
			all = append(all, slow{c, n})
		}
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b slow) int { return cmp.Compare(b.bytes, a.bytes) })
	left := s.owed.Load()
	for _, x := range all {
		if left <= s.owedMax {
			return
		}
		left -= int64(x.bytes)
		x.c.report(fmt.Errorf("%w (%d bytes); queued.max.request.bytes bounds it", errUnread, x.bytes))
		x.c.close()
	}
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	if s.hosts[c.host]--; s.hosts[c.host] == 0 {
		delete(s.hosts, c.host)
	}
	s.mu.Unlock()
	s.done.Done()
}

// tooSoon tells whether an address has opened more connections than its quota lets it. Such a connection is closed a little
// later: a client that is closed at once comes back at once.
func (s *Server) tooSoon(nc net.Conn) bool {
	wait, ok := s.api.Quotas.Connect(host(nc.RemoteAddr().String()), time.Now())
	switch {
	case ok:
	case s.delayed.Add(1) > mostDelayed: // each of them has a descriptor
		s.delayed.Add(-1)
		_ = nc.Close()
	default:
		time.AfterFunc(wait, func() {
			s.delayed.Add(-1)
			_ = nc.Close()
		})
	}
	return !ok
}

// mostDelayed is how many connections may wait to be closed.
const mostDelayed = 256

// pace keeps a listener from accepting more than Limits.Rate. false: the server has stopped.
func (s *Server) pace() bool {
	wait := s.accepted.Add(1, float64(s.limits.Load().Rate), time.Now())
	if wait <= 0 {
		return true
	}
	select {
	case <-time.After(wait):
		return true
	case <-s.ctx.Done():
		return false
	}
}
