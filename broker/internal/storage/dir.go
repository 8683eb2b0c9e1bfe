package storage

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What a caller can do something about.
var (
	ErrLocked           = errors.New("another process uses the data directory")
	ErrOffline          = errors.New("the data directory is offline after a failed write or sync")
	ErrClosed           = errors.New("the log is closed")
	ErrDeleted          = errors.New("the log was deleted")
	ErrOffsetOutOfRange = errors.New("offset out of range")
	ErrDamaged          = errors.New("the log is damaged here")
)

// syncWorkers bounds how many logs of a directory are synced at once.
const syncWorkers = 16

const (
	lockFile      = "lock"
	deletedSuffix = ".deleted"
)

// Dir is a directory of logs, used by one process at a time.
type Dir struct {
	fs   vfs.FS
	path string
	lock io.Closer
	sign string // a name that is there as long as the directory is: the lock file, where the file system makes one

	files   cache // descriptors of segments
	indexes cache // index entries of old segments
	marks   marks
	workers chan struct{} // a slot for each sync in flight
	syncing sync.WaitGroup
	early   writeback
	stats   stats
	commits commits
	wal     wal

	closing chan struct{} // closed when nothing in the background need be tried again

	mu      sync.Mutex
	offline error
	damaged []error
}

// OpenDir creates path if needed, locks it, and recovers what its write-ahead log has. ErrLocked: another process has it.
func OpenDir(fs vfs.FS, path string) (*Dir, error) {
	if vfs.Root(fs) != vfs.Default {
		return OpenDirWAL(fs, path, walMemoryBytes)
	}
	return OpenDirWAL(fs, path, walFileBytes)
}

// OpenDirWAL is OpenDir with the size of each of the four files of the write-ahead log, in bytes; 0: there is none, and each
// log is synced by itself.
func OpenDirWAL(fs vfs.FS, path string, bytes int64) (*Dir, error) {
	if err := makeDir(fs, path); err != nil {
		return nil, err
	}
	lock, err := lockDir(fs, path)
	if err != nil {
		return nil, err
	}
	d := &Dir{fs: fs, path: path, lock: lock, workers: make(chan struct{}, syncWorkers), closing: make(chan struct{})}
	if d.sign = fs.PathJoin(path, lockFile); !d.present(d.sign) {
		d.sign = path
	}
	d.useFiles()
	d.wal.changed.L = &d.wal.mu
	d.commits.dir, d.early.dir, d.wal.dir, d.wal.bytes, d.wal.next = d, d, d, bytes/walPage*walPage, 1
	if err := errors.Join(d.removeDeleted(), d.recoverWAL(), d.useMarks()); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// dirMode keeps other users of the machine from records, and from what proves passwords.
const dirMode = 0o700

func lockDir(fs vfs.FS, path string) (io.Closer, error) {
	lock, err := fs.Lock(fs.PathJoin(path, lockFile))
	if cause := (*iofs.PathError)(nil); errors.As(err, &cause) {
		return nil, err // the lock file could not even be opened
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrLocked, path)
	}
	return lock, nil
}

// makeDir creates path and makes each new name on the way to it durable.
func makeDir(fs vfs.FS, path string) error {
	if _, err := fs.Stat(path); err == nil {
		return nil
	}
	parent := fs.PathDir(path)
	if parent != path {
		if err := makeDir(fs, parent); err != nil {
			return err
		}
	}
	// The parent is opened first: were there no descriptor for it afterwards, the new name would stay without a sync.
	d, err := fs.OpenDir(parent)
	if err != nil {
		return err
	}
	if err := fs.MkdirAll(path, dirMode); err != nil {
		return errors.Join(err, d.Close())
	}
	return errors.Join(syncFailed(d.Sync()), d.Close())
}

// makeOwn makes a directory in this one. One that is there may have been left by a process that was killed before the name was
// durable.
func (d *Dir) makeOwn(path string) error {
	there, err := exists(d.fs, path)
	switch {
	case err != nil:
		return err
	case there:
		return syncDir(d.fs, d.path)
	}
	return makeDir(d.fs, path)
}

// exists tells whether there is such a file. An error says that nobody knows.
func exists(fs vfs.FS, path string) (bool, error) {
	_, err := fs.Stat(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// errSync marks a failed sync: unlike a file that could not be opened, it says that something may be lost.
var errSync = errors.New("sync failed")

func syncFailed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errSync, err)
}

func syncDir(fs vfs.FS, path string) error {
	d, err := fs.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(syncFailed(d.Sync()), d.Close())
}

// removeDeleted finishes deletions that a stop interrupted.
func (d *Dir) removeDeleted() error {
	names, err := d.fs.List(d.path)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, deletedSuffix) {
			if err := d.fs.RemoveAll(d.fs.PathJoin(d.path, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Logs lists the names of the logs that have files.
func (d *Dir) Logs() ([]string, error) {
	names, err := d.fs.List(d.path)
	if err != nil {
		return nil, err
	}
	var logs []string
	for _, name := range names {
		if info, err := d.fs.Stat(d.fs.PathJoin(d.path, name)); err == nil && info.IsDir() && name != walDir && !strings.HasSuffix(name, deletedSuffix) {
			logs = append(logs, name)
		}
	}
	return logs, nil
}

// Close waits for syncs in flight and gives the lock back. Logs are closed by their owners before.
func (d *Dir) Close() error {
	close(d.closing)
	d.syncing.Wait()
	return errors.Join(d.closeMarks(), d.wal.close(), d.lock.Close())
}

// damageMax bounds how much damage is listed: more says nothing more.
const damageMax = 100

// Damage is what was found wrong, since the directory was opened, with bytes that had been durable. It grows as logs are
// read. [Inspect] looks at everything.
func (d *Dir) Damage() []error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.damaged)
}

// note lists damage, once.
func (d *Dir) note(damage error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known := func(e error) bool { return e.Error() == damage.Error() }
	if len(d.damaged) < damageMax && !slices.ContainsFunc(d.damaged, known) {
		d.damaged = append(d.damaged, damage)
	}
}

// Offline is nil, or why the directory can no longer be trusted.
func (d *Dir) Offline() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.offline
}

// Check takes the directory offline if somebody took it away: what is written into files without a name ends with the process.
func (d *Dir) Check() error {
	if !d.present(d.sign) {
		return d.fail(fmt.Errorf("%s is gone", d.path))
	}
	return d.Offline()
}

// present tells whether there is such a name, or that is not known.
func (d *Dir) present(name string) bool {
	_, err := d.fs.Stat(name)
	return !errors.Is(err, iofs.ErrNotExist)
}

// fail takes the directory offline. The first cause stays.
func (d *Dir) fail(cause error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.offline == nil {
		d.offline = fmt.Errorf("%w: %w", ErrOffline, cause)
	}
	return d.offline
}

// failIfSync takes the directory offline where err is of a sync.
func (d *Dir) failIfSync(err error) error {
	if errors.Is(err, errSync) {
		return d.fail(err)
	}
	return err
}

// writeFile replaces name atomically and durably: either the old content is there after a crash, or the new.
func writeFile(fs vfs.FS, name string, content []byte) error {
	tmp := name + ".tmp"
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, syncFailed(f.Sync()), f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(tmp, name); err != nil {
		return err
	}
	return syncDir(fs, fs.PathDir(name))
}

func readFile(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}
