package wire

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// budget is the memory that requests of all connections may take while they are read and answered, in bytes.
type budget struct {
	sem  *semaphore.Weighted
	size int64
	used atomic.Int64
}

func newBudget(size int64) *budget {
	return &budget{sem: semaphore.NewWeighted(size), size: size}
}

// take waits for n bytes. More than there is in all counts as all: the request runs alone.
func (b *budget) take(ctx context.Context, n int64) error {
	n = min(n, b.size)
	if err := b.sem.Acquire(ctx, n); err != nil {
		return err
	}
	b.used.Add(n)
	return nil
}

// give gives back what take took.
func (b *budget) give(n int64) {
	n = min(n, b.size)
	b.used.Add(-n)
	b.sem.Release(n)
}
