package storage

import (
	"bufio"
	"errors"
	"io"
	iofs "io/fs"
	"slices"

	"github.com/leatstream/leat/internal/batch"
)

// scrubRead is how many bytes Scrub reads at a time.
const scrubRead = 256 << 10

// Scrub reads every byte that is known to be durable and compares checksums, so that rot is found before somebody needs what
// it took. What it finds is listed by Dir.Damage, the first place of each segment. pause is called with the bytes of each
// read; an error of it ends the scrub.
func (l *Log) Scrub(pause func(bytes int) error) error {
	parts, err := l.durableParts()
	for _, part := range parts {
		if err == nil {
			err = l.scrub(part, pause)
		}
	}
	return err
}

// part is what of a segment survives a power loss.
type part struct {
	of         *segment
	bytes, end int64 // end is an offset
}

func (l *Log) durableParts() (parts []part, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return nil, err
	}
	for _, s := range l.segments {
		if s == l.durable.segment {
			return append(parts, part{s, l.durable.pos, l.durable.offset}), nil
		}
		parts = append(parts, part{s, s.size(), s.x.next})
	}
	return parts, nil
}

// scrub reads a segment that nobody changes: compaction puts another in its place, and deletion takes its name only.
func (l *Log) scrub(part part, pause func(int) error) error {
	s := part.of
	f, err := l.fs.Open(s.path + logSuffix)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r := &pacedReader{from: io.NewSectionReader(f, 0, part.bytes), pause: pause}
	next, whole, err := scrubbed(r, part, s.base)
	if err = errors.Join(err, r.stopped, f.Close()); err != nil || whole {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Contains(l.segments, s) { // else what was read may be of the segment that took its place
		l.dir.note(s.damagedAt(next))
	}
	return nil
}

// scrubbed tells whether a part, which begins at next, is whole batches, or the offset at which it is not.
func scrubbed(from io.Reader, part part, next int64) (int64, bool, error) {
	size, r := part.bytes, bufio.NewReaderSize(from, scrubRead)
	for size > 0 {
		head, err := r.Peek(batch.HeaderLen)
		if errors.Is(err, io.EOF) {
			return next, false, nil
		}
		if err != nil {
			return next, false, err
		}
		h, err := batch.ReadHeader(head)
		if err != nil || int64(h.Size()) > size || h.BaseOffset < next || h.LastOffset() >= part.end {
			return next, false, nil //nolint:nilerr // damage is a finding
		}
		whole, err := batch.ReadCRC(r, &h)
		if err != nil && !errors.Is(err, io.EOF) {
			return next, false, err
		}
		if !whole {
			return next, false, nil
		}
		next, size = h.LastOffset()+1, size-int64(h.Size())
	}
	return next, true, nil
}

// pacedReader has somebody wait after each read.
type pacedReader struct {
	from    io.Reader
	pause   func(bytes int) error
	stopped error // what pause said
}

func (r *pacedReader) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	if err != nil {
		return n, err
	}
	r.stopped = r.pause(n)
	return n, r.stopped
}
