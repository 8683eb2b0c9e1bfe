package sdk

import (
	"context"
	"sync"
)

// credit is what the other side allows us to send. It may go negative by one batch, so that a batch larger than
// the whole allowance passes some time.
type credit struct {
	mu      sync.Mutex
	bytes   int64
	batches int64
	more    chan struct{} // closed and replaced by give
}

func newCredit() *credit { return &credit{more: make(chan struct{})} }

func (c *credit) give(bytes, batches int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += bytes
	c.batches += batches
	close(c.more)
	c.more = make(chan struct{})
}

// take waits until there is credit for one more batch, and spends it.
func (c *credit) take(ctx context.Context, cost int64) error {
	for {
		c.mu.Lock()
		if c.batches > 0 && c.bytes > 0 {
			c.batches--
			c.bytes -= cost
			c.mu.Unlock()
			return nil
		}
		more := c.more
		c.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
