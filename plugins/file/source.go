package file

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/leatstream/leat/connect/sdk"
)

// source follows the files of one glob.
type source struct {
	config SourceConfig
	task   *sdk.Task
	tails  map[fileID]*tail
	stored map[uint64][]stored // positions of earlier runs that no file has claimed yet, by inode
	warned bool
}

// stored is a position of an earlier run.
type stored struct {
	claim string
	pos   Position
}

func runSource(ctx context.Context, config SourceConfig, t *sdk.Task) error {
	s := &source{config: config, task: t, tails: map[fileID]*tail{}, stored: map[uint64][]stored{}}
	for _, name := range t.Claims() {
		claim, err := sdk.OpenClaim[Position](t, name)
		if err != nil {
			return err
		}
		s.stored[claim.Position.Inode] = append(s.stored[claim.Position.Inode], stored{name, claim.Position})
	}
	for first := true; ; first = false {
		if err := s.scan(first); err != nil {
			return err
		}
		more, whole, err := s.round()
		if err != nil {
			return err
		}
		switch {
		case more:
			continue
		case whole && !config.Follow:
			return nil
		case whole:
			if err := t.CaughtUp(); err != nil {
				return err
			}
		}
		if !pause(ctx, config.Poll) {
			return sdk.ErrStopping
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// scan brings tails up to date with what the glob finds.
func (s *source) scan(first bool) error {
	paths, err := glob(s.config.Path)
	if err != nil && (first || !errors.Is(err, os.ErrNotExist)) {
		return err // later, it is between being renamed and being made anew
	}
	if len(paths) == 0 && !s.warned {
		s.warned = true
		s.task.Log.Warn("no file matches", "path", s.config.Path)
	}
	for _, t := range s.tails {
		t.gone = true
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue // gone since the glob, or a directory
		}
		if err := s.found(path, info); err != nil {
			return err
		}
	}
	if first {
		return s.orphans()
	}
	return nil
}

// found takes a path that matches.
func (s *source) found(path string, info os.FileInfo) error {
	id := idOf(info)
	if t := s.tails[id]; t != nil {
		t.gone = false
		t.path, t.pos.Path = path, path
		t.parked = t.parked && info.Size() == t.size
		return nil
	}
	name, pos := fmt.Sprintf("%s#%x", path, id.inode), Position{}
	for i, st := range s.stored[id.inode] {
		if verified(path, st.pos) || st.claim == name {
			name, pos = st.claim, st.pos
			s.stored[id.inode] = slices.Delete(s.stored[id.inode], i, i+1)
			break
		}
	}
	return s.add(name, path, id, pos)
}

func (s *source) add(name, path string, id fileID, pos Position) error {
	claim, err := sdk.OpenClaim[Position](s.task, name)
	if err != nil {
		return err
	}
	s.tails[id] = &tail{config: s.config, claim: claim, name: name, id: id, path: path, pos: pos, size: -1}
	return nil
}

// verified reports whether the file at path is the one of the position.
func verified(path string, pos Position) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() < pos.Offset {
		return false
	}
	head := make([]byte, pos.Head)
	n, _ := f.ReadAt(head, 0) // a short read is judged by its length
	return n == pos.Head && sum(head) == pos.Sum
}

// orphans looks for files that were renamed out of the glob while nobody watched: they stay near, and their rest is
// read. What cannot be found is given up.
func (s *source) orphans() error {
	for inode, list := range s.stored {
		for _, st := range list {
			path, id, ok := search(filepath.Dir(st.pos.Path), inode, st.pos)
			if !ok {
				if err := s.task.Release(st.claim); err != nil {
					return err
				}
				continue
			}
			if err := s.add(st.claim, path, id, st.pos); err != nil {
				return err
			}
			s.tails[id].gone = true
		}
	}
	clear(s.stored)
	return nil
}

func search(dir string, inode uint64, pos Position) (string, fileID, bool) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fileID{}, false
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || idOf(info).inode != inode {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if verified(path, pos) {
			return path, idOf(info), true
		}
	}
	return "", fileID{}, false
}

// round reads each file on; those that were rotated away come first.
func (s *source) round() (more, whole bool, err error) {
	tails := make([]*tail, 0, len(s.tails))
	for _, t := range s.tails {
		tails = append(tails, t)
	}
	slices.SortFunc(tails, func(a, b *tail) int {
		if a.gone != b.gone {
			if a.gone {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.path, b.path)
	})
	whole = true
	for _, t := range tails {
		m, w, err := s.turn(t)
		if err != nil {
			return false, false, err
		}
		more = more || m
		whole = whole && w
	}
	return more, whole, nil
}

// turn reads one file on.
func (s *source) turn(t *tail) (more, whole bool, err error) {
	if t.parked && !t.gone {
		return false, true, nil
	}
	if t.file == nil {
		err := t.open()
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, errReplaced) {
			path, id, ok := search(filepath.Dir(t.path), t.id.inode, t.pos)
			if !ok || id != t.id {
				return false, false, s.drop(t)
			}
			t.path = path
			err = t.open()
		}
		if err != nil {
			return false, false, err
		}
	}
	more, whole, err = t.read()
	if err == nil && t.gone { // it goes out before what the files after it have
		err = t.claim.Flush()
	}
	switch {
	case err != nil || !whole:
		return more, whole, err
	case t.gone && t.settled():
		return false, true, s.drop(t)
	case !t.gone && time.Since(t.since) > s.config.IdleClose:
		t.park()
	}
	return more, whole, nil
}

// drop gives a file up that is read to its end and gone.
func (s *source) drop(t *tail) error {
	delete(s.tails, t.id)
	if t.file != nil {
		_ = t.file.Close()
	}
	return s.task.Release(t.name)
}

// glob lists the files of a pattern, sorted. A path that must exist and does not is an error.
func glob(pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, `*?[`) {
		if _, err := os.Stat(pattern); err != nil {
			return nil, sdk.Transient(fmt.Errorf("nothing to read: %w", err))
		}
		return []string{pattern}, nil
	}
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, sdk.Fatal("file.glob", fmt.Errorf("%q is no glob: %w", pattern, err), "close the [")
	}
	slices.Sort(paths)
	return paths, nil
}

func checkSource(_ context.Context, config SourceConfig) error {
	paths, err := glob(config.Path)
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return sdk.Transient(fmt.Errorf("no file matches %s", config.Path))
	}
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			return sdk.Transient(err)
		}
		_ = f.Close()
	}
	return nil
}

func discover(_ context.Context, config SourceConfig) ([]sdk.Partition, error) {
	paths, err := glob(config.Path)
	if err != nil {
		return nil, err
	}
	found := make([]sdk.Partition, 0, len(paths))
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		found = append(found, sdk.Partition{Claim: fmt.Sprintf("%s#%x", p, idOf(info).inode), Description: fmt.Sprintf("%d bytes", info.Size())})
	}
	return found, nil
}
