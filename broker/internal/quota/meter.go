package quota

import "time"

// Kafka's defaults: quota.window.num, quota.window.size.seconds.
const (
	samples = 11
	sample  = time.Second
)

// meter counts what was used in the current second and the ten before it.
type meter struct {
	second int64 // since 1970, of the latest use
	used   [samples]float64
}

// add counts use at now, which does not go back.
func (m *meter) add(now time.Time, use float64) {
	m.move(now)
	m.used[m.second%samples] += use
}

// move forgets the seconds that have left the window.
func (m *meter) move(now time.Time) {
	second := now.Unix()
	for range min(second-m.second, samples) {
		m.second++
		m.used[m.second%samples] = 0
	}
	m.second = max(m.second, second)
}

// wait is how long nothing may be used until the rate of the window is down to limit a second. The window is ten whole
// seconds and what has passed of the current one: who starts anew may spend ten seconds' worth at once.
func (m *meter) wait(now time.Time, limit float64) time.Duration {
	m.move(now)
	var sum float64
	for _, u := range m.used {
		sum += u
	}
	window := (samples-1)*sample.Seconds() + float64(now.Nanosecond())/1e9
	return seconds(sum/limit - window)
}

// idle tells whether the meter is as good as new.
func (m *meter) idle(now time.Time) bool { return now.Unix()-m.second > samples }

// bucket holds tokens that come at limit a second, eleven seconds' worth at most (KIP-599). It may be overdrawn.
type bucket struct {
	tokens, limit float64
	at            time.Time // zero: full
}

// take takes n tokens if the bucket is not overdrawn, or in any case if forced. It returns how long it stays overdrawn.
func (b *bucket) take(now time.Time, limit, n float64, forced bool) (wait time.Duration, ok bool) {
	burst := limit * samples * sample.Seconds()
	if b.at.IsZero() {
		b.tokens = burst
	} else {
		b.tokens = min(burst, b.tokens+max(now.Sub(b.at).Seconds(), 0)*limit)
	}
	b.at, b.limit = now, limit
	if ok = b.tokens >= 0 || forced; ok {
		b.tokens -= n
	}
	return seconds(-b.tokens / limit), ok
}

func (b *bucket) idle(now time.Time) bool {
	return b.tokens+now.Sub(b.at).Seconds()*b.limit >= b.limit*samples*sample.Seconds()
}

// maxWait bounds what clients are told to wait: rates are floating point, and a mistyped quota would be for ever.
const maxWait = 10 * time.Minute

func seconds(s float64) time.Duration {
	if s <= 0 {
		return 0
	}
	if s >= maxWait.Seconds() {
		return maxWait
	}
	return time.Duration(s * float64(time.Second))
}
