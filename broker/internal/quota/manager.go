package quota

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/internal/obs"
)

const (
	maxCounters = 1 << 16 // how many clients are told apart at once
	sweepMin    = 1 << 10
)

// requestMax is the longest wait for a quota of requests: a window's second, as in Kafka.
const requestMax = time.Second

// Manager knows the quotas and what clients use. The zero value has no quota.
type Manager struct {
	limits atomic.Pointer[limits] // nil: there is none

	throttled [kinds]atomic.Int64

	mu       sync.Mutex
	seed     maphash.Seed
	counters map[uint64]counter
	sweepAt  int   // how many there are before the next sweep
	swept    int64 // the second of the last one
}

// Follow makes the quotas those of image.
func (m *Manager) Follow(image *meta.Image) {
	l := newLimits(image)
	m.mu.Lock()
	defer m.mu.Unlock()
	if l == nil || m.counters == nil {
		m.seed, m.sweepAt, m.counters = maphash.MakeSeed(), sweepMin, map[uint64]counter{}
	}
	m.limits.Store(l)
}

// Any tells whether there is any quota.
func (m *Manager) Any() bool { return m.limits.Load() != nil }

// Limited tells whether a quota of some kind may hold for somebody.
func (m *Manager) Limited(kind Kind) bool {
	l := m.limits.Load()
	return l != nil && l[kind] != nil
}

// Use counts what a client used, and returns how long it has to wait.
func (m *Manager) Use(kind Kind, user, client string, amount float64, now time.Time) time.Duration {
	l := m.limits.Load()
	if l == nil {
		return 0
	}
	limit, who, ok := l.find(kind, user, client)
	if !ok {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	meter := m.meter(who, now)
	meter.add(now, amount)
	wait := meter.wait(now, limit)
	if kind == Request {
		wait = min(wait, requestMax)
	}
	m.count(kind, wait)
	return wait
}

// Most is how much a client may use at once without being far beyond its quota: a window's worth; ok is false without one.
func (m *Manager) Most(kind Kind, user, client string) (amount float64, ok bool) {
	l := m.limits.Load()
	if l == nil {
		return 0, false
	}
	limit, _, ok := l.find(kind, user, client)
	return limit * (samples - 1) * sample.Seconds(), ok
}

// Mutate asks for n changes of partitions. Beyond the quota ok is false and nothing is counted, unless force says that the
// changes happen anyhow. wait is how long the client should wait in both cases.
func (m *Manager) Mutate(user, client string, n int, force bool, now time.Time) (wait time.Duration, ok bool) {
	l := m.limits.Load()
	if l == nil {
		return 0, true
	}
	limit, who, found := l.find(Mutation, user, client)
	if !found {
		return 0, true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	wait, ok = m.bucket(who, now).take(now, limit, float64(n), force)
	m.count(Mutation, wait)
	return wait, ok
}

// Connect counts a connection from ip. Beyond its quota ok is false and nothing is counted: it should be closed after wait.
func (m *Manager) Connect(ip string, now time.Time) (wait time.Duration, ok bool) {
	l := m.limits.Load()
	if l == nil {
		return 0, true
	}
	limit, who, found := l.findIP(ip)
	if !found {
		return 0, true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	meter := m.meter(who, now)
	meter.add(now, 1)
	if wait = min(meter.wait(now, limit), sample); wait > 0 {
		meter.add(now, -1)
	}
	m.count(Connection, wait)
	return wait, wait == 0
}

func (m *Manager) count(kind Kind, wait time.Duration) {
	if wait > 0 {
		m.throttled[kind].Add(1)
	}
}

// WriteMetrics writes what was counted.
func (m *Manager) WriteMetrics(w *obs.Writer) {
	w.Counter("leat_throttles_total", "How often a client was made to wait, by the quota that it was beyond.")
	for kind := range m.throttled {
		w.Int(m.throttled[kind].Load(), "quota", names[kind])
	}
}

// counter is a meter or a bucket.
type counter interface {
	idle(now time.Time) bool // it is as good as new
}

func (m *Manager) meter(who scope, now time.Time) *meter {
	return m.counter(who, now, func() counter { return &meter{second: now.Unix()} }).(*meter)
}

func (m *Manager) bucket(who scope, now time.Time) *bucket {
	return m.counter(who, now, func() counter { return &bucket{} }).(*bucket)
}

// counter finds the counter of who. When there are too many, who is new shares that of his kind with all others.
func (m *Manager) counter(who scope, now time.Time, fresh func() counter) counter {
	k := m.key(who)
	if c := m.counters[k]; c != nil {
		return c
	}
	if m.sweep(now); len(m.counters) >= maxCounters {
		k = uint64(who.kind)
		if c := m.counters[k]; c != nil {
			return c
		}
	}
	c := fresh()
	m.counters[k] = c
	return c
}

// sweep forgets what is idle when there is much, once a second at most.
func (m *Manager) sweep(now time.Time) {
	if len(m.counters) < m.sweepAt || now.Unix() == m.swept {
		return
	}
	for k, c := range m.counters {
		if c.idle(now) {
			delete(m.counters, k)
		}
	}
	m.swept, m.sweepAt = now.Unix(), min(max(2*len(m.counters), sweepMin), maxCounters)
}

// key is a hash: client ids may be long, and only whether two are the same matters.
func (m *Manager) key(who scope) uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	_ = h.WriteByte(byte(who.kind)) // a hash does not fail
	_, _ = h.WriteString(who.user)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(who.client)
	return h.Sum64()
}

// Rate counts against one limit. The zero value is ready.
type Rate struct {
	mu    sync.Mutex
	meter meter
}

// Add counts amount and returns how long to wait until the rate is down to limit a second.
func (r *Rate) Add(amount, limit float64, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meter.add(now, amount)
	if limit <= 0 {
		return sample
	}
	return r.meter.wait(now, limit)
}
