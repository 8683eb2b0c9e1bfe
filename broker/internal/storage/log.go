package storage

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/internal/batch"
)

// LogConfig is what a log can be told while it is open.
type LogConfig struct {
	SegmentBytes int64         // roll before a segment would grow beyond; 0: 1 GiB
	SegmentAge   time.Duration // roll when a batch is that much later than the first; 0: never

	ProducerExpiry time.Duration // how long a producer that does not write is remembered; 0: for ever
}

const defaultSegmentBytes = 1 << 30

// Log is an append-only sequence of record batches in segment files.
type Log struct {
	dir  *Dir
	fs   vfs.FS
	name string
	path string

	// Taken in this order, before mu.
	compacting  sync.Mutex // held during a compaction
	maintaining sync.Mutex // held while segments are deleted or replaced; guards swap
	marking     sync.Mutex // held while an index file is written
	left        string     // index file of a segment that is gone, kept for what it says of producers; guarded by marking
	swap        *swap      // a change of files that is decided and not yet carried out

	mu       sync.Mutex
	cfg      LogConfig
	start    int64    // the first offset that is served
	cleaned  *cleaned // how far it was compacted; nil: not looked at yet
	loaded   bool
	cut      bool  // a load put aside what follows the last whole batch
	closed   error // why nothing goes any more
	segments []*segment
	writers  producers
	durable  mark
	syncing  bool
	idle     sync.Cond // signalled when syncing ends
	waiters  []waiter
}

// mark is a place in the log: the offset after a batch, and where that is.
type mark struct {
	offset  int64
	segment *segment
	pos     int64
}

// OpenLog returns the log called name. Its files are read at the first use and created at the first append.
func (d *Dir) OpenLog(name string, cfg LogConfig) *Log {
	l := &Log{dir: d, fs: d.fs, name: name, path: d.fs.PathJoin(d.path, name), cfg: cfg, writers: newProducers()}
	l.idle.L = &l.mu
	return l
}

// Configure changes the settings of an open log, from the next append on.
func (l *Log) Configure(cfg LogConfig) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cfg = cfg
}

// Appended tells where a batch is.
type Appended struct {
	BaseOffset int64
	NextOffset int64
	Repeated   bool  // it was there already: its producer sent it again
	Time       int64 // largest timestamp, ms since 1970
}

// Append writes whole, checked batches of the broker's own to the end of the log, gives them offsets and the leader's
// epoch in place, and returns before they are durable. now is the clock, for the age of segments whose records have no
// time. If the write fails the log is as before.
func (l *Log) Append(batches []byte, epoch int32, now time.Time) (Appended, error) {
	return l.append(batches, epoch, fromSelf, -1, now)
}

// AppendClient is Append for one batch of a client, whose sequence must follow (ErrSequence, ErrProducerEpoch,
// ErrTxnState). since is where the log ended when its coordinator was asked whether the batch is part of a transaction;
// -1: it was not asked.
func (l *Log) AppendClient(b []byte, epoch int32, since int64, now time.Time) (Appended, error) {
	return l.append(b, epoch, fromClient, since, now)
}

func (l *Log) append(batches []byte, epoch int32, from origin, since int64, now time.Time) (Appended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return Appended{}, err
	}
	head, err := batch.ReadHeader(batches)
	if err != nil {
		return Appended{}, fmt.Errorf("append: %w", err)
	}
	again, err := l.writers.check(&head, from, since)
	if err != nil {
		return Appended{}, err
	}
	if again != nil {
		return Appended{again.base, again.base + int64(again.delta) + 1, true, again.time}, nil
	}
	return l.write(batches, &head, epoch, now)
}

// AppendMarker ends a transaction. version 2 or later says that the marker has an epoch of its own, above that of the
// transaction (KIP-1228). A marker that is there already is not written again.
func (l *Log) AppendMarker(m batch.Marker, version int16, epoch int32, now time.Time) (Appended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return Appended{}, err
	}
	done, err := l.writers.checkMarker(m, version)
	if err != nil {
		return Appended{}, err
	}
	if done {
		return Appended{BaseOffset: -1, NextOffset: l.end(), Repeated: true}, nil
	}
	raw := batch.AppendMarker(nil, m, now.UnixMilli())
	head, err := batch.ReadHeader(raw)
	if err != nil {
		return Appended{}, err
	}
	out, err := l.write(raw, &head, epoch, now)
	if err != nil {
		return out, err
	}
	if a, aborted := l.writers.end(m, out.BaseOffset, now.UnixMilli()); aborted {
		seg := l.active()
		seg.x.aborted = append(seg.x.aborted, a)
	}
	return out, nil
}

// write puts checked batches at the end of the log. head is the header of the first. The caller holds the lock.
func (l *Log) write(batches []byte, head *batch.Header, epoch int32, now time.Time) (Appended, error) {
	seg, err := l.writable(int64(len(batches)), head.MaxTimestamp, now)
	if err == nil {
		err = l.use(seg)
	}
	if err != nil {
		return Appended{}, l.rollFailed(err)
	}
	out := Appended{BaseOffset: seg.x.next, Time: head.MaxTimestamp}
	next := seg.x.next
	for rest := batches; len(rest) > 0; {
		h, err := batch.ReadHeader(rest)
		if err != nil || h.Size() > len(rest) {
			return Appended{}, fmt.Errorf("append: %w", errors.Join(err, batch.ErrShort))
		}
		batch.SetBaseOffset(rest, next)
		batch.SetLeaderEpoch(rest, epoch)
		next += int64(h.LastOffsetDelta) + 1
		rest = rest[h.Size():]
	}
	if _, err := seg.file.WriteAt(batches, seg.x.size); err != nil {
		return Appended{}, l.writeFailed(err)
	}
	for rest := batches; len(rest) > 0; {
		h, _ := batch.ReadHeader(rest) // read without an error above
		seg.x.add(h.BaseOffset, h.LastOffset(), h.MaxTimestamp, int64(h.Size()), epoch)
		if h.ProducerID >= 0 {
			l.writers.add(&h, now.UnixMilli())
			l.writers.prune(now, l.cfg.ProducerExpiry)
		}
		rest = rest[h.Size():]
	}
	out.NextOffset = seg.x.next
	return out, nil
}

// writeFailed words a failed write. A full disk is the caller's to wait out: the log goes on where it was.
func (l *Log) writeFailed(err error) error {
	if vfs.IsNoSpaceError(err) {
		return fmt.Errorf("append to %s: %w", l.path, err)
	}
	return l.dir.fail(fmt.Errorf("append to %s: %w", l.path, err))
}

// rollFailed words a failure to begin a segment. Nothing was written, so it is this append's alone (there may be no file
// descriptor just now), unless a sync failed.
func (l *Log) rollFailed(err error) error {
	err = fmt.Errorf("append to %s: %w", l.path, err)
	if errors.Is(err, errSync) {
		return l.dir.fail(err)
	}
	return err
}

// usable loads the log at its first use. The caller holds the lock.
func (l *Log) usable() error {
	if l.closed != nil {
		return l.closed
	}
	if err := l.dir.Offline(); err != nil {
		return err
	}
	if l.loaded {
		return nil
	}
	if err := l.load(); err != nil {
		return l.dir.failIfSync(err)
	}
	l.loaded = true
	return nil
}

func (l *Log) active() *segment { return l.segments[len(l.segments)-1] }

// writable returns the segment that takes size more bytes of records from time at, rolling to a new one when it is time.
func (l *Log) writable(size, at int64, now time.Time) (*segment, error) {
	if len(l.segments) == 0 {
		if err := l.fs.MkdirAll(l.path, dirMode); err != nil {
			return nil, err
		}
		return l.roll(l.start, now)
	}
	seg := l.active()
	full := seg.size() > 0 && seg.size()+size > l.segmentLimit()
	old := l.cfg.SegmentAge > 0 && seg.age(at, now) > l.cfg.SegmentAge
	wide := seg.x.next-seg.base > math.MaxInt32-size // a batch holds fewer records than bytes
	if seg.size() > 0 && (full || old || wide) {
		return l.roll(seg.x.next, now)
	}
	return seg, nil
}

func (l *Log) segmentLimit() int64 {
	if l.cfg.SegmentBytes == 0 {
		return defaultSegmentBytes
	}
	return l.cfg.SegmentBytes
}

// roll starts the segment that begins at base. Its name is durable before a byte is written to it.
func (l *Log) roll(base int64, now time.Time) (*segment, error) {
	seg := l.newSegment(base)
	seg.created = now
	f, err := l.open(func() (vfs.File, error) { return l.fs.Create(seg.path+logSuffix, vfs.WriteCategoryUnspecified) })
	if err != nil {
		return nil, err
	}
	err = errors.Join(f.Close(), syncDir(l.fs, l.path))
	if len(l.segments) == 0 { // the directory may be new: where a file system has a journal, one write of it has both names
		err = errors.Join(err, syncDir(l.fs, l.dir.path))
	}
	if err != nil {
		return nil, err
	}
	// Create gives a file that only appends; positions are needed to write again over a failed write.
	if f, err = l.fs.OpenReadWrite(seg.path+logSuffix, vfs.WriteCategoryUnspecified); err != nil {
		return nil, err
	}
	l.opened(seg, f)
	if len(l.segments) > 0 {
		l.active().rolled(l.writers.encode())
	}
	l.segments = append(l.segments, seg)
	if len(l.segments) == 1 {
		l.durable = mark{offset: base, segment: seg}
	}
	if len(l.segments) > 1 {
		l.checkpointSoon()
	}
	return seg, nil
}

// StartOffset is the first offset that is served, or EndOffset if there is none.
func (l *Log) StartOffset() (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return 0, err
	}
	return l.start, nil
}

// EndOffset is the offset that the next record gets.
func (l *Log) EndOffset() (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return 0, err
	}
	return l.end(), nil
}

func (l *Log) end() int64 {
	if len(l.segments) == 0 {
		return l.start
	}
	return l.active().x.next
}

// DurableOffset is the offset below which everything survives a power loss.
func (l *Log) DurableOffset() (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return 0, err
	}
	return l.durable.offset, nil
}

// EpochEnd answers OffsetForLeaderEpoch: the largest epoch at or below the asked one that the log knows, and the offset
// after its last record (KIP-101, KIP-279). -1, -1 where the asked one is later than all.
func (l *Log) EpochEnd(epoch int32) (int32, int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return -1, -1, err
	}
	all := l.epochs()
	i := sort.Search(len(all), func(i int) bool { return all[i].epoch > epoch })
	switch {
	case len(all) == 0 || i == len(all) && all[i-1].epoch < epoch:
		return -1, -1, nil // later than anything known here
	case i == len(all):
		return epoch, l.end(), nil
	case i == 0:
		return epoch, all[0].start, nil // before anything that is still there
	default:
		return all[i-1].epoch, all[i].start, nil
	}
}

// epochs lists where leader epochs begin, from the start offset on.
func (l *Log) epochs() []epochStart {
	var all []epochStart
	for _, s := range l.segments {
		for _, e := range s.x.epochs {
			e.start = max(e.start, l.start)
			n := len(all)
			switch {
			case n > 0 && all[n-1].epoch == e.epoch:
			case n > 0 && all[n-1].start == e.start: // the one before has no record left
				all[n-1] = e
			default:
				all = append(all, e)
			}
		}
	}
	return all
}

// LastStableOffset is the offset below which every transaction is decided, given the high watermark. What an open transaction
// has lost to a later start does not count.
func (l *Log) LastStableOffset(high int64) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return 0, err
	}
	return max(l.start, l.writers.lastStable(high)), nil
}

// Aborted lists the aborted transactions with records in [from, to), where to is at most the last stable offset.
func (l *Log) Aborted(from, to int64) ([]Aborted, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return nil, err
	}
	var out []Aborted
	for _, s := range l.segments {
		if s.x.next <= from {
			continue
		}
		for _, a := range s.x.aborted {
			if a.LastOffset >= from && a.FirstOffset < to {
				out = append(out, a)
			}
			if a.stable >= to {
				return out, nil // what ended later began later
			}
		}
	}
	return out, nil
}

// InTransaction tells whether a producer has an open transaction here, in this epoch.
func (l *Log) InTransaction(producerID int64, epoch int16) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return false, err
	}
	p := l.writers.known[producerID]
	return p != nil && p.TxnStart >= 0 && p.Epoch == epoch, nil
}

// Knows tells whether the log has something of a producer.
func (l *Log) Knows(producerID int64) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return false, err
	}
	return l.writers.known[producerID] != nil, nil
}

// Producers lists the producers that are known, by id, and forgets those that expired.
func (l *Log) Producers(now time.Time) ([]Producer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return nil, err
	}
	l.writers.expire(now, l.cfg.ProducerExpiry)
	out := make([]Producer, 0, len(l.writers.known))
	for _, p := range l.writers.known {
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b Producer) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// Close syncs what is not durable yet, marks it, and closes the files.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed != nil {
		l.mu.Unlock()
		return nil
	}
	l.mu.Unlock()
	err := l.Sync()
	if err == nil {
		err = l.checkpoint()
	}
	l.markRolled()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.syncing {
		l.idle.Wait() // it may still write marks
	}
	for _, s := range l.segments { // what came meanwhile may be durable in the write-ahead log only, which ends
		if err == nil && s.file != nil && s.synced < s.x.size {
			err = s.sync(s.file)
		}
	}
	if err == nil && l.loaded && len(l.segments) > 0 && l.dir.Offline() == nil {
		err = l.closeMark()
	}
	l.closed = ErrClosed
	return errors.Join(err, l.closeFiles())
}

// closeMark leaves the mark of the active segment for the next start. The caller holds the lock.
func (l *Log) closeMark() error {
	s := l.active()
	s.x.producers = l.writers.encode()
	if raw := s.x.encode(); len(raw) <= marksMax {
		l.dir.marks.put(l.name, s.base, raw)
		return nil
	}
	return s.writeIndex(l.fs)
}

func (l *Log) closeFiles() error {
	var errs []error
	for _, s := range l.segments {
		errs = append(errs, s.release())
	}
	return errors.Join(errs...)
}

// Delete removes the log and its files. Readers that still hold a chunk may finish. A power loss can bring files back: who
// deletes knows so durably, and deletes again what is left at the next start. So ten thousand logs go without a sync each.
func (l *Log) Delete() error {
	l.mu.Lock()
	l.closed = ErrDeleted
	l.dir.marks.forget(l.name)
	waiters := l.waiters
	l.waiters = nil
	err := l.closeFiles()
	l.mu.Unlock()
	for _, w := range waiters {
		w.done(ErrDeleted)
	}
	if _, statErr := l.fs.Stat(l.path); statErr != nil {
		return err // it never had files
	}
	gone := l.path + deletedSuffix
	if err := errors.Join(err, l.fs.Rename(l.path, gone)); err != nil {
		return err
	}
	return l.fs.RemoveAll(gone)
}
