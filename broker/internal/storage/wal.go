package storage

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	iofs "io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
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

	walFileMagic  = 0x6c657732 // "lew2"
	walFileSum    = 24         // where the checksum of the first page is
	walEnded      = 1
	walBlockMagic = 0x6c657763 // "lewc"
	walBlockHead  = 4 + 4 + 8 + 8 + 4 + 4
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

	odd   bool            // of a size that is not used any more, or damaged: it goes when it is free
	first uint64          // sequence of its first block; 0: it has none that counts
	salt  uint64          // in each of its blocks since it was begun: nobody who writes records knows it
	full  bool            // waits until its logs are synced
	logs  map[string]*Log // with something in it that a start would write back, until it begins anew, by name; nil: as a start found it
}

// walBlock is what one sync made durable.
type walBlock struct {
	salt     uint64
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
	here := w.active != nil && w.active.pos+min(w.bytes/4, walBlockMax)+walPage <= w.bytes
	next := w.free() != nil
	soon := !here || w.active.pos > w.bytes/2 // who comes when it is full need not wait then
	if soon && !next && !w.creating && len(w.files) < walFiles && time.Now().After(w.retry) {
		w.creating = true
		w.dir.syncing.Add(1)
		go w.create()
	}
	return here || next
}

// free finds the file that is to be used next: always the oldest, so that a block that says what is to be forgotten outlives
// what it is about. nil: its logs are not synced yet. The caller holds the lock.
func (w *wal) free() *walFile {
	for {
		var oldest *walFile
		for _, f := range w.files {
			if f != w.active && (oldest == nil || f.first < oldest.first) {
				oldest = f
			}
		}
		if oldest == nil || oldest.full {
			return nil
		}
		if !oldest.odd {
			return oldest
		}
		w.files = slices.DeleteFunc(w.files, func(f *walFile) bool { return f == oldest })
		_ = errors.Join(oldest.f.Close(), w.dir.fs.Remove(oldest.path)) // else the next start has it once more
	}
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
	if err := w.dir.makeOwn(dir); err != nil {
		return nil, err
	}
	w.mu.Lock()
	taken := map[string]bool{}
	for _, f := range w.files {
		taken[f.path] = true
	}
	w.mu.Unlock()
	f := &walFile{logs: map[string]*Log{}}
	for n := 0; f.path == "" || taken[f.path]; n++ {
		f.path = fs.PathJoin(dir, strconv.Itoa(n)+walSuffix)
	}
	created, err := fs.Create(f.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, min(w.bytes, 1<<20))
	for at := int64(0); at < w.bytes && err == nil; at += int64(len(zeros)) {
		if _, err = created.Write(zeros[:min(int64(len(zeros)), w.bytes-at)]); err == nil {
			_, err = created.SyncTo(at) // so that other syncs do not wait behind all of it
		}
	}
	if err = errors.Join(err, created.Sync(), created.Close(), syncDir(fs, dir)); err != nil {
		return nil, errors.Join(err, fs.Remove(f.path))
	}
	if f.f, err = fs.OpenReadWrite(f.path, vfs.WriteCategoryUnspecified); err != nil {
		return nil, err
	}
	return f, f.begin(0, true)
}

// begin says in the file's first page that only blocks from first on count: what was in the file before is over. ended:
// there will be none before the next begin.
func (f *walFile) begin(first uint64, ended bool) error {
	page := make([]byte, walPage)
	be := binary.BigEndian
	be.PutUint32(page, walFileMagic)
	be.PutUint64(page[4:], first)
	if ended {
		be.PutUint32(page[12:], walEnded)
	}
	rand.Read(page[16:walFileSum]) // it never fails
	be.PutUint32(page[walFileSum:], crc32.Checksum(page[:walFileSum], castagnoli))
	if _, err := f.f.WriteAt(page, 0); err != nil {
		return err
	}
	f.pos, f.salt = walPage, be.Uint64(page[16:])
	return syncFailed(f.f.SyncData())
}

// commit writes the block in buf, with so many entries, and makes it durable. Only one goroutine commits, and ready said yes.
// A write that fails is as if nothing had been; only after a failed sync (errSync) nobody knows.
func (w *wal) commit(entries int, logs []*Log) error {
	w.mu.Lock()
	file := w.active
	w.mu.Unlock()
	if file == nil || file.pos+wholePages(int64(len(w.buf))) > w.bytes {
		var err error
		if file, err = w.turn(); err != nil {
			return err
		}
	}
	w.buf = sealBlock(w.buf, file.salt, w.next, entries)
	if _, err := file.f.WriteAt(w.buf, file.pos); err != nil {
		return fmt.Errorf("%s: %w", file.path, err)
	}
	w.mu.Lock()
	w.next++
	for _, l := range logs {
		file.logs[l.name] = l
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
	if err := file.begin(w.next, false); err != nil {
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
	logs := slices.Collect(maps.Values(f.logs))
	w.mu.Unlock()
	var wg sync.WaitGroup
	var failed errorOnce
	few := make(chan struct{}, syncWorkers/walFiles) // for each file that is full: the disk writes blocks as well
	for _, l := range logs {
		if l == nil {
			continue // settled
		}
		few <- struct{}{}
		w.dir.workers <- struct{}{}
		wg.Go(func() {
			defer func() { <-w.dir.workers; <-few }()
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
	if !w.holds(l.name) {
		return nil
	}
	if err := l.checkpoint(); err != nil {
		return err
	}
	return w.forgetSynced(l.name)
}

// holds tells whether a start would write something back into a log.
func (w *wal) holds(log string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.files, func(f *walFile) bool { _, in := f.logs[log]; return in })
}

// forgetSynced is forget for a log whose own files have everything.
func (w *wal) forgetSynced(log string) error {
	return w.dir.commits.exclusive(func() error {
		switch err := w.awaitRoom(); {
		case errors.Is(err, errNoRoom):
			return w.dir.failIfSync(w.restart())
		case err != nil:
			return err
		}
		w.buf, _ = appendEntry(beginBlock(w.buf), log, walForget, 0, 0)
		return w.dir.failIfSync(w.commit(1, nil))
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
		if err := f.begin(w.next, false); err != nil {
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
	keep := w.dir.Offline() != nil
	for _, f := range w.files {
		keep = keep || f.full // some of it could not be synced; what is newer may say what of it is to be forgotten
		if f.first > 0 && !keep {
			errs = append(errs, f.begin(w.next, true))
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
func sealBlock(b []byte, salt, sequence uint64, entries int) []byte {
	be := binary.BigEndian
	be.PutUint32(b, walBlockMagic)
	be.PutUint64(b[8:], salt)
	be.PutUint64(b[16:], sequence)
	be.PutUint32(b[24:], uint32(entries))
	be.PutUint32(b[28:], uint32(len(b)-walBlockHead))
	be.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	return append(b, make([]byte, wholePages(int64(len(b)))-int64(len(b)))...)
}

func wholePages(n int64) int64 { return (n + walPage - 1) / walPage * walPage }

// blockSize is that of the block whose head b is, in whole pages. false: it is none.
func blockSize(head []byte) (int64, bool) {
	be := binary.BigEndian
	length := int64(be.Uint32(head[28:]))
	if be.Uint32(head) != walBlockMagic || length > walBlockMax {
		return 0, false
	}
	return wholePages(walBlockHead + length), true
}

// readBlock decodes a block. false: it is not whole. The entries are views of b.
func readBlock(b []byte) (walBlock, bool) {
	be := binary.BigEndian
	count, length := int(be.Uint32(b[24:])), int(be.Uint32(b[28:]))
	if length > len(b)-walBlockHead || crc32.Checksum(b[8:walBlockHead+length], castagnoli) != be.Uint32(b[4:]) {
		return walBlock{}, false
	}
	block := walBlock{salt: be.Uint64(b[8:]), sequence: be.Uint64(b[16:])}
	rest := b[walBlockHead : walBlockHead+length]
	for range count {
		e, more, ok := readEntry(rest)
		if !ok {
			return walBlock{}, false
		}
		block.entries, rest = append(block.entries, e), more
	}
	return block, len(rest) == 0
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
	headed bool   // its first page can be read
	first  uint64 // sequence of the first block that counts
	next   uint64 // after the last block
	blocks int
	hole   bool // a block is damaged that others follow: not a torn tail
}

// scanWAL reads a file and calls fn with each block that counts. Without its first page none does, unless they begin at
// the first place for one, where nothing else than a block can be. A block is valid until fn returns.
func scanWAL(name string, r io.ReaderAt, size int64, fn func(walBlock) error) (found, error) {
	w := found{name: name}
	buf := make([]byte, walPage, walBlockMax+2*walPage)
	if n, err := r.ReadAt(buf, 0); n < walPage {
		return w, notEOF(err)
	}
	be := binary.BigEndian
	w.headed = be.Uint32(buf) == walFileMagic && crc32.Checksum(buf[:walFileSum], castagnoli) == be.Uint32(buf[walFileSum:])
	var salt uint64
	if w.headed {
		w.first, salt = be.Uint64(buf[4:]), be.Uint64(buf[16:])
		w.next = w.first
		if be.Uint32(buf[12:]) == walEnded {
			return w, nil
		}
	}
	missing := false
	for at := int64(walPage); at+walPage <= size; {
		b, err := blockAt(r, at, size, buf)
		if err != nil {
			return w, err
		}
		block, ok := walBlock{}, b != nil
		if ok {
			block, ok = readBlock(b)
		}
		if ok && !w.headed && at == walPage {
			w.first, w.next, salt, w.hole = block.sequence, block.sequence, block.salt, true
		}
		if !ok || block.salt != salt || block.sequence < w.next || block.sequence > w.next && !missing || w.next == 0 {
			missing = true
			at += walPage
			continue
		}
		if missing { // what follows was written after what is damaged was durable
			w.hole, missing = true, false
		}
		if err := fn(block); err != nil {
			return w, err
		}
		w.blocks++
		w.next = block.sequence + 1
		at += int64(len(b))
	}
	return w, nil
}

// blockAt reads the block at a place into buf; nil: there is none.
func blockAt(r io.ReaderAt, at, size int64, buf []byte) ([]byte, error) {
	if n, err := r.ReadAt(buf[:walPage], at); n < walPage {
		return nil, notEOF(err)
	}
	n, ok := blockSize(buf)
	if !ok || at+n > size {
		return nil, nil
	}
	b := buf[:n]
	if n, err := r.ReadAt(b[walPage:], at+walPage); n < len(b)-walPage {
		return nil, notEOF(err)
	}
	return b, nil
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// recoverWAL writes what the write-ahead log has, and a power loss took from the segments, back into them. It syncs
// nothing: until that is done, beside, the files stay as they are.
func (d *Dir) recoverWAL() error {
	dir := d.fs.PathJoin(d.path, walDir)
	if there, err := exists(d.fs, dir); !there {
		return err // there never was one
	}
	names, err := d.fs.List(dir)
	if err != nil {
		return err
	}
	r := replayer{dir: d, open: map[string]vfs.File{}, forgotten: map[string]uint64{}}
	var all []found
	for _, name := range names {
		if !strings.HasSuffix(name, walSuffix) {
			continue
		}
		f, err := d.scan(name, r.forget)
		if err != nil {
			return err
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Compare(a.first, b.first) })
	for _, f := range all {
		d.wal.next = max(d.wal.next, f.next)
		if f.hole {
			d.note(fmt.Errorf("%w: the write-ahead log %s misses a part that was durable", ErrDamaged, f.name))
		}
		r.touched, r.logs = map[string]bool{}, map[string]*Log{}
		if f.blocks > 0 {
			if _, err := d.scan(f.name, r.apply); err != nil {
				return errors.Join(err, r.close())
			}
		}
		if err := d.wal.adopt(f, r.logs, slices.Collect(maps.Keys(r.touched))); err != nil {
			return errors.Join(err, r.close())
		}
	}
	return r.close()
}

func (d *Dir) scan(name string, fn func(walBlock) error) (found, error) {
	file, err := d.fs.Open(d.fs.PathJoin(d.path, walDir, name))
	if err != nil {
		return found{}, err
	}
	info, err := file.Stat()
	if err != nil {
		return found{}, errors.Join(err, file.Close())
	}
	f, err := scanWAL(name, file, info.Size(), fn)
	return f, errors.Join(err, file.Close())
}

// adopt takes a file over for further use. One with blocks is full until the segments that it names are synced; one
// without its first page could not tell what is left in it from what comes.
func (w *wal) adopt(f found, logs map[string]*Log, segments []string) error {
	fs := w.dir.fs
	file := &walFile{path: fs.PathJoin(w.dir.path, walDir, f.name), logs: logs}
	info, err := fs.Stat(file.path)
	if err != nil {
		return err
	}
	if f.blocks == 0 && (!f.headed || info.Size() != w.bytes || len(w.files) >= walFiles) {
		return fs.Remove(file.path)
	}
	if file.f, err = fs.OpenReadWrite(file.path, vfs.WriteCategoryUnspecified); err != nil {
		return err
	}
	w.files = append(w.files, file)
	if f.blocks == 0 {
		return nil
	}
	file.first, file.full = f.first, true
	file.odd = !f.headed || info.Size() != w.bytes
	w.dir.syncing.Add(1)
	go func() {
		defer w.dir.syncing.Done()
		w.settle(file, segments)
	}()
	return nil
}

// settle syncs the segments that a start found in a file. What was there already may have been in the memory of the system
// only. If that fails the directory is offline, and the file stays.
func (w *wal) settle(f *walFile, segments []string) {
	var wg sync.WaitGroup
	var failed errorOnce
	for _, path := range segments {
		w.dir.workers <- struct{}{}
		wg.Go(func() {
			defer func() { <-w.dir.workers }()
			failed.note(w.dir.syncFile(path))
		})
	}
	wg.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.changed.Broadcast()
	f.full = failed.err != nil
}

// descriptorRetry is when a file is tried again that could not be opened because the process has too many open.
const descriptorRetry = 100 * time.Millisecond

// syncFile syncs a file that may be gone by now. If it cannot be told that what it held is durable, the directory is offline.
func (d *Dir) syncFile(path string) error {
	f, err := d.fs.Open(path) // which, unlike the other, creates no file
	for errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		select {
		case <-d.closing:
			return err
		case <-time.After(descriptorRetry):
			f, err = d.fs.Open(path)
		}
	}
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return d.fail(err)
	}
	if err := errors.Join(f.SyncData(), f.Close()); err != nil {
		return d.fail(syncFailed(err))
	}
	return nil
}

// replayer writes ranges back into segments.
type replayer struct {
	dir       *Dir
	open      map[string]vfs.File
	forgotten map[string]uint64 // by log: blocks before say nothing of it
	touched   map[string]bool   // segments that the file at hand names
	logs      map[string]*Log   // and logs
	there     []byte
}

// replayOpen bounds how many segments are open at once.
const replayOpen = 256

func (r *replayer) forget(b walBlock) error {
	for _, e := range b.entries {
		if e.base == walForget {
			r.forgotten[e.log] = max(r.forgotten[e.log], b.sequence)
		}
	}
	return nil
}

func (r *replayer) apply(b walBlock) error {
	for _, e := range b.entries {
		r.logs[e.log] = nil
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
		there := slices.Grow(r.there[:0], len(e.data))[:len(e.data)]
		r.there = there
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
		r.touched[path] = true
		return f, nil
	}
	if there, err := exists(fs, path); !there {
		return nil, err
	}
	if len(r.open) >= replayOpen {
		if err := r.close(); err != nil {
			return nil, err
		}
	}
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	r.open[path], r.touched[path] = f, true
	return f, nil
}

func (r *replayer) close() error {
	var errs []error
	for _, f := range r.open {
		errs = append(errs, f.Close())
	}
	clear(r.open)
	return errors.Join(errs...)
}
