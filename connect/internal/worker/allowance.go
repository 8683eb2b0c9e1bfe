package worker

import "sync"

// greedy is a process that sends without credit.
type greedy struct{ error }

// allowance is the credit that a source has left. As the protocol says, its last batch may be larger than what is left.
type allowance struct {
	mu             sync.Mutex
	bytes, batches int64
}

func (a *allowance) grow(bytes, batches int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bytes += bytes
	a.batches += batches
}

// spend takes a batch off, and tells whether it was allowed.
func (a *allowance) spend(bytes int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	ok := a.bytes > 0 && a.batches > 0
	a.bytes -= bytes
	a.batches--
	return ok
}
