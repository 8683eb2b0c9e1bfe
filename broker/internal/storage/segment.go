package storage

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/internal/batch"
)

const (
	logSuffix   = ".log"
	indexSuffix = ".index"
	tornSuffix  = ".torn"
)

// segment is one file of a log. The log's mutex guards all but refs and the reads of file.
type segment struct {
	log     *Log
	base    int64
	path    string   // without suffix
	file    vfs.File // nil until it is used; stays while there are readers
	x       index
	indexed bool  // x has its entries
	cut     bool  // the file is shorter than what was durable in it
	fileEnd int64 // where it ends then
	pinned  bool  // the file has not got its name yet, and could not be opened again
	held    [heldKinds]held

	marked int64 // x.size as the index file on disk has it; -1: there is none
	synced int64 // bytes known to be durable
	early  int64 // bytes that the system was asked to write before anybody syncs them

	loaned  bool // while it is loaded: the mark is that in the directory's file
	leave   bool // its index file stays when it goes: the next segment has none
	retired bool // its files are another's, or gone: nothing may be written to them

	created time.Time // or last written before this process

	// Where recent reads ended: a consumer that goes on there needs no search.
	hints [4]struct{ offset, pos int64 }
	hint  int

	refs     atomic.Int64 // readers of file, and one for the log itself
	flushing sync.Mutex   // held while file is synced
}

func (l *Log) newSegment(base int64) *segment {
	s := &segment{log: l, base: base, path: segmentPath(l.fs, l.path, base), x: newIndex(base), indexed: true, marked: -1}
	s.refs.Store(1)
	return s
}

func segmentPath(fs vfs.FS, dir string, base int64) string {
	return fs.PathJoin(dir, fmt.Sprintf("%020d", base))
}

// segmentBase reads the base offset from the name of a segment file.
func segmentBase(name string) (int64, bool) {
	digits, ok := strings.CutSuffix(name, logSuffix)
	if !ok {
		return 0, false
	}
	base, err := strconv.ParseInt(digits, 10, 64)
	return base, err == nil && base >= 0
}

// release gives a reference back; the last one closes the file.
func (s *segment) release() error {
	if s.refs.Add(-1) > 0 {
		return nil
	}
	s.log.dir.indexes.remove(s)
	if s.file == nil {
		return nil
	}
	s.log.dir.files.remove(s)
	return s.file.Close()
}

// age is how long the segment was open when records of time at came. It is counted in the records' time, as Kafka does:
// by the clock, every batch of records older than the limit would begin a segment of its own.
func (s *segment) age(at int64, now time.Time) time.Duration {
	if s.x.first >= 0 && at >= 0 {
		return time.Duration(min(at-s.x.first, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
	}
	return now.Sub(s.created)
}

// rolled notes that the segment is not active any more: producers is what is known of them at its end, and its entries
// may go now.
func (s *segment) rolled(producers []byte) {
	s.x.producers = producers
	s.log.dir.indexes.add(s, int64(len(s.x.entries))*indexEntry)
}

// size is the bytes of whole batches in the segment.
func (s *segment) size() int64 { return s.x.size }

// sync makes durable what file, which is that of the segment, holds.
func (s *segment) sync(file vfs.File) error {
	return s.flush(file.SyncData)
}

// flush has the system write the segment's file. It tells of a write that failed only once: whoever comes next must not
// take its silence for success.
func (s *segment) flush(how func() error) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if err := s.log.dir.Offline(); err != nil {
		return err
	}
	if err := how(); err != nil {
		return s.log.dir.fail(syncFailed(err))
	}
	return nil
}

// writeIndex writes the index file, which is also the mark up to which the segment is durable: everything that it covers
// must have been synced before.
func (s *segment) writeIndex(fs vfs.FS) error {
	if s.marked == s.x.size {
		return nil
	}
	if err := writeFile(fs, s.path+indexSuffix, s.x.encode()); err != nil {
		return err
	}
	s.marked = s.x.size
	return nil
}

// scan reads batches from pos on and calls fn for each until the end of whole, undamaged batches that follow each other,
// and returns where that is. checksums costs a read of every byte; without them only headers are looked at.
func (s *segment) scan(pos, end int64, checksums bool, fn func(h batch.Header, pos int64) (more bool)) (int64, error) {
	head := make([]byte, batch.HeaderLen)
	var body []byte
	for end-pos >= batch.HeaderLen {
		if _, err := s.file.ReadAt(head, pos); err != nil && !errors.Is(err, io.EOF) {
			return pos, err
		}
		h, err := batch.ReadHeader(head)
		if err != nil || int64(h.Size()) > end-pos {
			return pos, nil //nolint:nilerr // damage is an end, not an error
		}
		if checksums {
			if cap(body) < h.Size() {
				body = make([]byte, h.Size())
			}
			body = body[:h.Size()]
			if _, err := s.file.ReadAt(body, pos); err != nil && !errors.Is(err, io.EOF) {
				return pos, err
			}
			if !batch.CheckCRC(body) {
				return pos, nil
			}
		}
		if !fn(h, pos) {
			return pos, nil
		}
		pos += int64(h.Size())
	}
	return pos, nil
}

// remember notes that the batch with base offset offset starts at pos.
func (s *segment) remember(offset, pos int64) {
	s.hints[s.hint].offset, s.hints[s.hint].pos = offset, pos
	s.hint = (s.hint + 1) % len(s.hints)
}

// hinted finds where a batch with base offset offset starts, if a read ended there lately.
func (s *segment) hinted(offset int64) (pos int64, ok bool) {
	for _, h := range s.hints {
		if h.pos > 0 && h.offset == offset {
			return h.pos, true
		}
	}
	return 0, offset == s.base
}
