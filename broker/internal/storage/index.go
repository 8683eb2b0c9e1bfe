package storage

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"sort"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/internal/batch"
)

// indexInterval is the number of log bytes between two index entries.
const indexInterval = 64 << 10

// entry says that the batch that starts at pos has base offset offset, and that no record before it is later than maxTime.
type entry struct {
	offset  int64
	pos     int64
	maxTime int64
}

// epochStart says from which offset a leader epoch holds.
type epochStart struct {
	epoch int32
	start int64
}

// index finds positions in one segment. It grows with the segment and is written beside it as the synced mark.
type index struct {
	size    int64 // bytes of whole batches that the index covers
	next    int64 // offset after the last batch
	maxTime int64 // of all records; -1 before the first
	atMax   int64 // base offset of the batch that holds maxTime
	first   int64 // timestamp of the first batch; -1 before it
	entries []entry
	epochs  []epochStart // where the epoch of a batch differs from that of the batch before it
	aborted []Aborted    // transactions whose abort marker is in the segment, by its offset

	producers []byte // the producers' state after the last batch covered, until it is in the file
}

func newIndex(base int64) index { return index{next: base, maxTime: -1, atMax: -1, first: -1} }

// add notes a batch of size bytes at the end of the segment.
func (x *index) add(base, last, maxTime int64, size int64, epoch int32) {
	if len(x.entries) == 0 || x.size-x.entries[len(x.entries)-1].pos >= indexInterval {
		x.entries = append(x.entries, entry{offset: base, pos: x.size, maxTime: x.maxTime})
	}
	if n := len(x.epochs); n == 0 || x.epochs[n-1].epoch != epoch {
		x.epochs = append(x.epochs, epochStart{epoch, base})
	}
	if x.first < 0 {
		x.first = maxTime
	}
	if maxTime > x.maxTime {
		x.maxTime, x.atMax = maxTime, base
	}
	x.size += size
	x.next = last + 1
}

// see is add for a scan.
func (x *index) see(h batch.Header, _ int64) bool {
	x.add(h.BaseOffset, h.LastOffset(), h.MaxTimestamp, int64(h.Size()), h.LeaderEpoch)
	return true
}

// before finds the last entry whose batch starts at or before offset.
func (x *index) before(offset int64) entry {
	i := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].offset > offset })
	if i == 0 {
		return entry{}
	}
	return x.entries[i-1]
}

// within finds the last entry at or before pos whose batch, and so all before it, are below limit or begin there.
func (x *index) within(pos, limit int64) entry {
	i := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].pos > pos || x.entries[i].offset > limit })
	if i == 0 {
		return entry{}
	}
	return x.entries[i-1]
}

// beforeTime finds where to start looking for the first record at or after ts.
func (x *index) beforeTime(ts int64) entry {
	i := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].maxTime >= ts })
	if i == 0 {
		return entry{}
	}
	return x.entries[i-1]
}

// The file form: docs/formats/segment.md. What is needed of a segment that nobody reads comes first, with a checksum.
const (
	indexMagic   = 0x6c656133 // "lea3"
	indexFixed   = 4 + 5*8 + 4*4
	indexEntry   = 3 * 8
	indexEpoch   = 4 + 8
	indexAborted = 4 * 8
	indexSum     = 4
)

var errIndex = errors.New("index file is damaged")

func (x *index) encode() []byte {
	be := binary.BigEndian
	b := make([]byte, 0, indexFixed+len(x.epochs)*indexEpoch+len(x.aborted)*indexAborted+indexSum+len(x.entries)*indexEntry+len(x.producers)+indexSum)
	b = be.AppendUint32(b, indexMagic)
	for _, v := range []int64{x.size, x.next, x.maxTime, x.atMax, x.first} {
		b = be.AppendUint64(b, uint64(v))
	}
	for _, n := range []int{len(x.epochs), len(x.aborted), len(x.entries), len(x.producers)} {
		b = be.AppendUint32(b, uint32(n))
	}
	for _, e := range x.epochs {
		b = be.AppendUint32(b, uint32(e.epoch))
		b = be.AppendUint64(b, uint64(e.start))
	}
	for _, a := range x.aborted {
		b = be.AppendUint64(b, uint64(a.ProducerID))
		b = be.AppendUint64(b, uint64(a.FirstOffset))
		b = be.AppendUint64(b, uint64(a.LastOffset))
		b = be.AppendUint64(b, uint64(a.stable))
	}
	b = be.AppendUint32(b, crc32.Checksum(b, castagnoli))
	summary := len(b)
	for _, e := range x.entries {
		b = be.AppendUint64(b, uint64(e.offset))
		b = be.AppendUint64(b, uint64(e.pos))
		b = be.AppendUint64(b, uint64(e.maxTime))
	}
	b = append(b, x.producers...)
	return be.AppendUint32(b, crc32.Checksum(b[summary:], castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// indexSizes are the bytes of the two parts of an index file, as its head says. b is at least as long as that.
func indexSizes(b []byte) (summary, rest int64) {
	n := func(i int) int64 { return int64(binary.BigEndian.Uint32(b[44+4*i:])) }
	return indexFixed + n(0)*indexEpoch + n(1)*indexAborted + indexSum, n(2)*indexEntry + n(3) + indexSum
}

// decodeSummary reads the first part of an index file: all but entries and producers.
func decodeSummary(b []byte) (index, error) {
	be := binary.BigEndian
	if len(b) < indexFixed || be.Uint32(b) != indexMagic {
		return index{}, errIndex
	}
	size, _ := indexSizes(b)
	if int64(len(b)) < size || crc32.Checksum(b[:size-indexSum], castagnoli) != be.Uint32(b[size-indexSum:]) {
		return index{}, errIndex
	}
	i64 := func(at int) int64 { return int64(be.Uint64(b[at:])) }
	x := index{size: i64(4), next: i64(12), maxTime: i64(20), atMax: i64(28), first: i64(36)}
	at := indexFixed
	for range be.Uint32(b[44:]) {
		x.epochs = append(x.epochs, epochStart{int32(be.Uint32(b[at:])), i64(at + 4)})
		at += indexEpoch
	}
	for range be.Uint32(b[48:]) {
		x.aborted = append(x.aborted, Aborted{i64(at), i64(at + 8), i64(at + 16), i64(at + 24)})
		at += indexAborted
	}
	return x, nil
}

// decodeIndex reads a whole index file.
func decodeIndex(b []byte) (index, error) {
	be := binary.BigEndian
	x, err := decodeSummary(b)
	if err != nil {
		return index{}, err
	}
	size, more := indexSizes(b)
	if int64(len(b)) != size+more {
		return index{}, errIndex
	}
	entries := int(be.Uint32(b[52:]))
	b = b[size:]
	if crc32.Checksum(b[:len(b)-indexSum], castagnoli) != be.Uint32(b[len(b)-indexSum:]) {
		return index{}, errIndex
	}
	i64 := func(at int) int64 { return int64(be.Uint64(b[at:])) }
	x.entries = make([]entry, entries)
	for i := range x.entries {
		at := i * indexEntry
		x.entries[i] = entry{i64(at), i64(at + 8), i64(at + 16)}
	}
	x.producers = b[entries*indexEntry : len(b)-indexSum]
	return x, nil
}

// summaryRead is how much of an index file is read first: mostly enough for its first part.
const summaryRead = 512

// readSummary reads the first part of an index file.
func readSummary(fs vfs.FS, name string) (index, error) {
	f, err := fs.Open(name)
	if err != nil {
		return index{}, err
	}
	defer f.Close()
	b := make([]byte, summaryRead)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return index{}, err
	}
	if n < indexFixed {
		return index{}, errIndex
	}
	if size, _ := indexSizes(b); size > summaryRead && n == summaryRead {
		info, err := f.Stat()
		if err != nil {
			return index{}, err
		}
		if size > info.Size() {
			return index{}, errIndex
		}
		b = make([]byte, size)
		if n, err = f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
			return index{}, err
		}
	}
	return decodeSummary(b[:n])
}
