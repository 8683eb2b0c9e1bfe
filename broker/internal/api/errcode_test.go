package api

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/leatstream/leat/broker/internal/storage"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TestErrorsOfFiles: what the operating system says about a file is told as such, and clients try again after it. One of the
// program itself is not.
func TestErrorsOfFiles(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EMFILE, syscall.ENFILE, syscall.EISDIR, syscall.ENOTDIR, syscall.EACCES, syscall.EROFS, syscall.EIO} {
		err := fmt.Errorf("append to t-0: %w", &fs.PathError{Op: "open", Path: "t-0", Err: errno})
		if got := code(err); got != kerr.KafkaStorageError.Code {
			t.Errorf("%v: %v", err, kerr.ErrorForCode(got))
		}
	}
	if got := code(fmt.Errorf("%w: %w", storage.ErrDamaged, syscall.EIO)); got != kerr.CorruptMessage.Code {
		t.Errorf("damage: %v", kerr.ErrorForCode(got))
	}
	if got := code(errors.New("a mistake")); got != kerr.UnknownServerError.Code {
		t.Errorf("a mistake: %v", kerr.ErrorForCode(got))
	}
}
