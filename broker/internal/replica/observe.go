package replica

import (
	"sync/atomic"

	"github.com/leatstream/leat/broker/internal/storage"
)

// Traffic is what clients have written to and read from a partition since the start.
type Traffic struct{ ReceivedBytes, ReceivedRecords, SentBytes atomic.Int64 }

// Traffic is for counting, and for reading what was counted.
func (p *Partition) Traffic() *Traffic { return &p.traffic }

// Observed is what a partition looks like at one moment.
type Observed struct {
	storage.Observed
	High, Stable int64 // high watermark, last stable offset
}

// Observe looks at a partition. ok is false for one that was not used since the start, unless load has its log read.
func (p *Partition) Observe(load bool) (o Observed, ok bool) {
	if load {
		_, _ = p.HighWatermark() // what cannot be read is not observed
	}
	if o.High = p.high.Load(); o.High < 0 {
		return o, false
	}
	if o.Observed, ok = p.log.Observe(); !ok {
		return o, false
	}
	var err error
	o.Stable, err = p.log.LastStableOffset(o.High)
	return o, err == nil
}
