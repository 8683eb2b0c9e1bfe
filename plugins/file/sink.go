package file

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/leatstream/leat/connect/sdk"
)

// sink appends to one file. Whatever goes wrong with writing leaves broken set: the task ends, and the next one cuts
// the file back to what the positions vouch for.
type sink struct {
	config    SinkConfig
	log       *slog.Logger
	file      *os.File
	out       *bufio.Writer
	length    int64 // with what is still buffered
	opened    time.Time
	positions *positions
	changed   map[partition]int64
	line      bytes.Buffer
	broken    error
}

func openSink(_ context.Context, c SinkConfig, t *sdk.SinkTask) (sdk.Writer, error) {
	dir, base := filepath.Split(c.Path)
	if base == "" {
		return nil, sdk.Fatal("file.path", fmt.Errorf("%s is a directory", c.Path), "name a file in it")
	}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, sdk.Transient(err)
		}
	}
	s := &sink{config: c, log: t.Log, changed: map[partition]int64{}}
	p, found, err := openPositions(filepath.Join(dir, "."+base+".positions"))
	if err != nil {
		return nil, sdk.Fatal("file.positions", err, "move it away to append to the output without knowing what it holds")
	}
	s.positions = p
	if err := s.openFile(found); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openFile brings the output to where the positions say that it is whole.
func (s *sink) openFile(found bool) error {
	if s.positions.rolling {
		if err := s.finishRoll(); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(s.config.Path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return sdk.Transient(err)
	}
	s.file = f
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return sdk.Transient(fmt.Errorf("%s is being written by another sink: %w", s.config.Path, err))
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	switch {
	case !found:
		// What stands there already is somebody's, and stays.
		if size, err = s.endLine(size); err != nil {
			return err
		}
		s.positions.length = size
	case size == 0 && s.positions.length > 0:
		s.log.Warn("the output was removed; going on in a new file", "path", s.config.Path)
		s.positions.length = 0
	case size < s.positions.length:
		return sdk.Fatal("file.shorter", fmt.Errorf("%s has %d bytes, but %d had been written and acknowledged", s.config.Path, size, s.positions.length),
			"put it back as it was; or move it away, to go on in a new file")
	case size > s.positions.length:
		if err := f.Truncate(s.positions.length); err != nil {
			return err
		}
	}
	return s.ready()
}

// endLine ends a last line that has no end.
func (s *sink) endLine(size int64) (int64, error) {
	if size == 0 {
		return 0, nil
	}
	var last [1]byte
	if _, err := s.file.ReadAt(last[:], size-1); err != nil || last[0] == '\n' {
		return size, err
	}
	_, err := s.file.WriteAt([]byte("\n"), size)
	return size + 1, err
}

// ready makes the file's state durable before anything is added to it.
func (s *sink) ready() error {
	s.length, s.opened = s.positions.length, time.Now()
	if _, err := s.file.Seek(s.length, io.SeekStart); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(s.config.Path)); err != nil {
		return err
	}
	if s.out == nil {
		s.out = bufio.NewWriterSize(s.file, 256<<10)
	} else {
		s.out.Reset(s.file)
	}
	return s.positions.rewrite()
}

// Resume says which offset of the partition the file wants next.
func (s *sink) Resume(_ context.Context, topic string, id int32) (int64, error) {
	if next, ok := s.positions.next[partition{topic, id}]; ok {
		return next, nil
	}
	return -1, nil
}

// Write appends what the file does not hold yet.
func (s *sink) Write(_ context.Context, b *sdk.Batch) error {
	if s.broken != nil {
		return s.broken
	}
	id := partition{b.Topic, b.Partition}
	have := s.positions.next[id]
	err := b.Each(func(r *sdk.Record) error {
		if r.Offset < have {
			return sdk.ErrDuplicate
		}
		line, err := s.encode(r.Value)
		if err != nil {
			return err
		}
		n, err := s.out.Write(line)
		s.length += int64(n)
		if err != nil {
			s.broken = err
			return err
		}
		return nil
	})
	if err != nil {
		s.broken = err
		return err
	}
	if b.Next > have {
		s.positions.next[id], s.changed[id] = b.Next, b.Next
	}
	return nil
}

// encode makes the line of a value, valid until the next call.
func (s *sink) encode(value []byte) ([]byte, error) {
	s.line.Reset()
	switch {
	case s.config.Format == "raw":
		s.line.Write(value)
	case value == nil:
		s.line.WriteString("null")
	case !json.Valid(value):
		return nil, sdk.Poison("file.not-json", errors.New("the value is not JSON, and the sink's format is json"))
	case bytes.IndexByte(value, '\n') >= 0:
		if err := json.Compact(&s.line, value); err != nil {
			return nil, sdk.Poison("file.not-json", err)
		}
	default:
		s.line.Write(value)
	}
	s.line.WriteByte('\n')
	return s.line.Bytes(), nil
}

// Flush makes lines durable first and then the positions that vouch for them.
func (s *sink) Flush(context.Context) error {
	err := s.broken
	if err == nil {
		err = s.out.Flush()
	}
	if err == nil {
		err = s.file.Sync()
	}
	if err == nil {
		s.positions.length = s.length
		err = s.positions.commit(s.changed)
	}
	if err != nil {
		s.broken = err
		return fmt.Errorf("write %s: %w", s.config.Path, err)
	}
	clear(s.changed)
	return s.rollIfDue()
}

// Close leaves what was not flushed to the next task, which cuts it off.
func (s *sink) Close() error {
	var err error
	if s.file != nil {
		err = s.file.Close()
	}
	return errors.Join(err, s.positions.Close())
}
