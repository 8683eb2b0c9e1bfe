package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/leatstream/leat/connect/sdk"
)

// rolledPath is the name of the n-th finished file.
func rolledPath(path string, n uint32) string {
	ext := filepath.Ext(path)
	return fmt.Sprintf("%s-%06d%s", strings.TrimSuffix(path, ext), n, ext)
}

// rollIfDue finishes the active file when it is big or old enough. All in it is durable.
func (s *sink) rollIfDue() error {
	big := s.config.RollSize > 0 && s.length >= int64(s.config.RollSize)
	old := s.config.RollEvery > 0 && time.Since(s.opened) >= s.config.RollEvery
	if s.length == 0 || (!big && !old) {
		return nil
	}
	// The intent is durable before the rename, so that a crash in between is told from a removed file.
	for fileExists(rolledPath(s.config.Path, s.positions.rolled+1)) {
		s.positions.rolled++ // of a time before the positions file
	}
	s.positions.rolling = true
	if err := s.positions.commit(nil); err != nil {
		return err
	}
	if err := s.file.Close(); err != nil {
		return err
	}
	s.file = nil
	if err := s.finishRoll(); err != nil {
		return err
	}
	return s.openFile(true)
}

// finishRoll renames the active file, unless that was done before a crash.
func (s *sink) finishRoll() error {
	to := rolledPath(s.config.Path, s.positions.rolled+1)
	_, err := os.Stat(to)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := os.Truncate(s.config.Path, s.positions.length); err != nil {
			return err
		}
		if err := os.Rename(s.config.Path, to); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		// The rename was done. What stands under the active name can only be the new file, still empty.
		if info, err := os.Stat(s.config.Path); err == nil && info.Size() > 0 {
			return sdk.Fatal("file.roll", fmt.Errorf("%s appeared while %s was being renamed to it", to, s.config.Path), "move one of them away")
		}
	}
	if err := syncDir(filepath.Dir(s.config.Path)); err != nil {
		return err
	}
	s.positions.rolled++
	s.positions.rolling, s.positions.length = false, 0
	return nil
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
