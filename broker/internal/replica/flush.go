package replica

import "time"

// flushing forces records to disk that acks=all does not wait for: flush.messages above 1, and flush.ms.
type flushing struct {
	records int64 // since the last time; the partition's mu holds it
	timer   *time.Timer
}

// written notes records that the operating system has and the disk perhaps not, up to offset end.
func (p *Partition) written(records, end int64) {
	cfg := p.cfg.Load()
	if cfg.FlushMessages == 0 && cfg.FlushAge == 0 {
		return
	}
	p.mu.Lock()
	p.flush.records += records
	due := cfg.FlushMessages > 0 && p.flush.records >= cfg.FlushMessages
	switch {
	case due:
		p.flush.records = 0
	case cfg.FlushAge > 0 && p.flush.timer == nil && !p.gone:
		p.flush.timer = time.AfterFunc(cfg.FlushAge, p.flushNow)
	}
	p.mu.Unlock()
	if due {
		p.log.WhenDurable(end, func(error) {}) // a failure takes the directory offline, which the next append is told
	}
}

func (p *Partition) flushNow() {
	p.mu.Lock()
	p.flush.records, p.flush.timer = 0, nil
	p.mu.Unlock()
	if end, err := p.log.EndOffset(); err == nil {
		p.log.WhenDurable(end, func(error) {})
	}
}
