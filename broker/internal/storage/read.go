package storage

import (
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/internal/batch"
)

// Chunk is a range of a segment file: whole batches, except that the last may be cut off. Release it after use.
type Chunk struct {
	segment *segment
	Pos     int64
	Len     int
	Next    int64 // offset after the chunk; 0 if it is empty
}

// File is where the bytes are.
func (c Chunk) File() vfs.File { return c.segment.file }

// ReadInto reads the first len(dst) bytes of the chunk.
func (c Chunk) ReadInto(dst []byte) error {
	if len(dst) == 0 {
		return nil
	}
	if n, err := c.segment.file.ReadAt(dst, c.Pos); n < len(dst) {
		return err
	}
	return nil
}

// Release gives the chunk back. A chunk without bytes needs none, but may be released.
func (c Chunk) Release() {
	if c.segment != nil {
		_ = c.segment.release() // a reader has nothing to do about a file of a deleted log that does not close well
	}
}

// Read finds the batches from the one that contains offset on: at most max bytes, but the first batch whole if minOne,
// and nothing at or beyond limit, which is the end offset, the durable offset, or any batch boundary below.
// At the end it returns an empty chunk. ErrOffsetOutOfRange: offset is before the start or after the end.
func (l *Log) Read(offset int64, max int, limit int64, minOne bool) (Chunk, error) {
	l.mu.Lock()
	if err := l.usable(); err != nil {
		l.mu.Unlock()
		return Chunk{}, err
	}
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].base > offset }) - 1
	if offset == l.end() {
		l.mu.Unlock()
		return Chunk{}, nil
	}
	if i < 0 || offset > l.end() || offset < l.start {
		l.mu.Unlock()
		return Chunk{}, ErrOffsetOutOfRange
	}
	seg := l.segments[i]
	end, endOffset, exact := seg.x.size, seg.x.next, true
	switch {
	case limit >= seg.x.next:
	case limit == l.durable.offset && seg == l.durable.segment:
		end, endOffset = l.durable.pos, limit
	default:
		exact = false
	}
	pos, known := seg.hinted(offset)
	if !known && seg.indexed {
		seg.held[heldIndex].touched = true
		pos, known = seg.x.before(offset).pos, true
	}
	var far entry
	if seg.indexed {
		far = seg.x.within(pos+int64(max), limit)
	}
	if err := l.use(seg); err != nil {
		l.mu.Unlock()
		return Chunk{}, err
	}
	if seg.cut && end > seg.fileEnd {
		end, exact = seg.fileEnd, false
	}
	short := end < seg.x.size && seg.cut
	seg.refs.Add(1)
	l.mu.Unlock()

	if !known {
		x, err := l.index(seg)
		if err != nil {
			return Chunk{}, errors.Join(err, seg.release())
		}
		pos = x.before(offset).pos
		far = x.within(pos+int64(max), limit)
	}
	c, next, err := seg.find(offset, pos, end, limit, exact, far, max, minOne)
	if err == nil && c.Len == 0 && short && offset < limit {
		err = seg.damagedAt(offset)
	}
	if errors.Is(err, ErrDamaged) {
		l.dir.note(err)
	}
	if err != nil || c.Len == 0 {
		return Chunk{}, errors.Join(err, seg.release())
	}
	if exact && c.Pos+int64(c.Len) == end {
		next = endOffset
	}
	c.Next = next
	l.mu.Lock()
	seg.remember(next, c.Pos+int64(c.Len))
	l.mu.Unlock()
	return c, nil
}

// find looks for the batch with offset from pos on, and for how far the chunk may go: to far, a boundary that is known, where
// that is beyond the first batch; else it looks at one batch after the other. next is the offset after the chunk, unless the
// chunk goes up to end.
func (s *segment) find(offset, pos, end, limit int64, exact bool, far entry, max int, minOne bool) (c Chunk, next int64, err error) {
	start := int64(-1)
	var first int
	var stop int64
	least, backwards := s.base, false
	_, err = s.scan(pos, end, false, func(h batch.Header, at int64) bool {
		if h.BaseOffset < least { // the checksum leaves the offset out
			backwards = true
			return false
		}
		least = h.LastOffset() + 1
		if start < 0 {
			if h.LastOffset() < offset {
				return true
			}
			if h.LastOffset() >= limit {
				return false
			}
			start, first = at, h.Size()
		} else if h.LastOffset() >= limit || at+int64(h.Size())-start > int64(max) {
			return false
		}
		stop, next = at+int64(h.Size()), h.LastOffset()+1
		// With the end known, only the first batch need be looked at when everything up to there is wanted.
		return (!exact || end-start > int64(max)) && far.pos <= stop
	})
	switch {
	case err != nil:
		return Chunk{}, 0, err
	case start < 0 && (backwards || exact && limit > offset):
		return Chunk{}, 0, s.damagedAt(offset)
	case start < 0:
		return Chunk{}, 0, nil
	}
	switch {
	case exact && end-start <= int64(max):
		stop = end
	case far.pos > stop:
		stop, next = far.pos, far.offset
	}
	if stop-start > int64(max) && !minOne {
		return Chunk{}, 0, nil
	}
	if n := int64(first); stop-start < n {
		stop = start + n
	}
	return Chunk{segment: s, Pos: start, Len: int(stop - start)}, next, nil
}

func (s *segment) damagedAt(offset int64) error {
	return fmt.Errorf("%w: offset %d in %s", ErrDamaged, offset, s.path+logSuffix)
}

// walk calls fn with the header of every batch from position pos of the segment on, until it returns false.
func (s *segment) walk(pos int64, end int64, fn func(h batch.Header, pos int64) bool) error {
	_, err := s.scan(pos, end, false, fn)
	return err
}

// OffsetForTime finds the first record at or after ts (ms since 1970) below limit. -1, -1: there is none.
func (l *Log) OffsetForTime(ts, limit int64) (offset, at int64, err error) {
	offset, at = -1, -1
	for next := int64(0); err == nil && offset < 0; { // a header may claim a later time than its records have: then the next may hold it
		var s *segment
		var start int64
		if s, start, err = l.holds(ts, next, limit); err != nil || s == nil {
			break
		}
		next = s.base + 1
		offset, at, err = l.firstIn(s, ts, start, limit)
		err = errors.Join(err, s.release())
	}
	return offset, at, err
}

// holds finds the first segment with a base offset in [from, limit) that may hold a record at or after ts, and takes a
// reference. nil: none does. start is where the log starts.
func (l *Log) holds(ts, from, limit int64) (s *segment, start int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return nil, 0, err
	}
	first := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].base >= from })
	for _, s := range l.segments[first:] {
		if s.base >= limit {
			break
		}
		if s.x.maxTime >= ts {
			if err := l.use(s); err != nil {
				return nil, 0, err
			}
			s.refs.Add(1)
			return s, l.start, nil
		}
	}
	return nil, l.start, nil
}

// firstIn finds the first record at or after ts in a segment.
func (l *Log) firstIn(s *segment, ts, start, limit int64) (offset, at int64, err error) {
	x, err := l.index(s)
	if err != nil {
		return -1, -1, err
	}
	pos := max(x.beforeTime(ts).pos, x.before(start).pos)
	return span{s, pos, x.size, start}.firstAt(ts, limit)
}

// span is a range of a segment that a search may read without the log's lock, for records from offset start on.
type span struct {
	segment  *segment
	pos, end int64
	start    int64
}

// firstAt finds the first record at or after ts below limit.
func (s span) firstAt(ts, limit int64) (offset, at int64, err error) {
	offset, at = -1, -1
	var inner error
	err = s.segment.walk(s.pos, s.end, func(h batch.Header, pos int64) bool {
		if h.LastOffset() >= limit {
			return false
		}
		if h.MaxTimestamp < ts || h.LastOffset() < s.start {
			return true
		}
		offset, at, inner = s.recordAt(h, pos, ts)
		return offset < 0 && inner == nil
	})
	return offset, at, errors.Join(err, inner)
}

var errFound = errors.New("found")

// recordAt finds the first record at or after ts in the batch at pos.
func (s span) recordAt(h batch.Header, pos, ts int64) (offset, at int64, err error) {
	offset, at = -1, -1
	err = s.records(h, pos, func(o, t int64) error {
		if t < ts || o < s.start {
			return nil
		}
		offset, at = o, t
		return errFound
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return offset, at, err
}

// MaxTime finds the record with the largest timestamp below limit: its offset and time, or -1, -1 where there is none
// (KIP-734).
func (l *Log) MaxTime(limit int64) (offset, at int64, err error) {
	l.mu.Lock()
	if err := l.usable(); err != nil {
		l.mu.Unlock()
		return -1, -1, err
	}
	at = -1
	start := l.start
	var across []*segment // in which the start and the limit lie
	for _, s := range l.segments {
		switch {
		case s.base >= start && s.x.next <= limit:
			at = max(at, s.x.maxTime)
		case s.base < limit:
			if useErr := l.use(s); useErr != nil {
				err = useErr
				continue
			}
			s.refs.Add(1)
			across = append(across, s)
		}
	}
	l.mu.Unlock()
	for _, s := range across {
		latest, scanErr := l.latestIn(s, start, limit)
		at, err = max(at, latest), errors.Join(err, scanErr, s.release())
	}
	if err != nil || at < 0 {
		return -1, -1, err
	}
	return l.OffsetForTime(at, limit)
}

// latestIn is the largest timestamp of the records of a segment from start up to limit, as far as headers tell.
func (l *Log) latestIn(s *segment, start, limit int64) (int64, error) {
	x, err := l.index(s)
	if err != nil {
		return -1, err
	}
	e, known := x.before(limit), int64(-1)
	if s.base < start {
		e = x.before(start)
	} else {
		known = e.maxTime
	}
	at, err := span{s, e.pos, x.size, start}.latest(limit)
	return max(at, known), err
}

// latest is the largest timestamp of the records from the start up to limit, as far as headers tell.
func (s span) latest(limit int64) (at int64, err error) {
	at = -1
	var inner error
	err = s.segment.walk(s.pos, s.end, func(h batch.Header, pos int64) bool {
		latest := h.MaxTimestamp
		switch {
		case h.LastOffset() >= limit:
			return false
		case h.LastOffset() < s.start:
			return true
		case h.BaseOffset < s.start: // the latest record may be one that was deleted
			latest, inner = s.latestOf(h, pos)
		}
		at = max(at, latest)
		return inner == nil
	})
	return at, errors.Join(err, inner)
}

// latestOf is the largest timestamp of the records from the start on in the batch at pos.
func (s span) latestOf(h batch.Header, pos int64) (at int64, err error) {
	at = -1
	err = s.records(h, pos, func(offset, ts int64) error {
		if offset >= s.start {
			at = max(at, ts)
		}
		return nil
	})
	return at, err
}

// records calls fn with the offset and the time of each record of the batch at pos.
func (s span) records(h batch.Header, pos int64, fn func(offset, ts int64) error) error {
	raw := make([]byte, h.Size())
	if n, err := s.segment.file.ReadAt(raw, pos); n < len(raw) && !errors.Is(err, io.EOF) {
		return err
	}
	var scratch batch.Scratch
	return batch.Within(raw, batch.DefaultMaxDecompressed, &scratch, func(limits batch.Limits) error {
		return batch.Walk(raw, limits, &scratch, func(r *batch.Record) error {
			ts := h.BaseTimestamp + r.TimestampDelta
			if h.LogAppendTime() {
				ts = h.MaxTimestamp
			}
			return fn(h.BaseOffset+int64(r.OffsetDelta), ts)
		})
	})
}
