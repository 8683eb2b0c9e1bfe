package obs

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram counts values in classes by powers of two. The zero value is ready.
type Histogram struct {
	counts [classes]atomic.Int64
	sum    atomic.Int64
}

// classes holds values up to 2^38: four and a half minutes in nanoseconds. What is larger counts as infinite.
const classes = 40

// Observe counts a value; one below zero as zero. Class n holds what is above 2^(n-1) and at most 2^n.
func (h *Histogram) Observe(v int64) {
	v = max(v, 0)
	h.counts[min(bits.Len64(uint64(max(v-1, 0))), classes-1)].Add(1)
	h.sum.Add(v)
}

// Since observes the time from begin until now, in nanoseconds.
func (h *Histogram) Since(begin time.Time) { h.Observe(int64(time.Since(begin))) }

// Count is how many values were observed.
func (h *Histogram) Count() int64 {
	var n int64
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}
