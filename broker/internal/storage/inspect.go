package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/internal/batch"
)

// FaultKind says what is wrong with a file.
type FaultKind string

// Rot and Gap lose records that somebody was told are durable; the others lose nothing.
const (
	Rot      FaultKind = "rot"       // bytes that were durable are no whole batch any more
	Gap      FaultKind = "gap"       // a segment ends before the next begins, or the first is missing
	Torn     FaultKind = "torn tail" // bytes after the last whole batch that were never durable; the next start puts them aside
	SetAside FaultKind = "set aside" // such bytes, put aside by an earlier start
	BadIndex FaultKind = "index"     // an index that is missing or damaged; the next start makes it anew

	BadStart    FaultKind = "start"    // a start file that is damaged: records that were deleted may be served again
	BadSnapshot FaultKind = "snapshot" // one that is damaged; the next start takes the one before it, if there is one
)

// Fault is one finding of Inspect.
type Fault struct {
	Kind       FaultKind
	Log, File  string
	Pos, Bytes int64 // in the file
	Offset     int64 // of the first record that is affected
}

// Inspection is what a data directory holds.
type Inspection struct {
	Logs   []string
	Bytes  int64 // of records
	Faults []Fault
}

// Visitor is shown what Inspect reads. Either function may be nil.
type Visitor struct {
	Snapshot func(log string, offset int64, records [][]byte) error // the newest whole one, before the log's batches
	Batch    func(log string, b []byte) error                       // each whole batch
}

// Inspect reads every log of a directory and changes nothing. Without checksums it looks at the headers of batches only.
// ErrLocked: a process uses the directory.
func Inspect(fs vfs.FS, path string, checksums bool, see Visitor) (*Inspection, error) {
	if _, err := fs.Stat(path); err != nil {
		return nil, err
	}
	lock, err := lockDir(fs, path)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	d := &Dir{fs: fs, path: path}
	d.useFiles()
	d.readMarks()
	in := &Inspection{}
	if in.Logs, err = d.Logs(); err != nil {
		return nil, err
	}
	slices.Sort(in.Logs)
	for name := range d.marks.known {
		if !slices.Contains(in.Logs, name) {
			in.gone(d.OpenLog(name, LogConfig{}), 0)
		}
	}
	for _, name := range in.Logs {
		if err := in.log(d.OpenLog(name, LogConfig{}), name, checksums, see); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return in, in.wal(d)
}

// wal looks at the write-ahead log, which the next start writes back into the logs.
func (in *Inspection) wal(d *Dir) error {
	dir := d.fs.PathJoin(d.path, walDir)
	names, err := d.fs.List(dir)
	if err != nil {
		return nil //nolint:nilerr // there never was one
	}
	for _, name := range names {
		f, err := d.scan(name, func(walBlock) error { return nil })
		if err != nil {
			return err
		}
		if f.hole {
			in.Faults = append(in.Faults, Fault{Kind: Rot, Log: walDir, File: name})
		}
	}
	return nil
}

func (in *Inspection) log(l *Log, name string, checksums bool, see Visitor) error {
	if err := in.snapshots(l, name, see.Snapshot); err != nil {
		return err
	}
	files, err := l.fs.List(l.path)
	if err != nil {
		return err
	}
	var bases []int64
	for _, file := range files {
		if base, ok := segmentBase(file); ok {
			bases = append(bases, base)
		}
		if strings.HasSuffix(file, tornSuffix) {
			if info, err := l.fs.Stat(l.fs.PathJoin(l.path, file)); err == nil {
				in.Faults = append(in.Faults, Fault{Kind: SetAside, Log: name, File: file, Bytes: info.Size()})
			}
		}
	}
	slices.Sort(bases)
	start, err := l.readStart()
	switch {
	case errors.Is(err, errStart):
		in.Faults = append(in.Faults, Fault{Kind: BadStart, Log: name, File: startFile})
	case err != nil:
		return err
	case len(bases) > 0 && bases[0] > start:
		in.Faults = append(in.Faults, Fault{Kind: Gap, Log: name, File: name, Offset: start})
	}
	var before *segment
	for i, base := range bases {
		s, err := in.segment(l, name, base, i == len(bases)-1, checksums, see.Batch)
		if err != nil {
			return err
		}
		if before != nil && before.x.next < base && s.marked > 0 { // a hole that nothing durable follows is put aside at the next start
			in.Faults = append(in.Faults, Fault{Kind: Gap, Log: name, File: name, Offset: before.x.next})
		}
		before = s
	}
	if before != nil {
		start = max(start, before.x.next)
	}
	in.gone(l, start)
	return nil
}

// gone looks whether the last segment of a log is missing: what is there ends at end.
func (in *Inspection) gone(l *Log, end int64) {
	if _, m, known := l.dir.marks.last(l.name); known && m.next > end {
		in.Faults = append(in.Faults, Fault{Kind: Gap, Log: l.name, File: l.name, Offset: end})
	}
}

// snapshots reads all of a log.
func (in *Inspection) snapshots(l *Log, name string, see func(string, int64, [][]byte) error) error {
	all, err := l.Snapshots()
	if err != nil {
		return err
	}
	for _, offset := range all {
		records, err := l.ReadSnapshot(offset)
		if errors.Is(err, ErrDamaged) {
			in.Faults = append(in.Faults, Fault{Kind: BadSnapshot, Log: name, File: l.fs.PathBase(l.snapshotPath(offset)), Offset: offset})
			continue
		}
		if err == nil && see != nil {
			err, see = see(name, offset, records), nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// segment reads one file. What it returns ends where its batches do.
func (in *Inspection) segment(l *Log, name string, base int64, active, checksums bool, batches func(string, []byte) error) (*segment, error) {
	s := l.newSegment(base)
	file := l.fs.PathBase(s.path) + logSuffix
	var err error
	if s.file, err = l.fs.Open(s.path + logSuffix); err != nil {
		return nil, err
	}
	defer s.file.Close()
	info, err := s.file.Stat()
	if err = errors.Join(err, isFile(info, s.path+logSuffix)); err != nil {
		return nil, err
	}
	marked := index{}
	raw, err := readFile(l.fs, s.path+indexSuffix)
	if err == nil {
		marked, err = decodeIndex(raw)
	}
	missing := errors.Is(err, iofs.ErrNotExist)
	if m, ok := l.dir.marks.get(name, base); ok && active && m.size > marked.size {
		marked, err = m, nil
	}
	if err != nil && !(missing && active) || marked.size > info.Size() {
		in.Faults = append(in.Faults, Fault{Kind: BadIndex, Log: name, File: l.fs.PathBase(s.path) + indexSuffix, Offset: base})
	}
	s.marked = marked.size
	var inner error
	see := func(h batch.Header, pos int64) bool {
		// The checksum leaves the offset out. Compaction may take some, but none comes back or lies beyond the end.
		if h.BaseOffset < s.x.next || pos < marked.size && h.LastOffset() >= marked.next {
			return false
		}
		s.x.next = h.LastOffset() + 1
		in.Bytes += int64(h.Size())
		if batches == nil {
			return true
		}
		b := make([]byte, h.Size())
		if n, err := s.file.ReadAt(b, pos); n < len(b) {
			inner = err
			return false
		}
		inner = batches(name, b)
		return inner == nil
	}
	for pos := int64(0); ; {
		end, err := s.scan(pos, info.Size(), checksums, see)
		if err = errors.Join(err, inner); err != nil {
			return nil, err
		}
		if end >= marked.size {
			if n := used(s.file, end, info.Size()); n > 0 {
				in.Faults = append(in.Faults, Fault{Kind: Torn, Log: name, File: file, Pos: end, Bytes: n, Offset: s.x.next})
			}
			break
		}
		if pos = marked.size; len(marked.entries) > 0 { // on with the next place that the index knows
			if i := slices.IndexFunc(marked.entries, func(e entry) bool { return e.pos > end }); i >= 0 {
				pos = marked.entries[i].pos
			}
		}
		in.Faults = append(in.Faults, Fault{Kind: Rot, Log: name, File: file, Pos: end, Bytes: pos - end, Offset: s.x.next})
		if pos >= info.Size() {
			break
		}
	}
	s.x.next = max(s.x.next, marked.next)
	return s, nil
}

// used is how many bytes from pos on are not the zeros that mean nothing.
func used(f vfs.File, pos, size int64) int64 {
	buf := make([]byte, 64<<10)
	var n int64
	for at := pos; at < size; at += int64(len(buf)) {
		got, err := f.ReadAt(buf[:min(int64(len(buf)), size-at)], at)
		if written := bytes.TrimRight(buf[:got], "\x00"); len(written) > 0 {
			n = at + int64(len(written)) - pos
		}
		if err != nil && !errors.Is(err, io.EOF) {
			break
		}
	}
	return n
}
