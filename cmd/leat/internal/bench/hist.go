package bench

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// steps is how many linear buckets a power of two has: values are known to less than 0.4 %.
const steps = 256

// hist counts durations. Many goroutines may add.
type hist struct {
	count   atomic.Int64
	max     atomic.Int64
	buckets [(64 - 8) * steps]atomic.Int64
}

func bucketOf(ns int64) int {
	if ns < steps {
		return int(max(ns, 0))
	}
	shift := bits.Len64(uint64(ns)) - 9 // ns>>shift lies in [256, 511]
	return shift*steps + int(ns>>shift)
}

// middle is the middle of a bucket, in ns.
func middle(bucket int) float64 {
	if bucket < 2*steps {
		return float64(bucket)
	}
	shift := bucket/steps - 1
	low := int64(bucket-shift*steps) << shift
	return float64(low) + float64(int64(1)<<shift)/2
}

func (h *hist) add(d time.Duration) {
	h.count.Add(1)
	h.buckets[min(bucketOf(int64(d)), len(h.buckets)-1)].Add(1)
	for {
		old := h.max.Load()
		if int64(d) <= old || h.max.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// quantile is the duration that a part of all are not above, in ms.
func (h *hist) quantile(part float64) float64 {
	want := int64(math.Ceil(part * float64(h.count.Load())))
	seen := int64(0)
	for i := range h.buckets {
		if seen += h.buckets[i].Load(); seen >= want {
			return min(middle(i), float64(h.max.Load())) / 1e6
		}
	}
	return float64(h.max.Load()) / 1e6
}

// measures are the quantiles that are shown.
func (h *hist) measures(name string) []Measure {
	if h.count.Load() == 0 {
		return nil
	}
	return []Measure{
		{name + " p50", "ms", h.quantile(.5), Less}, {name + " p90", "ms", h.quantile(.9), Less}, {name + " p99", "ms", h.quantile(.99), Less},
		{name + " p99.9", "ms", h.quantile(.999), Less}, {name + " max", "ms", float64(h.max.Load()) / 1e6, Less},
	}
}
