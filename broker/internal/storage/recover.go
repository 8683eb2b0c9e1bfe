package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/internal/batch"
)

// load reads what is on disk. It costs the index files and whatever was written after the last marks.
func (l *Log) load() error {
	if _, err := l.fs.Stat(l.path); err != nil {
		return nil //nolint:nilerr // no directory: nothing was ever appended
	}
	names, err := l.fs.List(l.path)
	if err != nil {
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
	if l.start, err = l.readStart(); err != nil {
		return err
	}
	bases = l.finishDeletions(names, bases, l.start)
	for _, base := range bases {
		seg, err := l.openSegment(base)
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
	l.markScanned()
	l.durable.offset = l.start
	if len(l.segments) > 0 {
		l.start = max(l.start, l.segments[0].base)
		last := l.active()
		l.durable = mark{offset: last.x.next, segment: last, pos: last.x.size}
	}
	return nil
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
		if i < len(l.segments)-1 || s.x.size-s.marked >= markEvery {
			_ = s.writeIndex(l.fs)
		}
		s.x.producers = nil
	}
}

// recoverProducers brings the state of producers and transactions up to the end of the log: each index file has it as of
// its mark, and what follows a mark is applied. All of it is durable by now.
func (l *Log) recoverProducers() error {
	l.writers = newProducers()
	now := time.Now().UnixMilli() // when a replayed batch came is not known: its producer may still be there
	var state []byte
	decoded := true
	for i, s := range l.segments {
		if s.marked >= 0 {
			state, decoded = s.x.producers, false
		}
		if s.marked < s.x.size || i == len(l.segments)-1 {
			if !decoded {
				var err error
				if l.writers, err = decodeProducers(state); err != nil {
					return fmt.Errorf("%s%s: %w", s.path, indexSuffix, err)
				}
				decoded = true
			}
			if err := s.replay(&l.writers, now); err != nil {
				return err
			}
			s.x.producers = l.writers.encode()
			state = s.x.producers
		}
	}
	l.writers.finished = nil
	return nil
}

// replay applies the batches after the segment's mark to ps.
func (s *segment) replay(ps *producers, now int64) error {
	var inner error
	_, err := s.scan(max(s.marked, 0), s.x.size, false, func(h batch.Header, pos int64) bool {
		if h.ProducerID < 0 {
			return true
		}
		if !h.Control() {
			ps.add(&h, now)
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
		if a, aborted := ps.end(m, h.BaseOffset, now); aborted {
			s.x.aborted = append(s.x.aborted, a)
		}
		return true
	})
	return errors.Join(err, inner)
}

// openSegment opens a segment, believes its mark, reads on from there, and makes what it found durable, so that nothing
// is shown to consumers that a power loss could still take away.
func (l *Log) openSegment(base int64) (*segment, error) {
	s := &segment{base: base, path: segmentPath(l.fs, l.path, base), x: newIndex(base), marked: -1}
	s.refs.Store(1)
	var err error
	if s.file, err = l.fs.OpenReadWrite(s.path+logSuffix, vfs.WriteCategoryUnspecified); err != nil {
		return nil, err
	}
	if err := l.recoverSegment(s); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return s, nil
}

func (l *Log) recoverSegment(s *segment) error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	s.created = info.ModTime()
	if raw, err := readFile(l.fs, s.path+indexSuffix); err == nil {
		if x, err := decodeIndex(raw); err == nil && x.size <= info.Size() {
			s.x, s.marked = x, x.size
		}
	}
	end, err := s.scan(s.x.size, info.Size(), true, func(h batch.Header, _ int64) bool {
		if h.BaseOffset < s.x.next { // compaction leaves gaps
			return false
		}
		s.x.add(h.BaseOffset, h.LastOffset(), h.MaxTimestamp, int64(h.Size()), h.LeaderEpoch)
		return true
	})
	if err != nil {
		return err
	}
	if err := l.setAside(s, end, info.Size()); err != nil {
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
	return s.file.Sync()
}

// cutAtGap looks for a segment that ends before the next begins. Where nothing after the gap was ever marked durable, a
// power loss took the bytes between, and what follows was never acknowledged: it is put aside. Otherwise the gap is rot,
// and what follows is kept.
func (l *Log) cutAtGap() error {
	for i := range len(l.segments) - 1 {
		if l.segments[i].x.next == l.segments[i+1].base {
			continue
		}
		rest := l.segments[i+1:]
		if slices.ContainsFunc(rest, func(s *segment) bool { return s.marked > 0 }) {
			continue
		}
		l.segments = l.segments[:i+1]
		for _, s := range rest {
			if err := errors.Join(s.release(), l.fs.Rename(s.path+logSuffix, s.path+tornSuffix)); err != nil {
				return err
			}
		}
		return syncDir(l.fs, l.path)
	}
	return nil
}
