package storage

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// golden is a snapshot as version 1 has it: docs/formats/snapshot.md.
const golden = "6c656e31" + "0000000000000003" + "00000002" + "6162" + "00000000" + "b67b39fa"

func TestSnapshotFormat(t *testing.T) {
	fs := vfs.NewMem()
	d := openDir(t, fs)
	l := d.OpenLog("t-0", LogConfig{SegmentBytes: 100})
	for range 3 {
		mustAppend(t, l, records(t, 1, "v"))
	}
	want := [][]byte{[]byte("ab"), {}}
	if err := l.WriteSnapshot(3, NoSnapshot, slices.Values(want)); err != nil {
		t.Fatal(err)
	}
	raw, err := readFile(fs, "data/t-0/00000000000000000003.snapshot")
	if err != nil || hex.EncodeToString(raw) != golden {
		t.Errorf("%x, want %s (%v)", raw, golden, err)
	}
	if got, err := l.ReadSnapshot(3); err != nil || !slices.EqualFunc(got, want, slices.Equal[[]byte]) {
		t.Errorf("%q %v", got, err)
	}
	if err := errors.Join(l.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestSnapshotIsNotCarriedOver: one that was renamed says that it is of another place.
func TestSnapshotIsNotCarriedOver(t *testing.T) {
	raw, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := decodeSnapshot(raw, 3); !ok {
		t.Error("the golden one is refused")
	}
	if _, ok := decodeSnapshot(raw, 4); ok {
		t.Error("one at 3 was taken for one at 4")
	}
}

// FuzzDecodeSnapshot gives the records of a snapshot whose checksum is right.
func FuzzDecodeSnapshot(f *testing.F) {
	raw, err := hex.DecodeString(golden)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw[snapshotHead : len(raw)-4])
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := append(slices.Clone(raw[:snapshotHead]), b...)
		whole = binary.BigEndian.AppendUint32(whole, crc32.Checksum(whole, castagnoli))
		if records, ok := decodeSnapshot(whole, 3); ok {
			size := 0
			for _, r := range records {
				size += 4 + len(r)
			}
			if size != len(b) {
				t.Fatalf("records of %d bytes in %d", size, len(b))
			}
		}
	})
}
