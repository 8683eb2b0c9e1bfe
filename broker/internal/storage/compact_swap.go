package storage

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The files of a group of segments while one takes their place: docs/formats/segment.md. Once the .swap file has its name,
// the change is decided, and a start carries it out if it finds it.
const (
	cleanedSuffix   = ".cleaned"
	swapIndexSuffix = ".swapindex"
	swapSuffix      = ".swap"
)

// swap is a change that is decided: one segment for all in [base, end).
type swap struct {
	base, end int64
	segment   *segment // the new one; nil when a start carries the change out
}

func (s swap) stem() string { return fmt.Sprintf("%020d-%020d", s.base, s.end) }

// swapOf reads the range from the name of a decided change.
func swapOf(name string) (s swap, ok bool) {
	stem, ok := strings.CutSuffix(name, swapSuffix)
	from, to, _ := strings.Cut(stem, "-")
	var errs [2]error
	s.base, errs[0] = strconv.ParseInt(from, 10, 64)
	s.end, errs[1] = strconv.ParseInt(to, 10, 64)
	return s, ok && errors.Join(errs[:]...) == nil
}

// cleanedWriter writes the segment that takes the place of others. Until something changes it only counts.
type cleanedWriter struct {
	pass  *pass
	first *segment
	x     index
	file  vfs.File
	same  int64  // bytes at the start of the first segment that stay as they are
	tail  []byte // header of the last batch that went
	buf   []byte
}

// path is where the new segment is written: under a name that means nothing yet.
func (w *cleanedWriter) path() string { return w.first.path + cleanedSuffix }

func (w *cleanedWriter) begun() bool { return w.file != nil }

// begin creates the file and copies what stayed the same so far.
func (w *cleanedWriter) begin() (err error) {
	if w.file, err = w.pass.log.fs.Create(w.path(), vfs.WriteCategoryUnspecified); err != nil {
		return err
	}
	if err := w.pass.hold(w.first); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.first.release()) }()
	r := &batchReader{segment: w.first, pause: w.pass.Pause}
	for r.pos < w.same {
		n := int(min(w.same-r.pos, compactRead))
		raw, err := r.bytes(n)
		if err != nil {
			return err
		}
		r.pos += int64(n)
		if err := w.write(raw); err != nil {
			return err
		}
	}
	return nil
}

// batch adds what stays of a batch. same says that it is as it was.
func (w *cleanedWriter) batch(out []byte, same bool) error {
	if !w.begun() {
		if same {
			w.same += int64(len(out))
			return nil
		}
		if err := w.begin(); err != nil {
			return err
		}
	}
	return w.write(out)
}

func (w *cleanedWriter) write(b []byte) error {
	w.buf = append(w.buf, b...)
	if len(w.buf) < compactRead {
		return nil
	}
	return w.flush()
}

func (w *cleanedWriter) flush() error {
	n := len(w.buf)
	if n == 0 {
		return nil
	}
	_, err := w.file.Write(w.buf)
	w.buf = w.buf[:0]
	if err == nil && w.pass.Pause != nil {
		err = w.pass.Pause(n)
	}
	return err
}

// abandon removes what was written of a change that will not be.
func (w *cleanedWriter) abandon() error {
	if !w.begun() {
		return nil
	}
	return errors.Join(w.file.Close(), w.pass.log.fs.Remove(w.path()))
}

// finish makes the new segment durable and puts it in the place of the old ones.
func (w *cleanedWriter) finish(group []*segment) error {
	l := w.pass.log
	last := group[len(group)-1]
	s := swap{base: group[0].base, end: last.x.next}
	raw, err := readFile(l.fs, last.path+indexSuffix)
	if err == nil {
		var was index
		was, err = decodeIndex(raw)
		w.x.producers = was.producers
	}
	if err = errors.Join(err, w.flush()); err == nil {
		err = syncFailed(w.file.Sync())
	}
	if err == nil {
		err = l.dir.wal.forget(l)
	}
	if err == nil {
		err = writeFile(l.fs, l.swapPath(s, swapIndexSuffix), w.x.encode()) // this makes the name of the other file durable, too
	}
	if err != nil {
		return errors.Join(err, w.abandon())
	}
	w.x.producers = nil
	return w.replace(group, s)
}

func (l *Log) swapPath(s swap, suffix string) string { return l.fs.PathJoin(l.path, s.stem()+suffix) }

// replace decides the change and carries it out.
func (w *cleanedWriter) replace(group []*segment, s swap) error {
	l := w.pass.log
	l.maintaining.Lock()
	defer l.maintaining.Unlock()
	l.mu.Lock()
	_, err := l.groupAt(group)
	l.mu.Unlock()
	if err != nil {
		return errors.Join(err, w.abandon(), l.fs.Remove(l.swapPath(s, swapIndexSuffix)))
	}
	seg := l.newSegment(s.base)
	seg.x, seg.marked, seg.synced, seg.pinned = w.x, w.x.size, w.x.size, true
	f, err := l.fs.Open(w.path())
	if err == nil {
		if err = l.fs.Rename(w.path(), l.swapPath(s, swapSuffix)); err != nil {
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		return errors.Join(err, w.abandon(), l.fs.Remove(l.swapPath(s, swapIndexSuffix)))
	}
	s.segment = seg
	if err := errors.Join(w.file.Close(), syncDir(l.fs, l.path)); err != nil {
		return errors.Join(l.dir.fail(err), f.Close()) // whether the change is decided is not known
	}
	l.mu.Lock()
	at, err := l.groupAt(group)
	if err != nil { // the log was closed or deleted meanwhile
		l.mu.Unlock()
		return errors.Join(err, f.Close())
	}
	l.opened(seg, f)
	l.dir.indexes.add(seg, int64(len(seg.x.entries))*indexEntry)
	l.segments = slices.Concat(l.segments[:at], []*segment{seg}, l.segments[at+len(group):])
	for _, old := range group {
		old.retired = true
	}
	l.swap = &s
	l.mu.Unlock()
	for _, old := range group {
		err = errors.Join(err, old.release())
	}
	return errors.Join(err, l.carryOut())
}

var errGone = errors.New("the segments were deleted while they were compacted")

// groupAt finds the segments of a group, all of which must still be there. The caller holds the lock.
func (l *Log) groupAt(group []*segment) (int, error) {
	if err := l.usable(); err != nil {
		return 0, err
	}
	at := slices.Index(l.segments, group[0])
	if at < 0 || len(l.segments)-at < len(group) || !slices.Equal(l.segments[at:at+len(group)], group) {
		return 0, errGone
	}
	return at, nil
}

// finishSwap carries out a change whose files could not be moved when it was decided.
func (l *Log) finishSwap() error {
	l.maintaining.Lock()
	defer l.maintaining.Unlock()
	return l.carryOut()
}

// carryOut moves the files of the change that was decided, if there is one. The caller holds maintaining.
func (l *Log) carryOut() error {
	if l.swap == nil {
		return nil
	}
	l.marking.Lock() // an index of the old segments that is being written
	defer l.marking.Unlock()
	if err := l.moveFiles(*l.swap); err != nil {
		return l.changeFailed(err)
	}
	l.mu.Lock()
	l.swap.segment.pinned = false
	l.mu.Unlock()
	l.swap = nil
	return nil
}

// moveFiles can be stopped and begun again at any step. The old segments are gone for good before the name that says so is.
func (l *Log) moveFiles(s swap) error {
	names, err := l.fs.List(l.path)
	if err != nil {
		return err
	}
	for _, name := range names {
		base, ok := segmentFile(name)
		if ok && base > s.base && base < s.end {
			if err := l.fs.Remove(l.fs.PathJoin(l.path, name)); err != nil {
				return err
			}
		}
	}
	if err := syncDir(l.fs, l.path); err != nil {
		return err
	}
	to := segmentPath(l.fs, l.path, s.base)
	for _, step := range [][2]string{{swapIndexSuffix, indexSuffix}, {swapSuffix, logSuffix}} {
		err := l.fs.Rename(l.fs.PathJoin(l.path, s.stem()+step[0]), to+step[1])
		if err != nil && !errors.Is(err, iofs.ErrNotExist) { // it was done before
			return err
		}
		if err := syncDir(l.fs, l.path); err != nil {
			return err
		}
	}
	return nil
}

// segmentFile reads the base offset from the name of any file of a segment.
func segmentFile(name string) (int64, bool) {
	stem, suffix, _ := strings.Cut(name, ".")
	base, err := strconv.ParseInt(stem, 10, 64)
	return base, err == nil && slices.Contains(segmentSuffixes, "."+suffix)
}

// recoverSwaps carries out the changes that were decided before a stop, forgets the others, and returns the names that are left.
func (l *Log) recoverSwaps(names []string) ([]string, error) {
	again := false
	for _, name := range names {
		if s, ok := swapOf(name); ok {
			if err := l.moveFiles(s); err != nil {
				return nil, err
			}
			again = true
		}
	}
	for _, name := range names {
		if strings.HasSuffix(name, cleanedSuffix) || strings.HasSuffix(name, swapIndexSuffix) {
			_ = l.fs.Remove(l.fs.PathJoin(l.path, name)) // of a change that was not decided; or its index, which has moved
		}
	}
	if !again {
		return names, nil
	}
	return l.fs.List(l.path)
}
