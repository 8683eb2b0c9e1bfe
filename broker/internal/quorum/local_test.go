package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/storage"
)

// recorder is a machine whose state is what was applied to it.
type recorder struct{ entries []string }

func (r *recorder) Apply(entry [][]byte) error {
	r.entries = append(r.entries, string(bytes.Join(entry, []byte("|"))))
	return nil
}

func (r *recorder) Snapshot() iter.Seq[[]byte] {
	entries := slices.Clone(r.entries)
	return func(yield func([]byte) bool) {
		for _, e := range entries {
			if !yield([]byte(e)) {
				return
			}
		}
	}
}

func (r *recorder) Restore(offset int64, records [][]byte) error {
	if offset != 2*int64(len(records)) { // an entry has two records
		return fmt.Errorf("a snapshot at %d has %d entries", offset, len(records))
	}
	r.entries = nil
	for _, e := range records {
		r.entries = append(r.entries, string(e))
	}
	return nil
}

func tryOpen(fs vfs.FS, snapshotBytes int64) (*Local, *recorder, *storage.Dir, error) {
	dir, err := storage.OpenDir(fs, "data")
	if err != nil {
		return nil, nil, nil, err
	}
	q, r := NewLocal(dir, Config{SnapshotBytes: snapshotBytes, Logger: slog.New(slog.DiscardHandler)}), &recorder{}
	return q, r, dir, q.Start(r)
}

func open(t *testing.T, fs vfs.FS) (*Local, *recorder, *storage.Dir) {
	t.Helper()
	return openEvery(t, fs, 1<<30)
}

func openEvery(t *testing.T, fs vfs.FS, snapshotBytes int64) (*Local, *recorder, *storage.Dir) {
	t.Helper()
	q, r, dir, err := tryOpen(fs, snapshotBytes)
	if err != nil {
		t.Fatal(err)
	}
	return q, r, dir
}

func entry(i int) [][]byte {
	return [][]byte{fmt.Appendf(nil, "a%d", i), fmt.Appendf(nil, "b%d", i)}
}

func TestEntriesComeBackInOrder(t *testing.T) {
	fs := vfs.NewMem()
	q, r, dir := open(t, fs)
	for i := range 50 {
		if err := q.Propose(t.Context(), entry(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(q.Close(), dir.Close()); err != nil {
		t.Fatal(err)
	}
	if err := q.Propose(t.Context(), entry(99)); !errors.Is(err, ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
	_, again, _ := open(t, fs)
	if got, want := strings.Join(again.entries, ","), strings.Join(r.entries, ","); got != want || len(r.entries) != 50 {
		t.Fatalf("replayed %s, want %s", got, want)
	}
}

// TestPowerLoss cuts the power after every proposal: what Propose answered is there, whole, and only that or one more.
func TestPowerLoss(t *testing.T) {
	fs := vfs.NewCrashableMem()
	q, _, _ := open(t, fs)
	for i := range 20 {
		if err := q.Propose(t.Context(), entry(i)); err != nil {
			t.Fatal(err)
		}
		_, after, _ := open(t, fs.CrashClone(vfs.CrashCloneCfg{}))
		if len(after.entries) != i+1 || after.entries[i] != fmt.Sprintf("a%d|b%d", i, i) {
			t.Fatalf("after %d proposals and a power loss: %v", i+1, after.entries)
		}
	}
}
