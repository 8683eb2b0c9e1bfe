package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/storage"
)

// ConfigError is a mistake in what the user wrote.
type ConfigError struct {
	Message string
	Hint    string // the way out
}

func (e *ConfigError) Error() string { return e.Message + "; " + e.Hint }

// StartError is something about the machine that keeps the broker from starting.
type StartError struct {
	Message string
	Hint    string // the way out
	Err     error
}

func (e *StartError) Error() string { return e.Message + "; " + e.Hint }
func (e *StartError) Unwrap() error { return e.Err }

func dirError(path string, err error) error {
	switch {
	case errors.Is(err, storage.ErrLocked):
		return &StartError{fmt.Sprintf("the data directory %s is used by another leat process", path),
			"stop that one, or name another directory with --data DIR", err}
	case errors.Is(err, storage.ErrDamaged):
		return &StartError{fmt.Sprintf("the metadata log in the data directory %s is damaged: %v", path, err),
			"run leat doctor --data DIR, which says where; restore cluster-metadata from a copy of the data directory, and delete nothing", err}
	case errors.Is(err, meta.ErrBadRecord):
		return &StartError{fmt.Sprintf("the data directory %s has metadata that this release does not know: %v", path, err),
			"start it with the release that wrote it, or a later one", err}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return &StartError{fmt.Sprintf("the data directory %s is not writable (%v)", path, err),
			"make it writable for this user, or name another directory with --data DIR", err}
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		return &StartError{fmt.Sprintf("the data directory %s cannot be made, because a file is in its way (%v)", path, err),
			"move the file, or name another directory with --data DIR", err}
	default:
		return &StartError{fmt.Sprintf("the data directory %s cannot be opened: %v", path, err),
			"see whether the disk is healthy and has room, or name another directory with --data DIR", err}
	}
}

// kafkasFile is in every data directory of Apache Kafka.
const kafkasFile = "meta.properties"

// foreignDir refuses a directory of Apache Kafka: its logs are laid out in another way, and are its own.
func foreignDir(path string) error {
	return &StartError{fmt.Sprintf("the data directory %s is one of Apache Kafka: it has a %s", path, kafkasFile),
		"name another directory with --data DIR; records move over by producing them again", nil}
}

func listenError(addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return &StartError{fmt.Sprintf("cannot listen on %s, because another process does", addr),
			"stop that one, or choose another address with --listen HOST:PORT (port 0 finds a free one)", err}
	case errors.Is(err, fs.ErrPermission):
		return &StartError{fmt.Sprintf("cannot listen on %s, because this user may not", addr),
			"choose a port above 1023 with --listen HOST:PORT", err}
	default:
		return &StartError{fmt.Sprintf("cannot listen on %s: %v", addr, err),
			"choose an address of this machine with --listen HOST:PORT", err}
	}
}
