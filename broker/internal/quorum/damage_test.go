package quorum

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/storage"
)

// TestDamagedMetadataLog flips every bit of the metadata log of a stopped node: it starts with all entries, where the bit
// meant nothing, or not at all. It never starts with less than there was.
func TestDamagedMetadataLog(t *testing.T) {
	const entries = 3
	whole := vfs.NewCrashableMem()
	q, _, dir := open(t, whole)
	for i := range entries {
		if err := q.Propose(t.Context(), entry(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(q.Close(), dir.Close()); err != nil {
		t.Fatal(err)
	}
	info, err := whole.Stat(logFile)
	if err != nil {
		t.Fatal(err)
	}
	size := info.Size()
	refused := 0
	for bit := range size * 8 {
		fs := whole.CrashClone(vfs.CrashCloneCfg{}) // all of it was synced
		f, err := fs.OpenReadWrite(logFile, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		_, _ = f.ReadAt(b, bit/8)
		b[0] ^= 1 << (bit % 8)
		if _, err := f.WriteAt(b, bit/8); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		q, r, dir, err := tryOpen(fs, 1<<30)
		if dir == nil {
			t.Fatal(err)
		}
		switch {
		case err == nil && len(r.entries) != entries:
			t.Errorf("bit %d of byte %d: started with %v", bit%8, bit/8, r.entries)
		case err == nil && fmt.Sprint(r.entries) != "[a0|b0 a1|b1 a2|b2]":
			t.Errorf("bit %d of byte %d: started with %v", bit%8, bit/8, r.entries)
		case err != nil && !errors.Is(err, storage.ErrDamaged):
			t.Errorf("bit %d of byte %d: refused without saying what is damaged: %v", bit%8, bit/8, err)
		case err != nil:
			refused++
		}
		if err := errors.Join(q.Close(), dir.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if refused == 0 {
		t.Error("no damage was found at all")
	}
}

const logFile = "data/" + LogName + "/00000000000000000000.log"
