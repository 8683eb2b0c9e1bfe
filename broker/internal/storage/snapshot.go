package storage

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	iofs "io/fs"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A snapshot stands for the records of a log before an offset: docs/formats/snapshot.md.
const (
	snapshotSuffix = ".snapshot"
	snapshotMagic  = 0x6c656e31 // "len1"
	snapshotHead   = 4 + 8
	snapshotTemp   = "snapshot.tmp" // of which there is one, however often the power goes
)

// NoSnapshot is the offset of a snapshot that there is none of.
const NoSnapshot = int64(-1)

func (l *Log) snapshotPath(offset int64) string {
	return l.fs.PathJoin(l.path, fmt.Sprintf("%020d%s", offset, snapshotSuffix))
}

// snapshotOffset finds what a file is a snapshot of.
func snapshotOffset(name string) (int64, bool) {
	digits, ok := strings.CutSuffix(name, snapshotSuffix)
	offset, err := strconv.ParseInt(digits, 10, 64)
	return offset, ok && err == nil && offset >= 0 && len(digits) == 20
}

// WriteSnapshot keeps records that make what those of the log before offset, which are durable, have made. Once that is
// durable too, all snapshots but this and the former one go, and what lies before the former one goes from the log.
func (l *Log) WriteSnapshot(offset, former int64, records iter.Seq[[]byte]) error {
	// Who replays the log finishes the deletions of other logs that he finds in it. From now on he does not find them.
	err := syncDir(l.fs, l.dir.path)
	if err == nil {
		err = l.writeSnapshot(offset, records)
	}
	if err != nil {
		return l.changeFailed(fmt.Errorf("snapshot at %d: %w", offset, err))
	}
	all, err := l.Snapshots()
	if err != nil {
		return err
	}
	for _, at := range all {
		if at != offset && at != former {
			err = errors.Join(err, l.unlink(l.snapshotPath(at)))
		}
	}
	if former == NoSnapshot {
		return err
	}
	return errors.Join(err, l.DeleteBefore(former))
}

func (l *Log) writeSnapshot(offset int64, records iter.Seq[[]byte]) error {
	temp := l.fs.PathJoin(l.path, snapshotTemp)
	f, err := l.fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	err = writeSnapshotTo(f, offset, records)
	if err = errors.Join(err, syncFailed(f.Sync()), f.Close()); err != nil {
		return errors.Join(err, l.unlink(temp)) // which may have filled the disk
	}
	if err := l.fs.Rename(temp, l.snapshotPath(offset)); err != nil {
		return err
	}
	return syncDir(l.fs, l.path)
}

func writeSnapshotTo(f vfs.File, offset int64, records iter.Seq[[]byte]) error {
	out, sum := bufio.NewWriterSize(f, 64<<10), uint32(0)
	put := func(b []byte) error {
		sum = crc32.Update(sum, castagnoli, b)
		_, err := out.Write(b)
		return err
	}
	be := binary.BigEndian
	if err := put(be.AppendUint64(be.AppendUint32(nil, snapshotMagic), uint64(offset))); err != nil {
		return err
	}
	size := make([]byte, 0, 4)
	for r := range records {
		if uint64(len(r)) > math.MaxUint32 {
			return fmt.Errorf("a record of %d bytes", len(r))
		}
		if err := errors.Join(put(be.AppendUint32(size, uint32(len(r)))), put(r)); err != nil {
			return err
		}
	}
	if err := put(be.AppendUint32(nil, sum)); err != nil {
		return err
	}
	return out.Flush()
}

// Snapshots are the offsets of the snapshots that there are, whole or not, the newest first.
func (l *Log) Snapshots() ([]int64, error) {
	names, err := l.fs.List(l.path)
	if err != nil {
		if errors.Is(err, iofs.ErrNotExist) {
			return nil, nil // nothing was ever appended
		}
		return nil, err
	}
	var all []int64
	for _, name := range names {
		if offset, ok := snapshotOffset(name); ok {
			all = append(all, offset)
		}
	}
	slices.Sort(all)
	slices.Reverse(all)
	return all, nil
}

// ReadSnapshot returns the records of a snapshot. ErrDamaged: they are not what was written.
func (l *Log) ReadSnapshot(offset int64) ([][]byte, error) {
	path := l.snapshotPath(offset)
	raw, err := readFile(l.fs, path)
	if err != nil {
		return nil, err
	}
	records, ok := decodeSnapshot(raw, offset)
	if !ok {
		err := fmt.Errorf("%w: %s is not whole", ErrDamaged, path)
		l.dir.note(err)
		return nil, err
	}
	return records, nil
}

func decodeSnapshot(b []byte, offset int64) ([][]byte, bool) {
	be := binary.BigEndian
	end := len(b) - 4
	if end < snapshotHead || crc32.Checksum(b[:end], castagnoli) != be.Uint32(b[end:]) ||
		be.Uint32(b) != snapshotMagic || be.Uint64(b[4:]) != uint64(offset) {
		return nil, false
	}
	var records [][]byte
	for b = b[snapshotHead:end]; len(b) > 0; {
		if len(b) < 4 || uint64(be.Uint32(b)) > uint64(len(b)-4) {
			return nil, false
		}
		n := 4 + int(be.Uint32(b))
		records, b = append(records, b[4:n:n]), b[n:]
	}
	return records, true
}
