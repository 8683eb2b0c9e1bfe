package storage

import (
	"errors"
	"sync"
	"time"
)

// commits makes logs durable for which somebody waits: several together by one sync of the write-ahead log, large amounts
// by a sync of their own. What comes while a commit runs is in the next one.
type commits struct {
	dir *Dir

	mu      sync.Mutex
	queue   []*Log
	running bool

	turn sync.Mutex // held during a commit
}

// add queues a log. Its lock may be held.
func (c *commits) add(l *Log) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, l)
	if !c.running {
		c.running = true
		c.dir.syncing.Add(1)
		go c.run()
	}
}

// again puts logs back in front.
func (c *commits) again(logs []*Log) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(logs, c.queue...)
}

// run commits as long as there is something to.
func (c *commits) run() {
	defer c.dir.syncing.Done()
	for {
		c.mu.Lock()
		logs := c.queue
		c.queue = nil
		if len(logs) == 0 {
			c.running = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		c.turn.Lock()
		c.commit(logs)
		c.turn.Unlock()
	}
}

// exclusive runs fn while no commit is under way.
func (c *commits) exclusive(fn func() error) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	return fn()
}

// loose is what a log has that is not durable: bytes of its active segment.
type loose struct {
	segment *segment
	from    int64
	target  mark
}

// loose takes a reference to the active segment. false: it is not all that is to be synced. The caller holds the lock.
func (l *Log) loose() (loose, bool) {
	if len(l.segments) == 0 || l.closed != nil {
		return loose{}, false
	}
	s := l.active()
	t := loose{segment: s, from: l.durable.pos, target: mark{offset: l.end(), segment: s, pos: s.x.size}}
	if l.durable.segment != s {
		if n := len(l.segments); n < 2 || l.durable.segment != l.segments[n-2] || l.durable.pos != l.durable.segment.x.size {
			return loose{}, false
		}
		t.from = 0
	}
	if l.use(s) != nil {
		return loose{}, false
	}
	s.refs.Add(1)
	return t, true
}

// commit makes logs durable. Those that do not fit into one block of the write-ahead log wait for the next.
func (c *commits) commit(logs []*Log) {
	w := &c.dir.wal
	if !w.ready() {
		c.alone(logs)
		return
	}
	var together []*Log
	var tails []loose
	var size int64
	for i, l := range logs {
		l.mu.Lock()
		t, ok := l.loose()
		l.mu.Unlock()
		n := t.target.pos - t.from
		switch {
		case ok && n < walTailMax && w.fits(size+n, len(tails)+1):
			together, tails, size = append(together, l), append(tails, t), size+n
			continue
		case ok:
			_ = t.segment.release()
		}
		if !ok || n >= walTailMax || !w.fits(n, 1) {
			c.alone(logs[i : i+1])
			continue
		}
		c.again(logs[i:])
		break
	}
	if len(together) == 0 {
		return
	}
	begin := time.Now()
	if err := w.read(together, tails); err != nil {
		for _, t := range tails {
			_ = t.segment.release()
		}
		c.alone(together)
		return
	}
	err := c.dir.failIfSync(w.commit(len(together), together))
	if err == nil {
		err = c.dir.Check()
	} else if !errors.Is(err, errSync) {
		for _, t := range tails {
			_ = t.segment.release()
		}
		c.alone(together)
		return
	}
	tell := func() {
		defer c.dir.syncing.Done()
		waiters := 0
		for i, l := range together {
			c.dir.early.grown(tails[i].segment, tails[i].target.pos)
			waiters += l.committed(tails[i].target, err)
			_ = tails[i].segment.release()
			l.next()
		}
		c.dir.stats.synced(begin, size, waiters, err)
	}
	c.dir.syncing.Add(1)
	if c.waiting() { // the next commit need not wait until all are told
		go tell()
	} else {
		tell()
	}
}

// waiting tells whether there is another commit to begin with.
func (c *commits) waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) > 0
}

// alone syncs the files of each log.
func (c *commits) alone(logs []*Log) {
	for _, l := range logs {
		c.dir.syncing.Add(1)
		go func() {
			defer c.dir.syncing.Done()
			l.syncAlone()
			l.next()
		}()
	}
}

// read fills the next block with the tails.
func (w *wal) read(logs []*Log, tails []loose) error {
	w.buf = beginBlock(w.buf)
	for i, t := range tails {
		n := int(t.target.pos - t.from)
		var data []byte
		w.buf, data = appendEntry(w.buf, logs[i].name, t.segment.base, t.from, n)
		if got, err := t.segment.file.ReadAt(data, t.from); got < n {
			return err
		}
	}
	return nil
}

// committed notes what is durable now, tells who waited for it, and returns how many that were.
func (l *Log) committed(target mark, err error) int {
	l.mu.Lock()
	if err == nil && target.offset >= l.durable.offset {
		l.durable = target
	}
	ready := l.takeWaiters(err)
	l.mu.Unlock()
	for _, w := range ready {
		w.tell(err)
	}
	return len(ready)
}

// next queues the log again if somebody waits still.
func (l *Log) next() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiters) > 0 {
		l.dir.commits.add(l)
		return
	}
	l.syncing = false
	l.idle.Broadcast()
}
