package storage

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	iofs "io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The marks of active segments as of the last clean stop, together in one file: docs/formats/marks.md. The file is renamed
// when a process begins to use the directory, so that its name tells whether the stop was clean. What it says stays true.
const (
	marksFile     = "marks"
	usedMarksFile = "marks.used"
	marksMagic    = 0x6c656d31 // "lem1"
	marksMax      = 16 << 10   // bytes of one mark; a larger one goes into the segment's own index file
)

type marks struct {
	mu    sync.Mutex
	clean bool
	known map[string]marked // by log
}

// marked is the mark of a log's segment as its index file would have it.
type marked struct {
	base int64
	raw  []byte
}

// readMarks reads the file. Without it, or if it is damaged, nothing is known: that costs a start more reading.
func (d *Dir) readMarks() {
	d.marks.known = map[string]marked{}
	for _, name := range []string{marksFile, usedMarksFile} {
		raw, err := readFile(d.fs, d.fs.PathJoin(d.path, name))
		if err != nil {
			continue
		}
		if known, ok := decodeMarks(raw); ok {
			d.marks.known, d.marks.clean = known, name == marksFile
			return
		}
	}
}

// useMarks reads the file, and renames it. That this is not durable at once costs nothing but a wrong CleanStop.
func (d *Dir) useMarks() error {
	d.readMarks()
	err := d.fs.Rename(d.fs.PathJoin(d.path, marksFile), d.fs.PathJoin(d.path, usedMarksFile))
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	return err
}

// CleanStop tells whether the process that used the directory before had time to close it.
func (d *Dir) CleanStop() bool { return d.marks.clean }

// closeMarks writes the file for the next start.
func (d *Dir) closeMarks() error {
	if d.Offline() != nil {
		return nil //nolint:nilerr // nothing can be said now; what was said before stays true
	}
	err := writeFile(d.fs, d.fs.PathJoin(d.path, marksFile), encodeMarks(d.marks.known))
	if vfs.IsNoSpaceError(err) {
		return nil // the next start reads more
	}
	if err != nil {
		return err
	}
	if err := d.fs.Remove(d.fs.PathJoin(d.path, usedMarksFile)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	return nil
}

// get returns the mark of a log's segment.
func (m *marks) get(log string, base int64) (index, bool) {
	of, x, ok := m.last(log)
	return x, ok && of == base
}

// last returns the mark of a log's segment, whichever that is.
func (m *marks) last(log string) (base int64, x index, ok bool) {
	m.mu.Lock()
	at, ok := m.known[log]
	m.mu.Unlock()
	if !ok {
		return 0, index{}, false
	}
	x, err := decodeIndex(at.raw)
	return at.base, x, err == nil
}

func (m *marks) put(log string, base int64, raw []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[log] = marked{base, raw}
}

func (m *marks) forget(log string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, log)
}

func encodeMarks(known map[string]marked) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, marksMagic)
	b = be.AppendUint32(b, uint32(len(known)))
	for _, log := range slices.Sorted(maps.Keys(known)) {
		m := known[log]
		b = be.AppendUint16(b, uint16(len(log)))
		b = append(b, log...)
		b = be.AppendUint64(b, uint64(m.base))
		b = be.AppendUint32(b, uint32(len(m.raw)))
		b = append(b, m.raw...)
	}
	return be.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeMarks(b []byte) (map[string]marked, bool) {
	be := binary.BigEndian
	if len(b) < 12 || be.Uint32(b) != marksMagic || crc32.Checksum(b[:len(b)-4], castagnoli) != be.Uint32(b[len(b)-4:]) {
		return nil, false
	}
	count := be.Uint32(b[4:])
	b = b[8 : len(b)-4]
	known := map[string]marked{}
	for range count {
		if len(b) < 2 {
			return nil, false
		}
		n := int(be.Uint16(b))
		if len(b) < 2+n+12 {
			return nil, false
		}
		log := string(b[2 : 2+n])
		b = b[2+n:]
		size := int(be.Uint32(b[8:]))
		if size > len(b)-12 {
			return nil, false
		}
		known[log] = marked{int64(be.Uint64(b)), slices.Clone(b[12 : 12+size])}
		b = b[12+size:]
	}
	return known, len(b) == 0
}
