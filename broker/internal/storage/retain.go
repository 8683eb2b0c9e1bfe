package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	iofs "io/fs"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// startFile holds the log start offset: docs/formats/segment.md.
const startFile = "start"

const (
	startMagic = 0x6c657331 // "les1"
	startLen   = 4 + 8 + 4
)

var errStart = errors.New("start file is damaged")

func encodeStart(offset int64) []byte {
	be := binary.BigEndian
	b := be.AppendUint64(be.AppendUint32(make([]byte, 0, startLen), startMagic), uint64(offset))
	return be.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeStart(b []byte) (int64, error) {
	be := binary.BigEndian
	if len(b) != startLen || be.Uint32(b) != startMagic || be.Uint32(b[startLen-4:]) != crc32.Checksum(b[:startLen-4], castagnoli) {
		return 0, errStart
	}
	return int64(be.Uint64(b[4:])), nil
}

// readStart returns the log start offset as it is on disk; 0 where nothing was ever deleted. Where the file is damaged
// (errStart) everything that is left is served.
func (l *Log) readStart() (int64, error) {
	raw, err := readFile(l.fs, l.fs.PathJoin(l.path, startFile))
	if errors.Is(err, iofs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return decodeStart(raw)
}

// Retention is how much of a log is kept.
type Retention struct {
	Age   time.Duration // since the largest timestamp of a segment; below 0: for ever
	Bytes int64         // of all segments; below 0: any number
}

// Retain deletes the oldest segments while they are too old or more than fits, wholly below limit. The active segment
// makes room for a new one if it is among them.
func (l *Log) Retain(r Retention, limit int64, now time.Time) error {
	l.maintaining.Lock()
	defer l.maintaining.Unlock()
	to, err := l.retainFrom(r, limit, now)
	if err != nil {
		return err
	}
	return l.deleteBefore(to)
}

// retainFrom finds the offset before which everything may go.
func (l *Log) retainFrom(r Retention, limit int64, now time.Time) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return 0, err
	}
	excess := -r.Bytes
	for _, s := range l.segments {
		excess += s.size()
	}
	to := l.start
	for i, s := range l.segments {
		end := l.segmentEnd(i)
		expired := r.Age >= 0 && now.Sub(l.latest(s, now)) > r.Age
		large := r.Bytes >= 0 && excess >= s.size()
		if s.size() == 0 || end > limit || !expired && !large {
			break
		}
		if s == l.active() {
			if _, err := l.roll(end, now); err != nil {
				return 0, l.rollFailed(err)
			}
		}
		excess -= s.size()
		to = end
	}
	return to, nil
}

// segmentEnd is where the i-th segment ends: at the next, even if compaction or damage took what lay before it.
func (l *Log) segmentEnd(i int) int64 {
	if i+1 < len(l.segments) {
		return l.segments[i+1].base
	}
	return l.segments[i].x.next
}

// latest is the time of the segment's latest record, or of the last write where records have no time.
func (l *Log) latest(s *segment, now time.Time) time.Time {
	if s.x.maxTime >= 0 {
		return time.UnixMilli(s.x.maxTime)
	}
	info, err := l.fs.Stat(s.path + logSuffix)
	if err != nil {
		return now
	}
	return info.ModTime()
}

// DeleteBefore makes offset the first that is served, durably, and removes the segments that lie wholly below it. Below
// the start it does nothing. ErrOffsetOutOfRange: offset is beyond the end.
func (l *Log) DeleteBefore(offset int64) error {
	l.maintaining.Lock()
	defer l.maintaining.Unlock()
	return l.deleteBefore(offset)
}

func (l *Log) deleteBefore(offset int64) error {
	gone, err := l.below(offset)
	if err != nil || gone == nil {
		return err
	}
	// What a power loss takes may not leave a start behind that lies beyond the end.
	durable := make(chan error, 1)
	l.WhenDurable(offset, func(err error) { durable <- err })
	if err := <-durable; err != nil {
		return err
	}
	if gone, err = l.keepProducers(gone); err != nil {
		return err
	}
	if gone, err = l.writeStart(offset, gone); err != nil {
		return err
	}
	l.mu.Lock()
	if err := l.usable(); err != nil {
		l.mu.Unlock()
		return err
	}
	l.start = offset
	l.forget(gone)
	l.mu.Unlock()
	return l.remove(gone)
}

// below lists the segments that lie wholly below offset, never the active one; nil if offset is not above the start.
func (l *Log) below(offset int64) ([]*segment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return nil, err
	}
	if offset > l.end() {
		return nil, ErrOffsetOutOfRange
	}
	if offset < l.start || len(l.segments) == 0 {
		return nil, nil
	}
	gone := []*segment{}
	for i, s := range l.segments[:len(l.segments)-1] {
		if l.segmentEnd(i) > offset {
			break
		}
		gone = append(gone, s)
	}
	if offset == l.start && len(gone) == 0 { // a start may have left what is below
		return nil, nil
	}
	return gone, nil
}

// keepProducers sees to it that what is known of producers where gone ends outlives its segments: it is in the index file of
// the last of them, which stays if the next segment has none. For a segment that was ended a moment ago it is written here. Where
// the disk is too full for it the segment stays itself, and the one before it is the last to go.
func (l *Log) keepProducers(gone []*segment) ([]*segment, error) {
	if len(gone) == 0 {
		return gone, nil
	}
	if err := l.checkpointOf(gone); err != nil {
		return nil, err
	}
	l.markRolled()
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := len(gone); n > 0; n-- {
		last := gone[n-1]
		at := slices.Index(l.segments, last)
		if at < 0 || at+1 == len(l.segments) || l.segments[at+1].marked >= 0 {
			return gone[:n], nil
		}
		if last.marked >= last.x.size {
			last.leave = true
			return gone[:n], nil
		}
		if p := last.x.producers; p != nil && len(p) == 0 { // there were none
			return gone[:n], nil
		}
	}
	return gone[:len(gone)-1], nil // making room counts more
}

// checkpointOf makes segments durable in their own files, where that has not followed the write-ahead log yet.
func (l *Log) checkpointOf(segments []*segment) error {
	l.mu.Lock()
	late := slices.ContainsFunc(segments, func(s *segment) bool { return s.synced < s.x.size })
	l.mu.Unlock()
	if !late {
		return nil
	}
	return l.checkpoint()
}

// producersAt reads what was known of producers at a segment's mark.
func (l *Log) producersAt(s *segment) ([]byte, error) {
	raw, err := readFile(l.fs, s.path+indexSuffix)
	if err != nil {
		return nil, err
	}
	x, err := decodeIndex(raw)
	return x.producers, err
}

// writeStart makes the new start durable and returns those of gone that are still to be removed. On a full disk the oldest
// goes first, to make room.
func (l *Log) writeStart(offset int64, gone []*segment) ([]*segment, error) {
	name := l.fs.PathJoin(l.path, startFile)
	err := writeFile(l.fs, name, encodeStart(offset))
	for len(gone) > 0 && vfs.IsNoSpaceError(err) {
		if gone, err = l.removeOldest(gone); err == nil {
			err = writeFile(l.fs, name, encodeStart(offset))
		}
	}
	return gone, l.changeFailed(err)
}

// removeOldest removes the first of the segments that are to go, before the start that says so is written: the start is then
// at least the next segment's, which nobody was told of yet.
func (l *Log) removeOldest(gone []*segment) ([]*segment, error) {
	l.mu.Lock()
	if err := l.usable(); err != nil {
		l.mu.Unlock()
		return gone, err
	}
	l.start = max(l.start, l.segmentEnd(0))
	l.forget(gone[:1])
	l.mu.Unlock()
	return gone[1:], errors.Join(l.remove(gone[:1]), syncDir(l.fs, l.path))
}

// changeFailed words a failed change of the files beside the records. It is that change's alone, unless a sync failed.
func (l *Log) changeFailed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errSync):
		return l.dir.fail(fmt.Errorf("%s: %w", l.path, err))
	default:
		return fmt.Errorf("%s: %w", l.path, err)
	}
}

// forget takes segments out of the log. Their files go by remove. The caller holds the lock.
func (l *Log) forget(gone []*segment) {
	for _, s := range gone {
		s.retired = true
	}
	l.segments = slices.DeleteFunc(slices.Clone(l.segments), func(s *segment) bool { return slices.Contains(gone, s) })
}

// remove unlinks the files of segments that the log has forgotten. Space comes back at once: readers hold the file open,
// not its name, so there is nothing to wait for.
func (l *Log) remove(gone []*segment) error {
	l.marking.Lock() // an index of them that is being written
	defer l.marking.Unlock()
	var errs []error
	for _, s := range gone {
		errs = append(errs, s.release(), l.unlink(s.path+logSuffix))
		if !s.leave {
			errs = append(errs, l.unlink(s.path+indexSuffix))
			continue
		}
		if l.left != "" {
			errs = append(errs, l.unlink(l.left))
		}
		l.left = s.path + indexSuffix
	}
	return errors.Join(errs...)
}

func (l *Log) unlink(name string) error {
	if err := l.fs.Remove(name); !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	return nil
}

// segmentSuffixes are the files of a segment. The records go first: the others mean nothing without.
var segmentSuffixes = []string{logSuffix, indexSuffix}

// finishDeletions removes what lies below start and was left by a stop. bases are of all segments, in order; those that
// stay are returned. What cannot be removed now is tried again at the next start. A segment stays if the next has no mark
// yet, and an index file if the first segment has none: what was known of producers before is only there.
func (l *Log) finishDeletions(names []string, bases []int64, start int64) []int64 {
	hasMark := func(base int64) bool {
		_, marked := l.dir.marks.get(l.name, base)
		return marked || slices.Contains(names, l.fs.PathBase(segmentPath(l.fs, l.path, base))+indexSuffix)
	}
	for len(bases) > 1 && bases[1] <= start && hasMark(bases[1]) {
		bases = bases[1:]
	}
	if len(bases) == 0 {
		return nil
	}
	slices.Sort(names)
	l.left = ""
	for _, name := range names {
		base, ok := segmentFile(name)
		if !ok || base >= bases[0] {
			continue
		}
		if strings.HasSuffix(name, indexSuffix) && !hasMark(bases[0]) {
			name, l.left = l.left, l.fs.PathJoin(l.path, name)
			if name == "" {
				continue
			}
			_ = l.fs.Remove(name) // of an earlier segment
			continue
		}
		_ = l.fs.Remove(l.fs.PathJoin(l.path, name))
	}
	return bases
}

// dropEnded removes the segments of a log that ends below its start: what they hold was deleted.
func (l *Log) dropEnded() error {
	if len(l.segments) == 0 || l.active().x.next >= l.start {
		return nil
	}
	gone := l.segments
	l.segments = nil
	return l.remove(gone)
}
