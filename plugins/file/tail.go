package file

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/leatstream/leat/connect/sdk"
)

const (
	headBytes  = 1024      // of a file's beginning tell it from another one with its inode
	chunkBytes = 256 << 10 // read at once
	turnBytes  = 8 << 20   // read from one file before the next has its turn
)

// Position says where reading a file goes on. It is stored as JSON.
type Position struct {
	Path   string `json:"path"` // where the file was last seen
	Inode  uint64 `json:"inode"`
	Offset int64  `json:"offset"`         // in bytes
	Line   int64  `json:"line"`           // records so far, header and rejected ones included
	Head   int    `json:"head"`           // so many bytes at the beginning
	Sum    uint64 `json:"sum"`            // have this FNV-1a hash
	Bare   bool   `json:"bare,omitempty"` // the last record had no line end when it was read
}

type fileID struct{ dev, inode uint64 }

func idOf(info os.FileInfo) fileID {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileID{uint64(st.Dev), st.Ino} //nolint:unconvert // Dev is an int32 on some systems
	}
	return fileID{}
}

// tail is one file that is being read.
type tail struct {
	config  SourceConfig
	claim   *sdk.Claim[Position]
	name    string // the claim's
	id      fileID
	path    string
	file    *os.File
	reader  *reader
	pos     Position
	head    []byte    // what the file begins with, as far as it was read, at most headBytes
	data    []byte    // read, not yet cut
	buf     []byte    // behind data
	tooLong bool      // inside a unit that is too long
	size    int64     // at the last look
	since   time.Time // of which the size is unchanged
	gone    bool      // no path matches any more
	parked  bool      // closed, because nothing has come for long
}

// park closes a file that is read to its end; a change of its size wakes it.
func (t *tail) park() {
	_ = t.file.Close()
	t.file, t.parked, t.buf, t.data = nil, true, nil, nil
}

// open opens the file where its position says, from the start if it is another file now.
func (t *tail) open() error {
	f, err := os.Open(t.path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && idOf(info) != t.id {
		err = errReplaced
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	t.file = f
	head := make([]byte, headBytes)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	t.head = head[:n]
	if info.Size() < t.pos.Offset || !t.knows(t.head) {
		t.restart()
	}
	t.head = t.head[:min(int64(len(t.head)), t.pos.Offset)]
	return t.prepare(head[:n])
}

var errReplaced = errors.New("the path leads to another file now")

// knows reports whether head, the file's beginning, is that of the file of the position.
func (t *tail) knows(head []byte) bool {
	return len(head) >= t.pos.Head && sum(head[:t.pos.Head]) == t.pos.Sum
}

// sum is 0 for no bytes, so that the zero Position knows any file.
func sum(b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write(b)
	return h.Sum64()
}

// restart forgets what was read: the file begins anew.
func (t *tail) restart() {
	t.pos = Position{}
	t.data, t.head, t.tooLong, t.reader = nil, nil, false, nil
}

// prepare makes the reader, with the header of a CSV file whose beginning was read earlier.
func (t *tail) prepare(head []byte) error {
	t.pos.Path, t.pos.Inode = t.path, t.id.inode
	if t.reader != nil {
		return nil
	}
	t.reader = newReader(t.config, formatOf(t.config, t.path, head), t.pos.Offset)
	if t.reader.table == nil || t.pos.Offset == 0 {
		return nil
	}
	b := make([]byte, min(t.pos.Offset, int64(t.config.MaxLine)+3))
	if _, err := t.file.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for b = bytes.TrimPrefix(b, bom); ; {
		advance, unit, err := t.reader.split.split(b, true)
		if err != nil || advance == 0 {
			return sdk.Fatal("file.csv-header", fmt.Errorf("%s: the header cannot be read again", t.path), "the file's first line must stay as it was")
		}
		if unit != nil {
			return t.reader.table.header(unit)
		}
		b = b[advance:]
	}
}

var bom = []byte("\xef\xbb\xbf")

// look notes the file's size, and whether it was cut off and begins anew.
func (t *tail) look() error {
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() == t.size {
		return nil
	}
	t.size, t.since = info.Size(), time.Now()
	if m := info.ModTime(); m.Before(t.since) {
		t.since = m
	}
	if t.pos.Offset == 0 && len(t.data) == 0 {
		return nil
	}
	head := make([]byte, len(t.head))
	if _, err := t.file.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if t.size >= t.pos.Offset+int64(len(t.data)) && bytes.Equal(head, t.head) {
		return nil
	}
	t.restart()
	head = make([]byte, headBytes)
	n, err := t.file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return t.prepare(head[:n])
}

// settled reports whether the file has been left alone for long enough to take its last line for whole.
func (t *tail) settled() bool {
	return !t.config.Follow || time.Since(t.since) >= t.config.Settle
}

// read emits what there is, up to turnBytes. more is true when there is more to read at once; whole, when nothing
// is left over.
func (t *tail) read() (more, whole bool, err error) {
	if err := t.look(); err != nil {
		return false, false, err
	}
	for turn := 0; turn < turnBytes; {
		n, err := t.fill()
		if err != nil {
			return false, false, err
		}
		turn += n
		// A look before the read, so that a file which grows in between is not taken for ended.
		final := n == 0 && t.settled()
		if err := t.cut(final); err != nil {
			return false, false, err
		}
		if n == 0 {
			return false, len(t.data) == 0 && !t.tooLong, nil
		}
	}
	return true, false, nil
}

// fill reads the next chunk behind data.
func (t *tail) fill() (int, error) {
	if cap(t.buf)-len(t.data) < chunkBytes {
		t.buf = make([]byte, 0, 2*len(t.data)+2*chunkBytes)
	}
	t.buf = append(t.buf[:0], t.data...)
	at := len(t.data)
	n, err := t.file.ReadAt(t.buf[at:at+chunkBytes], t.pos.Offset+int64(at))
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	fresh := t.buf[at : at+n]
	if room := headBytes - len(t.head); room > 0 && t.pos.Offset+int64(at) == int64(len(t.head)) {
		t.head = append(t.head, fresh[:min(room, n)]...)
	}
	t.data = t.buf[:at+n]
	return n, nil
}
