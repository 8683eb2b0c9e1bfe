package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"time"

	"github.com/leatstream/leat/internal/batch"
)

// Compaction is how a log that keeps the last record of every key is cleaned.
type Compaction struct {
	DirtyRatio float64       // a pass is due when more than this share of the bytes is new
	MinLag     time.Duration // records stay that long at least
	MaxLag     time.Duration // a pass is due when the oldest new record is older; 0: never for that
	Tombstones time.Duration // how long tombstones and markers stay once what they ended is gone
	Buffer     int           // bytes for the keys of one pass
	// Pause is told how many bytes were read or written, and may wait; its error ends the pass. May be nil.
	Pause func(bytes int) error
}

// cleanedFile says how far a log was compacted: docs/formats/segment.md.
const cleanedFile = "cleaned"

const (
	cleanedMagic = 0x6c656331 // "lec1"
	cleanedLen   = 4 + 8 + 8 + 4
)

// cleaned is how far a log was compacted, and when the next tombstone or marker may go.
type cleaned struct {
	offset  int64
	horizon int64 // ms since 1970; math.MaxInt64: there is none
}

func (c cleaned) encode() []byte {
	be := binary.BigEndian
	b := be.AppendUint32(make([]byte, 0, cleanedLen), cleanedMagic)
	b = be.AppendUint64(be.AppendUint64(b, uint64(c.offset)), uint64(c.horizon))
	return be.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// readCleaned returns how far the log was compacted. A file that is missing or damaged costs a pass over everything.
func (l *Log) readCleaned() cleaned {
	be := binary.BigEndian
	b, err := readFile(l.fs, l.fs.PathJoin(l.path, cleanedFile))
	if err != nil || len(b) != cleanedLen || be.Uint32(b) != cleanedMagic || be.Uint32(b[cleanedLen-4:]) != crc32.Checksum(b[:cleanedLen-4], castagnoli) {
		return cleaned{horizon: math.MaxInt64}
	}
	return cleaned{int64(be.Uint64(b[4:])), int64(be.Uint64(b[12:]))}
}

// Compact removes records that a later one of the same key stands for, below stable, the last stable offset, if a pass is
// due. It reports whether it made one. Offsets never change; the active segment is left alone. One pass runs at a time.
func (l *Log) Compact(c Compaction, stable int64, now time.Time) (ran bool, err error) {
	l.compacting.Lock()
	defer l.compacting.Unlock()
	if err := l.finishSwap(); err != nil {
		return false, err
	}
	l.markRolled()
	p, err := l.plan(c, stable, now)
	if err != nil || p == nil {
		return false, err
	}
	err = p.run()
	if gone := l.isClosed(); err != nil && gone != nil {
		return true, gone // whatever failed, it was because of that
	}
	return true, l.changeFailed(err)
}

func (l *Log) isClosed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// pass is one compaction of a log.
type pass struct {
	Compaction
	log      *Log
	now      int64
	segments []*segment // from the first one on
	limit    int64      // bytes of a segment
	from     int64      // where new records begin
	to       int64      // where the keys that were noted end
	horizon  int64      // the earliest that is left

	keys    *keyTable
	damaged map[*segment]bool // what cannot be read to its end stays as it is
	unsure  bool              // something like that came before: tombstones and markers may still be needed
	aborted map[int64][]Aborted
	last    map[int64]lastWritten // of producers that are still known
	begun   map[int64]bool        // producers with records of a transaction whose marker is still to come

	scratch batch.Scratch
	keep    []bool
	out     []byte
}

// lastWritten is which of a producer's batches must stay, so that its sequences can be told from the log alone.
type lastWritten struct {
	epoch int16
	last  int64 // last offset of its last batch; -1: it has only ended transactions
}

// plan decides whether a pass is due and over which segments. nil: none is.
func (l *Log) plan(c Compaction, stable int64, now time.Time) (*pass, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return nil, err
	}
	if len(l.segments) == 0 {
		return nil, nil
	}
	if l.cleaned == nil {
		c := l.readCleaned()
		l.cleaned = &c
	}
	done := *l.cleaned
	if done.offset < l.start || done.offset > l.end() {
		done.offset = l.start
	}
	if err := l.rollForLag(c.MaxLag, now); err != nil {
		return nil, err
	}
	p := &pass{Compaction: c, log: l, now: now.UnixMilli(), limit: l.segmentLimit(), from: done.offset, horizon: math.MaxInt64, damaged: map[*segment]bool{}, begun: map[int64]bool{}}
	var clean, dirty int64
	oldest := int64(math.MaxInt64)
	for i, s := range l.segments[:len(l.segments)-1] {
		isDirty := l.segmentEnd(i) > done.offset
		if l.segmentEnd(i) > stable || !l.marked(s) || isDirty && c.MinLag > 0 && now.Sub(l.latest(s, now)) < c.MinLag {
			break
		}
		p.segments = append(p.segments, s)
		if isDirty {
			dirty += s.size()
			if s.x.first >= 0 {
				oldest = min(oldest, s.x.first)
			}
		} else {
			clean += s.size()
		}
	}
	lagging := c.MaxLag > 0 && oldest < now.Add(-c.MaxLag).UnixMilli()
	due := dirty > 0 && (lagging || float64(dirty) > c.DirtyRatio*float64(clean+dirty))
	if !due && done.horizon > p.now || len(p.segments) == 0 {
		return nil, nil
	}
	p.producers()
	return p, nil
}

// rollForLag begins a new segment when the active one holds records that may no longer be left out.
func (l *Log) rollForLag(lag time.Duration, now time.Time) error {
	s := l.active()
	if lag <= 0 || s.size() == 0 || s.x.first < 0 || s.x.first >= now.Add(-lag).UnixMilli() {
		return nil
	}
	if _, err := l.roll(s.x.next, now); err != nil {
		return l.rollFailed(err)
	}
	return nil
}

// markRolled writes the marks that rolled segments still lack.
func (l *Log) markRolled() {
	var late []unsynced
	l.mu.Lock()
	if len(l.segments) > 0 {
		for _, s := range l.segments[:len(l.segments)-1] {
			if s.synced == s.x.size && s.marked < s.x.size && s.x.producers != nil {
				late = append(late, unsynced{segment: s, size: s.x.size, index: s.x.encode()})
			}
		}
	}
	l.mu.Unlock()
	l.writeMarks(late)
}

// marked tells whether the whole segment is durable and its index written: only then may another take its place.
func (l *Log) marked(s *segment) bool { return s.synced == s.x.size && s.marked == s.x.size }

// producers notes what is known of producers and their transactions. All that began in the segments have ended.
func (p *pass) producers() {
	p.aborted, p.last = map[int64][]Aborted{}, map[int64]lastWritten{}
	for _, s := range p.log.segments {
		for _, a := range s.x.aborted {
			p.aborted[a.ProducerID] = append(p.aborted[a.ProducerID], a)
		}
	}
	for id, w := range p.log.writers.known {
		at := lastWritten{w.Epoch, -1}
		if w.n > 0 {
			at.last = w.sent[w.n-1].base + int64(w.sent[w.n-1].delta)
		}
		p.last[id] = at
	}
}

// hold opens a segment for reading until it is released.
func (p *pass) hold(s *segment) error {
	l := p.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if s.retired {
		return errGone
	}
	if err := l.use(s); err != nil {
		return err
	}
	s.refs.Add(1)
	return nil
}

// run notes the new keys, rewrites the segments in groups that fill a segment, and notes how far it came.
func (p *pass) run() error {
	if err := p.note(); err != nil {
		return err
	}
	for rest := p.segments; len(rest) > 0 && rest[0].base < p.to; {
		n, err := p.rewrite(rest)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	p.keys = nil
	done := cleaned{p.to, p.horizon}
	if err := writeFile(p.log.fs, p.log.fs.PathJoin(p.log.path, cleanedFile), done.encode()); err != nil {
		return err
	}
	p.log.mu.Lock()
	p.log.cleaned = &done
	p.log.mu.Unlock()
	return nil
}

// note puts the keys of the new records into the table, until it is full.
func (p *pass) note() error {
	p.keys = newKeyTable(p.Buffer)
	p.to = p.from
	for _, s := range p.segments {
		full, err := p.noteSegment(s)
		if full || err != nil {
			return err
		}
		p.to = max(p.to, s.x.next)
	}
	return nil
}

func (p *pass) noteSegment(s *segment) (full bool, err error) {
	if err := p.hold(s); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, s.release()) }()
	r := &batchReader{segment: s, pause: p.Pause}
	for {
		raw, h, err := r.next()
		switch {
		case errors.Is(err, ErrDamaged):
			p.damaged[s] = true
			p.log.dir.note(err)
			return false, nil
		case err != nil || raw == nil:
			return false, err
		case h.LastOffset() < p.from || h.Control() || p.isAborted(h):
			continue
		}
		if !p.noteBatch(raw, h) {
			p.to = h.BaseOffset
			return true, nil
		}
	}
}

var errFull = errors.New("no room for more keys")

// noteBatch reports false when there is no room. The first batch finds room in any case: every pass gets on.
func (p *pass) noteBatch(raw []byte, h batch.Header) bool {
	must := p.keys.used == 0
	err := batch.Walk(raw, batch.Limits{}, &p.scratch, func(r *batch.Record) error {
		if r.Key != nil && !p.keys.put(r.Key, h.BaseOffset+int64(r.OffsetDelta), must) {
			return errFull
		}
		return nil
	})
	return !errors.Is(err, errFull) // what cannot be walked has no keys, and stays
}

func (p *pass) isAborted(h batch.Header) bool {
	return h.Transactional() && slices.ContainsFunc(p.aborted[h.ProducerID], func(a Aborted) bool {
		return a.FirstOffset <= h.BaseOffset && h.BaseOffset <= a.LastOffset
	})
}

// batchReader reads the batches of a segment in order.
type batchReader struct {
	segment *segment
	pause   func(int) error
	pos     int64 // of the next batch
	buf     []byte
	from    int64 // of buf
}

const compactRead = 1 << 20

// next returns the next batch, valid until the call after; nil at the end. ErrDamaged: the rest cannot be read.
func (r *batchReader) next() ([]byte, batch.Header, error) {
	if r.pos >= r.segment.x.size {
		return nil, batch.Header{}, nil
	}
	head, err := r.bytes(batch.HeaderLen)
	if err != nil {
		return nil, batch.Header{}, err
	}
	h, err := batch.ReadHeader(head)
	if err != nil {
		return nil, h, r.damaged()
	}
	raw, err := r.bytes(h.Size())
	if err != nil {
		return nil, h, err
	}
	if !batch.CheckCRC(raw) {
		return nil, h, r.damaged()
	}
	r.pos += int64(len(raw))
	return raw, h, nil
}

func (r *batchReader) damaged() error {
	return fmt.Errorf("%w: position %d of %s", ErrDamaged, r.pos, r.segment.path+logSuffix)
}

// bytes returns the next n.
func (r *batchReader) bytes(n int) ([]byte, error) {
	if at := r.pos - r.from; at+int64(n) <= int64(len(r.buf)) {
		return r.buf[at : at+int64(n)], nil
	}
	left := r.segment.x.size - r.pos
	if int64(n) > left {
		return nil, r.damaged()
	}
	size := int(min(left, int64(max(n, compactRead))))
	if cap(r.buf) < size {
		r.buf = make([]byte, size)
	}
	r.buf, r.from = r.buf[:size], r.pos
	got, err := r.segment.file.ReadAt(r.buf, r.pos)
	if errors.Is(err, io.EOF) && got < size {
		return nil, r.damaged()
	}
	if got < size {
		return nil, err
	}
	if r.pause != nil {
		if err := r.pause(size); err != nil {
			return nil, err
		}
	}
	return r.buf[:n], nil
}
