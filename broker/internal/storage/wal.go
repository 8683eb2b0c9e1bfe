package storage

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The write-ahead log of a directory: docs/formats/wal.md. One sync of one of its files makes what was appended to many
// logs durable. Its files are written once as zeros, so that a sync has nothing to do but the data, and used again and again.
const (
	walDir       = "wal"
	walSuffix    = ".wal"
	walFiles     = 4
	walFileBytes = 16 << 20 // of each
	walPage      = 4 << 10  // blocks begin at a multiple of it

	walRetry = 10 * time.Second // after a file could not be made, for want of space most likely

	walMemoryBytes = 64 << 10 // of each where the files are memory

	walFileMagic  = 0x6c657731 // "lew1"
	walBlockMagic = 0x6c657762 // "lewb"
	walBlockHead  = 4 + 4 + 8 + 4 + 4
	walEntryHead  = 2 + 8 + 8 + 4
)

// wal is the write-ahead log. Its mutex guards all but what a commit under way writes: only one is at a time.
type wal struct {
	dir   *Dir
	bytes int64  // of a file; 0: there is no write-ahead log
	buf   []byte // of the commit under way

	mu       sync.Mutex
	files    []*walFile
	active   *walFile // nil: none yet
	creating bool
	retry    time.Time // not before, because a file could not be made: logs are synced by themselves
	next     uint64    // sequence number of the next block
	changed  sync.Cond // a file was made, or its logs are synced
}

type walFile struct {
	f    vfs.File
	path string
	pos  int64

	first uint64            // sequence of its first block; 0: it has none that counts
	full  bool              // waits until its logs are synced
	logs  map[*Log]struct{} // with something in it that a start would write back, until it begins anew
}

// walBlock is what one sync made durable.
type walBlock struct {
	sequence uint64
	entries  []walEntry
}

// walEntry is a range of a segment.
type walEntry struct {
	log  string
	base int64
	pos  int64
	data []byte
}

// fits tells whether n bytes of records in count ranges go into one block of a file.
func (w *wal) fits(n int64, count int) bool {
	return n+int64(count)*(walEntryHead+64)+walBlockHead <= min(w.bytes/4, walBlockMax)
}

const (
	walBlockMax = 1 << 20   // of a block
	walTailMax  = 128 << 10 // as much of one log is better synced where it is than written twice
)

// ready tells whether a block can be written, and has a file made if that is what is missing.
func (w *wal) ready() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hasRoom()
}

// hasRoom is ready for who holds the lock.
func (w *wal) hasRoom() bool {
	if w.bytes == 0 {
		return false
	}
	if w.active != nil && w.active.pos+min(w.bytes/4, walBlockMax)+walPage <= w.bytes {
		return true
	}
	if w.free() != nil {
		return true
	}
	if !w.creating && len(w.files) < walFiles && time.Now().After(w.retry) {
		w.creating = true
		w.dir.syncing.Add(1)
		go w.create()
	}
	return false
}

// free finds the file that is to be used next: always the oldest, so that a block that says what is to be forgotten outlives
// what it is about. nil: its logs are not synced yet. The caller holds the lock.
func (w *wal) free() *walFile {
	var oldest *walFile
	for _, f := range w.files {
		if f != w.active && (oldest == nil || f.first < oldest.first) {
			oldest = f
		}
	}
	if oldest == nil || oldest.full {
		return nil
	}
	return oldest
}

// create makes one more file. Until it is there logs are synced by themselves.
func (w *wal) create() {
	defer w.dir.syncing.Done()
	f, err := w.newFile()
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.changed.Broadcast()
	w.creating = false
	if err != nil {
		w.retry = time.Now().Add(walRetry)
		return
	}
	w.files = append(w.files, f)
}

func (w *wal) newFile() (*walFile, error) {
	fs := w.dir.fs
	dir := fs.PathJoin(w.dir.path, walDir)
	if err := makeDir(fs, dir); err != nil {
		return nil, err
	}
	w.mu.Lock()
	taken := map[string]bool{}
	for _, f := range w.files {
		taken[f.path] = true
	}
	w.mu.Unlock()
	f := &walFile{logs: map[*Log]struct{}{}}
	for n := 0; f.path == "" || taken[f.path]; n++ {
		f.path = fs.PathJoin(dir, strconv.Itoa(n)+walSuffix)
	}
	created, err := fs.Create(f.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, min(w.bytes, 1<<20))
	for at := int64(0); at < w.bytes && err == nil; at += int64(len(zeros)) {
		_, err = created.Write(zeros[:min(int64(len(zeros)), w.bytes-at)])
	}
	if err = errors.Join(err, created.Sync(), created.Close(), syncDir(fs, dir)); err != nil {
		return nil, errors.Join(err, fs.Remove(f.path))
	}
	f.f, err = fs.OpenReadWrite(f.path, vfs.WriteCategoryUnspecified)
	return f, err
}

// begin says in the file's first page that only blocks from first on count: what was in the file before is over.
func (f *walFile) begin(first uint64) error {
	page := make([]byte, walPage)
	be := binary.BigEndian
	be.PutUint32(page, walFileMagic)
	be.PutUint64(page[4:], first)
	be.PutUint32(page[12:], crc32.Checksum(page[:12], castagnoli))
	if _, err := f.f.WriteAt(page, 0); err != nil {
		return err
	}
	f.pos = walPage
	return syncFailed(f.f.SyncData())
}

// commit writes the block in buf and makes it durable. Only one goroutine commits, and ready said yes. A write that fails is
// as if nothing had been; only after a failed sync (errSync) nobody knows.
func (w *wal) commit(logs []*Log) error {
	w.mu.Lock()
	file := w.active
	w.mu.Unlock()
	if file == nil || file.pos+int64(len(w.buf)) > w.bytes {
		var err error
		if file, err = w.turn(); err != nil {
			return err
		}
	}
	if _, err := file.f.WriteAt(w.buf, file.pos); err != nil {
		return fmt.Errorf("%s: %w", file.path, err)
	}
	w.mu.Lock()
	w.next++
	for _, l := range logs {
		file.logs[l] = struct{}{}
	}
	file.pos += int64(len(w.buf))
	w.mu.Unlock()
	if err := file.f.SyncData(); err != nil {
		return fmt.Errorf("%s: %w", file.path, syncFailed(err))
	}
	return nil
}

// turn begins the next file, and has the logs of the last one synced so that it can be used again.
func (w *wal) turn() (*walFile, error) {
	w.mu.Lock()
	file, last := w.free(), w.active
	if file == nil {
		w.mu.Unlock()
		return nil, errors.New("no file of the write-ahead log is free") // ready was not asked
	}
	if last != nil {
		last.full = true
	}
	w.mu.Unlock()
	if err := file.begin(w.next); err != nil {
		return nil, fmt.Errorf("%s: %w", file.path, err)
	}
	w.mu.Lock()
	w.active, file.first = file, w.next
	clear(file.logs)
	w.mu.Unlock()
	if last != nil {
		w.dir.syncing.Add(1)
		go func() {
			defer w.dir.syncing.Done()
			w.retire(last)
		}()
	}
	return file, nil
}

// retire syncs the logs that a full file has something of. If that fails the directory is offline, and the file stays.
func (w *wal) retire(f *walFile) {
	w.mu.Lock()
	logs := slices.Collect(maps.Keys(f.logs))
	w.mu.Unlock()
	var wg sync.WaitGroup
	var failed errorOnce
	for _, l := range logs {
		w.dir.workers <- struct{}{}
		wg.Go(func() {
			defer func() { <-w.dir.workers }()
			failed.note(l.checkpoint())
		})
	}
	wg.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.changed.Broadcast()
	f.full = failed.err != nil
}

// errorOnce keeps the first error.
type errorOnce struct {
	mu  sync.Mutex
	err error
}

func (e *errorOnce) note(err error) {
	if err == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = err
	}
}

// forget sees to it that a start writes nothing of what the write-ahead log has of l now, because other files are about to
// take the place of its segments.
func (w *wal) forget(l *Log) error {
	w.mu.Lock()
	held := slices.ContainsFunc(w.files, func(f *walFile) bool { _, in := f.logs[l]; return in })
	w.mu.Unlock()
	if !held {
		return nil
	}
	if err := l.checkpoint(); err != nil {
		return err
	}
	return w.dir.commits.exclusive(func() error {
		switch err := w.awaitRoom(); {
		case errors.Is(err, errNoRoom):
			return w.dir.failIfSync(w.restart())
		case err != nil:
			return err
		}
		w.buf, _ = appendEntry(beginBlock(w.buf), l.name, walForget, 0, 0)
		w.buf = sealBlock(w.buf, w.next, 1)
		return w.dir.failIfSync(w.commit(nil))
	})
}

// awaitRoom waits until a block can be written.
func (w *wal) awaitRoom() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.hasRoom() {
		if err := w.dir.Offline(); err != nil {
			return err
		}
		if !w.creating && !slices.ContainsFunc(w.files, func(f *walFile) bool { return f.full }) {
			return errNoRoom
		}
		w.changed.Wait()
	}
	return nil
}

var errNoRoom = errors.New("the write-ahead log has no room, and there is none for another file of it")

// restart syncs every log that the write-ahead log has something of, and begins all its files anew. No commit is under way.
func (w *wal) restart() error {
	w.mu.Lock()
	files := slices.SortedFunc(slices.Values(w.files), func(a, b *walFile) int { return cmp.Compare(a.first, b.first) }) // as free says
	w.mu.Unlock()
	for _, f := range files {
		if w.retire(f); f.full {
			return w.dir.Offline()
		}
		if err := f.begin(w.next); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		w.mu.Lock()
		f.first = w.next
		clear(f.logs)
		w.mu.Unlock()
	}
	return nil
}

// close ends the files, whose logs are closed, and so synced, by now.
func (w *wal) close() error {
	var errs []error
	slices.SortFunc(w.files, func(a, b *walFile) int { return cmp.Compare(a.first, b.first) }) // as free says
	for _, f := range w.files {
		if f.pos > walPage && w.dir.Offline() == nil {
			errs = append(errs, f.begin(w.next))
		}
		errs = append(errs, f.f.Close())
	}
	return errors.Join(errs...)
}

// walForget in place of a segment's base says that what blocks before have of the log does not count.
const walForget = -1

// beginBlock leaves room for the head of a block, in b's memory.
func beginBlock(b []byte) []byte {
	return append(b[:0], make([]byte, walBlockHead)...)
}

// appendEntry adds a range of a segment, and returns where its n bytes go.
func appendEntry(b []byte, log string, base, pos int64, n int) (block, data []byte) {
	be := binary.BigEndian
	b = be.AppendUint16(b, uint16(len(log)))
	b = append(b, log...)
	b = be.AppendUint64(b, uint64(base))
	b = be.AppendUint64(b, uint64(pos))
	b = be.AppendUint32(b, uint32(n))
	at := len(b)
	b = slices.Grow(b, n)[:at+n]
	return b, b[at:]
}

// sealBlock writes the head and fills the block up to whole pages.
func sealBlock(b []byte, sequence uint64, entries int) []byte {
	be := binary.BigEndian
	be.PutUint32(b, walBlockMagic)
	be.PutUint64(b[8:], sequence)
	be.PutUint32(b[16:], uint32(entries))
	be.PutUint32(b[20:], uint32(len(b)-walBlockHead))
	be.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	if over := len(b) % walPage; over > 0 {
		b = append(b, make([]byte, walPage-over)...)
	}
	return b
}

// readBlock decodes the block at the start of b. false: there is none that is whole.
func readBlock(b []byte) (sequence uint64, entries []walEntry, size int, ok bool) {
	be := binary.BigEndian
	if len(b) < walBlockHead || be.Uint32(b) != walBlockMagic {
		return 0, nil, 0, false
	}
	sequence = be.Uint64(b[8:])
	count, length := int(be.Uint32(b[16:])), int(be.Uint32(b[20:]))
	if length > len(b)-walBlockHead || crc32.Checksum(b[8:walBlockHead+length], castagnoli) != be.Uint32(b[4:]) {
		return 0, nil, 0, false
	}
	rest := b[walBlockHead : walBlockHead+length]
	for range count {
		e, more, ok := readEntry(rest)
		if !ok {
			return 0, nil, 0, false
		}
		entries, rest = append(entries, e), more
	}
	size = walBlockHead + length
	return sequence, entries, (size + walPage - 1) / walPage * walPage, len(rest) == 0
}

func readEntry(b []byte) (e walEntry, rest []byte, ok bool) {
	be := binary.BigEndian
	if len(b) < 2 {
		return e, nil, false
	}
	n := int(be.Uint16(b))
	if len(b) < n+walEntryHead {
		return e, nil, false
	}
	e.log = string(b[2 : 2+n])
	b = b[2+n:]
	e.base, e.pos = int64(be.Uint64(b)), int64(be.Uint64(b[8:]))
	size := int(be.Uint32(b[16:]))
	if b = b[walEntryHead-2:]; size > len(b) || e.pos < 0 {
		return e, nil, false
	}
	e.data = b[:size]
	return e, b[size:], true
}

// found is a file of the write-ahead log as a start finds it.
type found struct {
	name   string
	first  uint64 // sequence of the first block that counts
	blocks []walBlock
	next   uint64 // after the last block
	hole   bool   // a block is damaged that others follow: not a torn tail
}

// parseWAL reads a file. Without its first page no block of it counts, unless they begin at the first place for one.
func parseWAL(name string, b []byte) found {
	be := binary.BigEndian
	w := found{name: name}
	if len(b) < walPage {
		return w
	}
	headed := be.Uint32(b) == walFileMagic && crc32.Checksum(b[:12], castagnoli) == be.Uint32(b[12:])
	if headed {
		w.first = be.Uint64(b[4:])
	} else if sequence, _, _, ok := readBlock(b[walPage:]); ok {
		w.first, w.hole = sequence, true
	}
	w.next = w.first
	missing := false
	for at := walPage; at < len(b); {
		sequence, entries, size, ok := readBlock(b[at:])
		if !ok || sequence < w.next || sequence > w.next && !missing {
			missing = true
			at += walPage
			continue
		}
		if missing { // what follows was written after what is damaged was durable
			w.hole, missing = true, false
		}
		w.blocks = append(w.blocks, walBlock{sequence, entries})
		w.next = sequence + 1
		at += size
	}
	return w
}

// recoverWAL writes what the write-ahead log has, and a power loss took from the segments, back into them.
func (d *Dir) recoverWAL() error {
	dir := d.fs.PathJoin(d.path, walDir)
	if _, err := d.fs.Stat(dir); err != nil {
		return nil //nolint:nilerr // there never was one
	}
	names, err := d.fs.List(dir)
	if err != nil {
		return err
	}
	var all []found
	for _, name := range names {
		if !strings.HasSuffix(name, walSuffix) {
			continue
		}
		b, err := readFile(d.fs, d.fs.PathJoin(dir, name))
		if err != nil {
			return err
		}
		all = append(all, parseWAL(name, b))
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Compare(a.first, b.first) }) // adopt ends them in this order, as free says
	r := replayer{dir: d, open: map[string]vfs.File{}, forgotten: forgotten(all)}
	for _, f := range all {
		d.wal.next = max(d.wal.next, f.next)
		if f.hole {
			d.note(fmt.Errorf("%w: the write-ahead log %s misses a part that was durable", ErrDamaged, f.name))
		}
		for _, b := range f.blocks {
			if err := r.apply(b); err != nil {
				return errors.Join(err, r.close())
			}
		}
	}
	if err := r.sync(); err != nil {
		return err
	}
	return d.wal.adopt(dir, all)
}

// adopt takes the files over for further use, empty.
func (w *wal) adopt(dir string, all []found) error {
	for _, f := range all {
		path := w.dir.fs.PathJoin(dir, f.name)
		info, err := w.dir.fs.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() != w.bytes || len(w.files) == walFiles { // of another size, or not finished
			if err := w.dir.fs.Remove(path); err != nil {
				return err
			}
			continue
		}
		file := &walFile{path: path, logs: map[*Log]struct{}{}}
		if file.f, err = w.dir.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified); err != nil {
			return err
		}
		w.files = append(w.files, file)
		if len(f.blocks) > 0 || f.hole {
			if err := file.begin(w.next); err != nil {
				return err
			}
		}
	}
	return syncDir(w.dir.fs, dir)
}

// forgotten finds the last block that says so of each log.
func forgotten(all []found) map[string]uint64 {
	out := map[string]uint64{}
	for _, f := range all {
		for _, b := range f.blocks {
			for _, e := range b.entries {
				if e.base == walForget {
					out[e.log] = b.sequence
				}
			}
		}
	}
	return out
}

// replayer writes ranges back into segments.
type replayer struct {
	dir       *Dir
	open      map[string]vfs.File // segments that were touched
	forgotten map[string]uint64
}

// replayOpen bounds how many segments are open at once.
const replayOpen = 256

func (r *replayer) apply(b walBlock) error {
	for _, e := range b.entries {
		if e.base == walForget || b.sequence < r.forgotten[e.log] {
			continue
		}
		f, err := r.file(e)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		there := make([]byte, len(e.data))
		n, err := f.ReadAt(there, e.pos)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == len(e.data) && bytes.Equal(there, e.data) {
			continue
		}
		if _, err := f.WriteAt(e.data, e.pos); err != nil {
			return err
		}
	}
	return nil
}

// file opens the segment of a range. nil: it is gone, deleted since with its log or by retention.
func (r *replayer) file(e walEntry) (vfs.File, error) {
	fs := r.dir.fs
	path := segmentPath(fs, fs.PathJoin(r.dir.path, e.log), e.base) + logSuffix
	if f := r.open[path]; f != nil {
		return f, nil
	}
	if _, err := fs.Stat(path); err != nil {
		return nil, nil //nolint:nilerr // gone
	}
	if len(r.open) >= replayOpen {
		if err := r.sync(); err != nil {
			return nil, err
		}
	}
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	r.open[path] = f
	return f, nil
}

// sync makes durable what was touched: also what was there already, which may only be in the memory of the system.
func (r *replayer) sync() error {
	var wg sync.WaitGroup
	var failed errorOnce
	slots := make(chan struct{}, syncWorkers)
	for _, f := range r.open {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			failed.note(syncFailed(f.SyncData()))
		})
	}
	wg.Wait()
	return errors.Join(failed.err, r.close())
}

func (r *replayer) close() error {
	var errs []error
	for _, f := range r.open {
		errs = append(errs, f.Close())
	}
	clear(r.open)
	return errors.Join(errs...)
}
