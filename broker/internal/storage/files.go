package storage

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What segments hold only while it is used, and give back when others need the room.
const (
	heldFile  = iota // a file descriptor
	heldIndex        // index entries of a segment that is not active, 1 a byte
	heldKinds
)

// indexMemory bounds the index entries of old segments of a directory, in bytes.
const indexMemory = 16 << 20

// cache bounds what segments hold of one kind. Whoever was not used since the hand came by last gives back first. The
// bound is one that may be passed while all of it is in use.
type cache struct {
	kind int
	drop func(*segment) bool // gives back, unless it is needed; the lock of the segment's log is held

	mu    sync.Mutex
	limit int64
	used  int64
	items []*segment
	hand  int
}

// held is what a segment has in a cache. Its log's mutex guards touched, the cache's the rest.
type held struct {
	at      int // place in items, from 1 on; 0: nothing is held
	cost    int64
	touched bool
}

// evictTries bounds how many segments are looked at for one that can give back.
const evictTries = 256

// add notes what s holds now, and has others give back. The lock of s's log is held.
func (c *cache) add(s *segment, cost int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items = append(c.items, s)
	s.held[c.kind] = held{at: len(c.items), cost: cost}
	c.used += cost
	c.fit(s.log, s)
}

// settle has others give back what they needed when something was added. The lock of own is held.
func (c *cache) settle(own *Log) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fit(own, nil)
}

func (c *cache) fit(own *Log, spare *segment) {
	for tries := evictTries; c.used > c.limit && tries > 0; tries-- {
		c.step(own, spare)
	}
}

// shrink has a few give back, whatever the limit. The lock of own is held.
func (c *cache) shrink(own *Log) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.items)
	for tries := evictTries; len(c.items) > before-8 && tries > 0; tries-- {
		c.step(own, nil)
	}
}

// step looks at one segment, but not at spare. The lock of its log is only tried, unless that is own, which is held:
// another thread may have it and wait for this cache.
func (c *cache) step(own *Log, spare *segment) {
	if len(c.items) == 0 {
		return
	}
	c.hand = (c.hand + 1) % len(c.items)
	s := c.items[c.hand]
	if s == spare || s.log != own && !s.log.mu.TryLock() {
		return
	}
	if h := &s.held[c.kind]; h.touched {
		h.touched = false
	} else if s.idle() && c.drop(s) {
		c.take(s)
	}
	if s.log != own {
		s.log.mu.Unlock()
	}
}

// idle tells whether the log alone has a reference. One that it has given up itself is a reader's. The log's lock is held.
func (s *segment) idle() bool { return !s.retired && s.log.closed == nil && s.refs.Load() <= 1 }

// remove notes that s has given back.
func (c *cache) remove(s *segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.take(s)
}

func (c *cache) take(s *segment) {
	h := &s.held[c.kind]
	if h.at == 0 {
		return
	}
	last := len(c.items) - 1
	c.items[h.at-1] = c.items[last]
	c.items[h.at-1].held[c.kind].at = h.at
	c.items = slices.Delete(c.items, last, last+1)
	c.used -= h.cost
	*h = held{}
}

// useFiles sets the bounds up: storage takes half of the descriptors that the process may have.
func (d *Dir) useFiles() {
	d.files = cache{kind: heldFile, limit: descriptors() / 2, drop: d.closeFile}
	d.indexes = cache{kind: heldIndex, limit: indexMemory, drop: func(s *segment) bool {
		if s.marked != s.x.size { // they are nowhere else
			return false
		}
		s.x.entries, s.indexed = nil, false
		return true
	}}
}

func descriptors() int64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<20 {
		return 1 << 20
	}
	return int64(limit.Cur)
}

// closeFile closes the file of a segment that nobody reads. What is not durable in it is synced before: a failure that
// only the closed descriptor knew of would never be heard of. That it is durable is noted in its turn, after the segments
// before it.
func (d *Dir) closeFile(s *segment) bool {
	if s.pinned {
		return false
	}
	if s.synced < s.x.size {
		if err := s.file.SyncData(); err != nil {
			_ = d.fail(err)
			return false
		}
	}
	_ = s.file.Close() // everything in it is durable
	s.file = nil
	return true
}

// use opens the segment's file if it is not. The caller holds the lock, and takes a reference before it gives that back.
func (l *Log) use(s *segment) error {
	if s.file != nil {
		s.held[heldFile].touched = true
		return nil
	}
	f, err := l.open(func() (vfs.File, error) {
		if s == l.active() {
			return l.fs.OpenReadWrite(s.path+logSuffix, vfs.WriteCategoryUnspecified)
		}
		return l.fs.Open(s.path + logSuffix) // which, unlike the other, creates no file
	})
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if s.cut, s.fileEnd = info.Size() < s.synced, info.Size(); s.cut {
		l.dir.note(fmt.Errorf("%w: %s has %d bytes of %d", ErrDamaged, s.path+logSuffix, info.Size(), s.x.size))
	}
	l.opened(s, f)
	return nil
}

// open opens a file, and closes others for it where there is no descriptor left. The caller holds the lock.
func (l *Log) open(how func() (vfs.File, error)) (vfs.File, error) {
	f, err := how()
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		l.dir.files.shrink(l)
		return how()
	}
	return f, err
}

func (l *Log) opened(s *segment, f vfs.File) {
	s.file = f
	l.dir.files.add(s, 1)
}

// index reads the entries of an old segment's index, if they are not there. The caller holds a reference and not the lock.
func (l *Log) index(s *segment) (index, error) {
	l.mu.Lock()
	x, there := s.x, s.indexed
	s.held[heldIndex].touched = true
	l.mu.Unlock()
	if there {
		return x, nil
	}
	raw, err := readFile(l.fs, s.path+indexSuffix)
	if err == nil {
		var whole index
		if whole, err = decodeIndex(raw); err == nil && whole.size == x.size {
			x.entries = whole.entries
		}
	}
	if err != nil || x.entries == nil {
		if x.entries, err = s.indexAgain(x.size); err != nil {
			return x, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.indexed && !s.retired {
		s.x.entries, s.indexed = x.entries, true
		l.dir.indexes.add(s, int64(len(x.entries))*indexEntry)
	}
	return x, nil
}

// indexAgain makes the entries from the batches.
func (s *segment) indexAgain(size int64) ([]entry, error) {
	x := newIndex(s.base)
	_, err := s.scan(0, size, false, x.see)
	return x.entries, err
}
