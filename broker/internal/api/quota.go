package api

import (
	"time"

	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/quota"
	"github.com/twmb/franz-go/pkg/kerr"
)

// user is who quotas know the client of c as.
func (c *Call) user() string {
	if c.Principal.Name == "" {
		return "ANONYMOUS"
	}
	return c.Principal.Name
}

// throttle counts bytes that the client of c sent or gets, and returns how long it has to wait. The answer goes out at
// once and says so; it is the connection that is not read for so long (KIP-219).
func (a *API) throttle(c *Call, kind quota.Kind, bytes int) time.Duration {
	if !a.Quotas.Any() {
		return 0
	}
	return max(a.Quotas.Use(kind, c.user(), c.ClientID, float64(bytes), a.clock()), a.owed(c))
}

// owed is what the client of c has to wait for whatever it asks: for handlers' time, and for changes of partitions.
func (a *API) owed(c *Call) time.Duration {
	if !a.Quotas.Any() {
		return 0
	}
	return max(c.wait, a.Quotas.Use(quota.Request, c.user(), c.ClientID, 0, a.clock()))
}

// millis is a wait as answers say it.
func millis(wait time.Duration) int32 { return int32((wait + time.Millisecond - 1) / time.Millisecond) }

// began is the clock where a quota of requests may hold, else the zero time.
func (a *API) began() time.Time {
	if !a.Quotas.Limited(quota.Request) {
		return time.Time{}
	}
	return a.clock()
}

// charge counts the time that a handler ran, until it returned or parked: per cent of one core. It shows in the next answer.
func (a *API) charge(c *Call, began time.Time) {
	if !began.IsZero() {
		now := a.clock()
		a.Quotas.Use(quota.Request, c.user(), c.ClientID, 100*now.Sub(began).Seconds(), now)
	}
}

// mutate asks the quota of changes for records that make or remove partitions (KIP-599). Clients of a version that knows
// the error are refused beyond it; others are made to wait.
func (a *API) mutate(c *Call, partitions int, strict bool) error {
	wait, ok := a.Quotas.Mutate(c.user(), c.ClientID, partitions, !strict, a.clock())
	if c.wait = max(c.wait, wait); !ok {
		return kerr.ThrottlingQuotaExceeded
	}
	return nil
}

// fetchRoom is how many of limit bytes a fetch may return.
func (a *API) fetchRoom(c *Call, limit int) int {
	if most, ok := a.Quotas.Most(quota.Fetch, c.user(), c.ClientID); ok {
		return int(min(float64(limit), most))
	}
	return limit
}

// newPartitions counts the partitions that records make.
func newPartitions(records []meta.Record) (n int) {
	for _, r := range records {
		if _, ok := r.(meta.PartitionChanged); ok {
			n++
		}
	}
	return n
}
