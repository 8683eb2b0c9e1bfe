package storage

import (
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/internal/obs"
)

// Observed is what a log looks like at one moment.
type Observed struct {
	Start, End, Durable int64 // offsets
	Bytes, Unsynced     int64 // Unsynced would be lost with the power
	Segments            int
}

// Observe looks at a log without reading its files. loaded is false for one that was not used since the start.
func (l *Log) Observe() (o Observed, loaded bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.loaded || l.closed != nil {
		return Observed{}, false
	}
	o = Observed{Start: l.start, End: l.end(), Durable: l.durable.offset, Segments: len(l.segments)}
	after := false // the place below which all is durable
	for _, s := range l.segments {
		o.Bytes += s.size()
		switch {
		case s == l.durable.segment:
			o.Unsynced += s.size() - l.durable.pos
			after = true
		case after:
			o.Unsynced += s.size()
		}
	}
	return o, true
}

// stats is what a directory counts.
type stats struct {
	seconds, waiters, bytes obs.Histogram // of each sync: how long, for how many, how much
	failures                atomic.Int64
}

// synced counts a sync that began at begin.
func (s *stats) synced(begin time.Time, bytes int64, waiters int, err error) {
	if err != nil {
		s.failures.Add(1)
		return
	}
	s.seconds.Since(begin)
	s.waiters.Observe(int64(waiters))
	s.bytes.Observe(bytes)
}

// WriteMetrics writes what was counted, and what room there is.
func (d *Dir) WriteMetrics(w *obs.Writer) {
	w.Histogram("leat_sync_seconds", "Time that making records durable took, a sync of files each.")
	w.Observed(&d.stats.seconds, obs.Seconds)
	w.Histogram("leat_sync_appends", "How many appends shared a sync.")
	w.Observed(&d.stats.waiters, obs.Number)
	w.Histogram("leat_sync_bytes", "How many bytes a sync made durable.")
	w.Observed(&d.stats.bytes, obs.Bytes)
	w.Counter("leat_sync_failures_total", "Syncs that failed. After the first, the data directory is offline until the next start.")
	w.Int(d.stats.failures.Load())
	w.Gauge("leat_damage", "Places found damaged since the start though they had been durable. leat doctor looks at everything.")
	w.Int(int64(len(d.Damage())))
	w.Gauge("leat_data_offline", "1 after a failed write or sync: nothing is read or written any more.")
	w.Flag(d.Offline() != nil)
	if use, err := d.fs.GetDiskUsage(d.path); err == nil {
		w.Gauge("leat_disk_bytes", "The disk of the data directory.")
		w.Int(int64(use.TotalBytes), "of", "all")
		w.Int(int64(use.AvailBytes), "of", "free")
	}
}
