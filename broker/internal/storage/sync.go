package storage

import "time"

// markEvery is how many synced bytes may pass before the mark on disk follows: the most that recovery reads again.
const markEvery = 8 << 20

// waiter is told when everything below end is durable, or never will be.
type waiter struct {
	end  int64
	done func(error)
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
		l.dir.syncing.Add(1)
		go l.syncLoop()
	}
}

// syncSoon makes what lies before end durable without anybody waiting, so that a rolled segment gets its mark even where
// flush.messages leaves syncing to the operating system. The caller holds the lock.
func (l *Log) syncSoon(end int64) {
	if end > l.durable.offset {
		l.await(waiter{end, func(error) {}})
	}
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

// syncLoop syncs as long as somebody waits. Whoever comes while a sync runs shares the next one.
func (l *Log) syncLoop() {
	defer l.dir.syncing.Done()
	for l.syncOnce() {
	}
}

// syncOnce serves those who wait now, and reports whether there were any. It holds one of the directory's slots, and
// gives it back so that a busy log queues behind the others for the next.
func (l *Log) syncOnce() bool {
	l.dir.workers <- struct{}{}
	defer func() { <-l.dir.workers }()
	l.mu.Lock()
	if len(l.waiters) == 0 {
		l.syncing = false
		l.idle.Broadcast()
		l.mu.Unlock()
		return false
	}
	target := mark{offset: l.end(), segment: l.active(), pos: l.active().x.size}
	dirty := l.dirty()
	l.mu.Unlock()

	begin := time.Now()
	err := syncFiles(dirty)
	if err != nil {
		err = l.dir.fail(err)
	}
	l.mu.Lock()
	if err == nil {
		l.durable = target
		for _, d := range dirty {
			d.segment.synced = d.size
		}
	}
	ready := l.takeWaiters(err)
	l.mu.Unlock()
	l.dir.stats.synced(begin, dirty, len(ready), err)
	for _, w := range ready {
		w.done(err)
	}
	if err == nil {
		l.writeMarks(dirty)
	}
	for _, d := range dirty {
		_ = d.segment.release() // the last reference of a deleted log: nothing depends on how closing it ends
	}
	return true
}

// unsynced is a segment with bytes that are not durable.
type unsynced struct {
	segment *segment
	from    int64 // bytes that were durable before
	size    int64
	index   []byte // the mark that may be written once size bytes are durable; nil: not yet worth it
}

// dirty takes a reference to each segment with bytes that are not durable, oldest first.
func (l *Log) dirty() []unsynced {
	first := len(l.segments) - 1
	for first > 0 && l.segments[first-1].synced < l.segments[first-1].x.size {
		first--
	}
	var out []unsynced
	for _, s := range l.segments[first:] {
		d := unsynced{segment: s, from: min(s.synced, s.x.size), size: s.x.size}
		if s != l.active() || s.x.size-s.marked >= markEvery {
			if s == l.active() {
				s.x.producers = l.writers.encode()
			}
			d.index = s.x.encode()
			if s == l.active() {
				s.x.producers = nil
			}
		}
		s.refs.Add(1)
		out = append(out, d)
	}
	return out
}

func syncFiles(dirty []unsynced) error {
	for _, d := range dirty {
		if err := d.segment.file.SyncData(); err != nil {
			return err
		}
	}
	return nil
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
