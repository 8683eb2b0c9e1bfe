package replica

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrNotDeletable says that the topic's cleanup.policy has no delete.
var ErrNotDeletable = errors.New("the topic's cleanup.policy does not allow to delete records")

// AllCommitted asks DeleteBefore for the high watermark.
const AllCommitted = -1

// DeleteBefore makes offset, or the high watermark for AllCommitted, the first that is served, and returns where the
// partition starts then. ErrOutOfRange: offset is not committed.
func (p *Partition) DeleteBefore(offset int64) (start int64, err error) {
	p.Settle()
	hw, err := p.HighWatermark()
	if err != nil {
		return -1, err
	}
	if offset == AllCommitted {
		offset = hw
	}
	switch {
	case !p.cfg.Load().Deletable:
		return -1, ErrNotDeletable
	case offset < 0 || offset > hw:
		return -1, ErrOutOfRange
	}
	if err := p.log.DeleteBefore(offset); err != nil {
		return -1, err
	}
	p.tellLater() // a fetch may wait for what is gone
	return p.log.StartOffset()
}

// Retain deletes what the topic's retention no longer covers.
func (p *Partition) Retain(now time.Time) error {
	cfg := p.cfg.Load()
	if !cfg.Deletable || cfg.Retention.Age < 0 && cfg.Retention.Bytes < 0 {
		return nil
	}
	hw, err := p.HighWatermark()
	if err != nil {
		return err
	}
	before, err := p.log.StartOffset()
	if err != nil {
		return err
	}
	if err := p.log.Retain(cfg.Retention, hw, now); err != nil {
		return err
	}
	if after, err := p.log.StartOffset(); err == nil && after != before {
		p.tellLater()
	}
	return nil
}

// Compact keeps the last record of every key, below the last stable offset, if a pass is due. buffer is how many bytes the
// keys may take; pause is told what is read and written, and may wait, or end the pass by an error.
func (p *Partition) Compact(buffer int, pause func(bytes int) error, now time.Time) error {
	cfg := p.cfg.Load()
	if !cfg.Compacted {
		return nil
	}
	stable, err := p.LastStableOffset()
	if err != nil {
		return err
	}
	c := cfg.Compaction
	c.Buffer, c.Pause = buffer, pause
	_, err = p.log.Compact(c, stable, now)
	return err
}

// Scrub looks for rot in what is durable.
func (p *Partition) Scrub(pause func(bytes int) error) error { return p.log.Scrub(pause) }

// openers is how many partitions are recovered at once.
const openers = 32

// Recover looks at every partition, several at once, if the last process had no time to close them: each then reads what
// it cannot be sure of before it is needed. A partition that is asked for meanwhile does not wait for its turn.
func (m *Manager) Recover(ctx context.Context) {
	if m.dir.CleanStop() {
		return
	}
	var all sync.WaitGroup
	slots := make(chan struct{}, openers)
	m.Each(func(_ ID, p *Partition) bool {
		slots <- struct{}{}
		all.Go(func() {
			_, _ = p.HighWatermark() // who uses the partition is told what is wrong with it
			<-slots
		})
		return ctx.Err() == nil
	})
	all.Wait()
}

// Each calls fn for every partition that is open here, one after the other, until it returns false. Partitions may come
// and go meanwhile.
func (m *Manager) Each(fn func(ID, *Partition) bool) {
	type opened struct {
		id ID
		p  *Partition
	}
	m.mu.RLock()
	all := make([]opened, 0, len(m.partitions))
	for id, p := range m.partitions {
		all = append(all, opened{id, p})
	}
	m.mu.RUnlock()
	for _, o := range all {
		if !fn(o.id, o.p) {
			return
		}
	}
}
