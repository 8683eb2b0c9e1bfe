package storage

import (
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/internal/obs"
)

// markEvery is how many synced bytes may pass before the mark on disk follows: the most that recovery reads again.
const markEvery = 8 << 20

// waiter is told when everything below end is durable, or never will be.
type waiter struct {
	end  int64
	done func(error)
}

// tell calls back. Who panics there loses that call only: others wait for the goroutine that syncs.
func (w *waiter) tell(err error) {
	defer func() {
		if e := recover(); e != nil {
			obs.Panicked(nil, "what waited for a sync", e)
		}
	}()
	w.done(err)
}

// WhenDurable calls done once, with nil when everything below end survives a power loss. It may call before it returns.
// done must not block: it runs on the goroutine that syncs.
func (l *Log) WhenDurable(end int64, done func(error)) {
	l.mu.Lock()
	err := l.usable()
	if err != nil || end <= l.durable.offset {
		l.mu.Unlock()
		done(err)
		return
	}
	l.await(waiter{end, done})
	l.mu.Unlock()
}

// await queues w for the next sync. The caller holds the lock.
func (l *Log) await(w waiter) {
	l.waiters = append(l.waiters, w)
	if !l.syncing {
		l.syncing = true
		l.dir.commits.add(l)
	}
}

// checkpointSoon makes the segment that was just ended durable in its own file and gives it its mark, without anybody
// waiting: the write-ahead log does not, nor flush.messages where it leaves syncing to the operating system.
func (l *Log) checkpointSoon() {
	l.dir.syncing.Add(1)
	go func() {
		defer l.dir.syncing.Done()
		l.dir.workers <- struct{}{}
		defer func() { <-l.dir.workers }()
		_ = l.checkpoint() // a failed sync has taken the directory offline: who waits is told
	}()
}

// Sync waits until everything appended so far is durable.
func (l *Log) Sync() error {
	l.mu.Lock()
	if !l.loaded {
		l.mu.Unlock()
		return nil
	}
	end := l.end()
	l.mu.Unlock()
	done := make(chan error, 1)
	l.WhenDurable(end, func(err error) { done <- err })
	return <-done
}

// syncAlone syncs the log's own files for those who wait. It holds one of the directory's slots.
func (l *Log) syncAlone() {
	l.dir.workers <- struct{}{}
	defer func() { <-l.dir.workers }()
	l.mu.Lock()
	if len(l.waiters) == 0 {
		l.mu.Unlock()
		return
	}
	target := mark{offset: l.end(), segment: l.active(), pos: l.active().x.size}
	dirty := l.dirty()
	l.mu.Unlock()
	begin := time.Now()
	err := l.syncDirty(dirty)
	waiters := l.committed(target, err)
	l.dir.stats.synced(begin, unsyncedBytes(dirty), waiters, err)
	l.release(dirty, err)
}

// checkpoint makes the log's own files durable, whatever the write-ahead log has of them.
func (l *Log) checkpoint() error {
	l.mu.Lock()
	var dirty []unsynced // nothing of a log that is closed: it was synced then, or deleted
	if l.closed == nil && len(l.segments) > 0 {
		dirty = l.dirty()
	}
	l.mu.Unlock()
	err := l.syncDirty(dirty)
	l.release(dirty, err)
	return err
}

// syncDirty syncs segments and notes how far they are durable in their own files.
func (l *Log) syncDirty(dirty []unsynced) error {
	for _, d := range dirty {
		if d.from == d.size || d.file == nil {
			continue
		}
		if err := d.segment.sync(d.file); err != nil {
			return err
		}
	}
	if err := l.dir.Check(); err != nil { // of a file that was closed nothing else tells
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range dirty {
		d.segment.synced = max(d.segment.synced, d.size)
	}
	return nil
}

// release lets marks follow and gives the segments back.
func (l *Log) release(dirty []unsynced, err error) {
	if err == nil {
		l.writeMarks(dirty)
	}
	for _, d := range dirty {
		_ = d.segment.release() // the last reference of a deleted log: nothing depends on how closing it ends
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dir.indexes.settle(l) // what has an index file now may go
}

func unsyncedBytes(dirty []unsynced) (n int64) {
	for _, d := range dirty {
		n += d.size - d.from
	}
	return n
}

// unsynced is a segment with bytes that are not durable.
type unsynced struct {
	segment *segment
	file    vfs.File // nil: it was synced when it was closed, and not written to since
	from    int64    // bytes that were durable before
	size    int64
	index   []byte // the mark that may be written once size bytes are durable; nil: not yet worth it
}

// dirty takes a reference to each segment with bytes that its own file may lose, or that was ended and has no mark for all
// of it, and to the active one, oldest first.
func (l *Log) dirty() []unsynced {
	first := len(l.segments) - 1
	for first > 0 && min(l.segments[first-1].synced, l.segments[first-1].marked) < l.segments[first-1].x.size {
		first--
	}
	var out []unsynced
	for _, s := range l.segments[first:] {
		d := unsynced{segment: s, file: s.file, from: min(s.synced, s.x.size), size: s.x.size}
		switch {
		case s != l.active():
			if s.x.producers != nil { // else it is not known any more what a mark would have to say of them
				d.index = s.x.encode()
			}
		case s.x.size-s.marked >= markEvery:
			s.x.producers = l.writers.encode()
			d.index = s.x.encode()
			s.x.producers = nil
		}
		s.refs.Add(1)
		out = append(out, d)
	}
	return out
}

// writeMarks lets the marks on disk follow what was synced. They may lag: that one could not be written costs the next
// open a longer scan and nothing else.
func (l *Log) writeMarks(dirty []unsynced) {
	for _, d := range dirty {
		if d.index != nil {
			l.writeMark(d)
		}
	}
}

func (l *Log) writeMark(d unsynced) {
	l.marking.Lock()
	defer l.marking.Unlock()
	l.mu.Lock()
	retired := d.segment.retired
	l.mu.Unlock()
	if retired || writeFile(l.fs, d.segment.path+indexSuffix, d.index) != nil {
		return
	}
	l.mu.Lock()
	d.segment.marked = d.size
	if d.size == d.segment.x.size {
		d.segment.x.producers = nil // it is in the file now
	}
	l.mu.Unlock()
}

// takeWaiters removes and returns those that are durable now, or all of them after a failure.
func (l *Log) takeWaiters(err error) []waiter {
	var ready []waiter
	rest := l.waiters[:0:0]
	for _, w := range l.waiters {
		if err != nil || w.end <= l.durable.offset {
			ready = append(ready, w)
		} else {
			rest = append(rest, w)
		}
	}
	l.waiters = rest
	return ready
}
