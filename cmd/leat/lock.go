package main

import (
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/segmentio/ksuid"
)

// lockFile holds path for this process until unlock.
func lockFile(path string) (unlock func(), err error) {
	lock, err := vfs.Default.Lock(path)
	if err != nil {
		return nil, err
	}
	return func() { _ = lock.Close() }, nil // the process' end would do the same
}

func newInstanceID() string { return ksuid.New().String() }
