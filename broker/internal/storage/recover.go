package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/internal/batch"
)

// load reads what is on disk. It costs the index files and whatever was written after the last marks.
func (l *Log) load() error {
	names, err := l.fs.List(l.path)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) { // nothing was ever appended, or somebody took it away
		return err
	}
	if names, err = l.recoverSwaps(names); err != nil {
		return err
	}
	var bases []int64
	for _, name := range names {
		if base, ok := segmentBase(name); ok {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	start, damaged := l.readStart()
	if damaged != nil && !errors.Is(damaged, errStart) {
		return damaged
	}
	l.start = start
	bases = l.finishDeletions(names, bases, l.start)
	if bases, err = l.recallGone(bases); err != nil {
		return err
	}
	switch {
	case damaged != nil:
		l.dir.note(fmt.Errorf("%w: %s: %w, so all that is left is served", ErrDamaged, l.path, damaged))
	case len(bases) > 0 && bases[0] > l.start:
		l.dir.note(fmt.Errorf("%w: offsets %d to %d of %s are not there, and its start file does not say that they were deleted",
			ErrDamaged, l.start, bases[0]-1, l.path))
	}
	for i, base := range bases {
		next := int64(-1)
		if i+1 < len(bases) {
			next = bases[i+1]
		}
		seg, err := l.findSegment(base, next)
		if err != nil {
			return errors.Join(err, l.unload())
		}
		l.segments = append(l.segments, seg)
	}
	if err := l.cutAtGap(); err != nil {
		return errors.Join(err, l.unload())
	}
	if err := l.recoverProducers(); err != nil {
		return errors.Join(err, l.unload())
	}
	if err := l.dropEnded(); err != nil {
		return errors.Join(err, l.unload())
	}
	if err := l.forgetCut(); err != nil {
		return errors.Join(err, l.unload())
	}
	l.markScanned()
	l.durable.offset = l.start
	if len(l.segments) > 0 {
		l.start = max(l.start, l.segments[0].base)
		if err := l.leaveCut(); err != nil {
			return errors.Join(err, l.unload())
		}
		last := l.active()
		l.durable = mark{offset: last.x.next, segment: last, pos: last.x.size}
	}
	return nil
}

// forgetCut sees to it that what was put aside is not written back over what comes in its place: where the write-ahead log is
// damaged, it may have something of the log that follows a gap.
func (l *Log) forgetCut() error {
	if !l.cut || !l.dir.wal.holds(l.name) {
		return nil
	}
	if err := l.dir.wal.forgetSynced(l.name); err != nil {
		return err
	}
	l.cut = false
	return nil
}

// leaveCut begins a new segment where the file of the last is shorter than what was durable in it: what is missing keeps
// its place and its offsets, and what comes is not written over them.
func (l *Log) leaveCut() error {
	s := l.active()
	info, err := l.fs.Stat(s.path + logSuffix)
	if err != nil || info.Size() >= s.x.size {
		return err
	}
	l.dir.note(fmt.Errorf("%w: %s has %d bytes of %d", ErrDamaged, s.path+logSuffix, info.Size(), s.x.size))
	s.x.producers = l.writers.encode()
	if err := s.writeIndex(l.fs); err != nil { // its mark may be in the directory's file, for the last segment only
		return err
	}
	_, err = l.roll(s.x.next, time.Now())
	return err
}

// recallGone puts an empty file where the segment was that is known to be the last, if it is gone: then it is one that was
// cut short, and its offsets are not given again.
func (l *Log) recallGone(bases []int64) ([]int64, error) {
	base, m, known := l.dir.marks.last(l.name)
	if !known || m.next <= max(base, l.start) || len(bases) > 0 && base <= bases[len(bases)-1] {
		return bases, nil
	}
	if err := l.dir.makeOwn(l.path); err != nil {
		return nil, err
	}
	f, err := l.fs.Create(segmentPath(l.fs, l.path, base)+logSuffix, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	return append(bases, base), errors.Join(f.Close(), syncDir(l.fs, l.path))
}

// unload takes back what a failed load began, so that the next use can try again.
func (l *Log) unload() error {
	err := l.closeFiles()
	l.segments = nil
	return err
}

// markScanned writes the marks that a crash kept from being written: only the active segment gets one otherwise, and the
// others would be read again at every start. A mark may lag, so failing is no error.
func (l *Log) markScanned() {
	for i, s := range l.segments {
		if s.loaned { // the mark is not in a file of the segment's own
			s.marked, s.loaned = -1, false
		}
		active := i == len(l.segments)-1
		if !active || s.x.size-s.marked >= markEvery {
			_ = s.writeIndex(l.fs)
		}
		if active || s.marked == s.x.size {
			s.x.producers = nil
		}
	}
}

// recoverProducers brings the state of producers and transactions up to the end of the log: each index file has it as of
// its mark, and what follows a mark is applied. All of it is durable by now.
func (l *Log) recoverProducers() error {
	l.writers = newProducers()
	now := time.Now().UnixMilli() // when a replayed batch came is not known: its producer may still be there
	at := 0                       // l.writers is what was known where this segment begins
	for i, s := range l.segments {
		if s.marked >= s.x.size && i < len(l.segments)-1 {
			continue
		}
		if err := l.replayTo(at, i, now); err != nil {
			return err
		}
		s.x.producers, at = l.writers.encode(), i+1
	}
	l.writers.finished = nil
	return nil
}

// replayTo brings l.writers from where segment from begins to where segment to ends, by way of the last mark that can be read.
func (l *Log) replayTo(from, to int, now int64) error {
	i := to
	for ; i >= from; i-- {
		s := l.segments[i]
		if s.marked < 0 {
			continue
		}
		state := s.x.producers
		if state == nil {
			var err error
			if state, err = l.producersAt(s); err != nil && !unmarked(err) {
				return err
			}
		}
		if ps, err := decodeProducers(state); state != nil && err == nil {
			l.writers = ps
			if err := l.replay(s, s.marked, s.x.size, now); err != nil {
				return err
			}
			break
		}
	}
	if i < 0 {
		l.producersLeft()
	}
	for i = max(i+1, from); i <= to; i++ {
		s := l.segments[i]
		aborted := s.x.aborted
		if err := l.replay(s, 0, max(s.marked, 0), now); err != nil {
			return err
		}
		s.x.aborted = aborted // of that part they were known
		if err := l.replay(s, max(s.marked, 0), s.x.size, now); err != nil {
			return err
		}
	}
	return nil
}

// producersLeft takes over what was known where the first segment begins, if that was left behind by those before.
func (l *Log) producersLeft() {
	raw, err := readFile(l.fs, l.left)
	if l.left == "" || err != nil {
		return
	}
	if x, err := decodeIndex(raw); err == nil && x.next == l.segments[0].base {
		if ps, err := decodeProducers(x.producers); err == nil {
			l.writers = ps
		}
	}
}

// replay applies the batches of a part of a segment to what is known of producers.
func (l *Log) replay(s *segment, from, to, now int64) error {
	if from == to {
		return nil
	}
	if err := l.use(s); err != nil {
		return err
	}
	var inner error
	_, err := s.scan(from, to, false, func(h batch.Header, pos int64) bool {
		if h.ProducerID < 0 {
			return true
		}
		if !h.Control() {
			l.writers.add(&h, now)
			return true
		}
		raw := make([]byte, h.Size())
		if n, err := s.file.ReadAt(raw, pos); n < len(raw) {
			inner = err
			return false
		}
		m, err := batch.ReadMarker(raw)
		if err != nil {
			return true // a control batch of another kind
		}
		if a, aborted := l.writers.end(m, h.BaseOffset, now); aborted {
			s.x.aborted = append(s.x.aborted, a)
		}
		return true
	})
	return errors.Join(err, inner)
}

// findSegment believes a segment's mark, and opens the segment only if the mark does not reach to where the next begins, or
// for the last (next is -1) to the end of the file. Then it reads on from there, and makes what it found durable, so that
// nothing is shown to consumers that a power loss could still take away.
func (l *Log) findSegment(base, next int64) (*segment, error) {
	s := l.newSegment(base)
	x, err := readSummary(l.fs, s.path+indexSuffix)
	switch {
	case err == nil:
		s.x, s.marked, s.synced, s.indexed = x, x.size, x.size, false
	case !unmarked(err):
		return nil, err
	}
	if s.marked >= 0 && next >= 0 && s.x.next == next {
		return s, nil
	}
	info, err := l.fs.Stat(s.path + logSuffix)
	if err = errors.Join(err, isFile(info, s.path+logSuffix)); err != nil {
		return nil, err
	}
	s.created = info.ModTime()
	if err := l.recoverSegment(s, info.Size(), next < 0); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return s, nil
}

// isFile refuses a directory where records should be: its size means nothing. info may be nil.
func isFile(info vfs.FileInfo, path string) error {
	if info != nil && info.IsDir() {
		return &iofs.PathError{Op: "open", Path: path, Err: syscall.EISDIR}
	}
	return nil
}

// unmarked tells whether an index file is not there, or damaged: nothing is known then of what was durable. Any other
// failure to read it passes.
func unmarked(err error) bool { return errors.Is(err, iofs.ErrNotExist) || errors.Is(err, errIndex) }

func (l *Log) recoverSegment(s *segment, size int64, last bool) error {
	x, err := l.wholeIndex(s, last)
	switch {
	case err == nil:
		s.x, s.marked, s.indexed = x, x.size, true
	case unmarked(err):
		s.x, s.marked, s.indexed = newIndex(s.base), -1, true
	default:
		return err
	}
	s.synced = s.x.size
	if size == 0 { // whoever created it may have been killed before its name and that of the directory were durable
		if err := errors.Join(syncDir(l.fs, l.path), syncDir(l.fs, l.dir.path)); err != nil {
			return err
		}
	}
	if s.x.size >= size { // more than the file holds: what is missing is damage, and its offsets are not given again
		return nil
	}
	f, err := l.fs.OpenReadWrite(s.path+logSuffix, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	l.opened(s, f)
	end, err := s.scan(s.x.size, size, true, func(h batch.Header, pos int64) bool {
		return h.BaseOffset >= s.x.next && s.x.see(h, pos) // compaction leaves gaps
	})
	if err != nil {
		return err
	}
	if err := l.setAside(s, end, size); err != nil {
		return err
	}
	if s.x.size > max(s.marked, 0) {
		if err := s.file.SyncData(); err != nil {
			return l.dir.fail(err)
		}
	}
	s.synced = s.x.size
	return nil
}

// wholeIndex reads what is known of a segment up to its mark, which may be in the directory's marks. Those are of segments
// that were the last: one that compaction has replaced since has an index file.
func (l *Log) wholeIndex(s *segment, last bool) (x index, err error) {
	raw, err := readFile(l.fs, s.path+indexSuffix)
	if err == nil {
		x, err = decodeIndex(raw)
	}
	if m, there := l.dir.marks.get(l.name, s.base); there && (last && (err != nil || m.size > x.size) || errors.Is(err, iofs.ErrNotExist)) {
		s.loaned, x, err = true, m, nil
	}
	return x, err
}

// setAside keeps what follows the last whole batch in a file of its own and overwrites it with zeros, so that a later
// append over part of it cannot leave something behind that looks like a batch.
func (l *Log) setAside(s *segment, end, size int64) error {
	if end >= size {
		return nil
	}
	tail := make([]byte, size-end)
	if _, err := s.file.ReadAt(tail, end); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(bytes.TrimLeft(tail, "\x00")) == 0 {
		return nil
	}
	if err := writeFile(l.fs, fmt.Sprintf("%s-%d%s", s.path, end, tornSuffix), tail); err != nil {
		return err
	}
	if _, err := s.file.WriteAt(make([]byte, len(tail)), end); err != nil {
		return err
	}
	l.cut = true
	return syncFailed(s.file.Sync())
}

// cutAtGap looks for a segment that ends before the next begins. Where nothing after the gap was ever marked durable, a
// power loss took the bytes between, and what follows was never acknowledged: it is put aside. Otherwise the gap is rot,
// and what follows is kept.
func (l *Log) cutAtGap() error {
	for i := range len(l.segments) - 1 {
		s, next := l.segments[i], l.segments[i+1].base
		if s.x.next == next {
			continue
		}
		rest := l.segments[i+1:]
		if slices.ContainsFunc(rest, func(s *segment) bool { return s.marked > 0 }) {
			l.dir.note(fmt.Errorf("%w: offsets %d to %d of %s are not there", ErrDamaged, s.x.next, next-1, l.path))
			continue
		}
		l.segments = l.segments[:i+1]
		l.cut = true
		for _, s := range rest {
			if err := errors.Join(s.release(), l.fs.Rename(s.path+logSuffix, s.path+tornSuffix)); err != nil {
				return err
			}
		}
		return syncDir(l.fs, l.path)
	}
	return nil
}
