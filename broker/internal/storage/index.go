package storage

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"sort"
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

// before finds the last entry whose batch starts at or before offset.
func (x *index) before(offset int64) entry {
	i := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].offset > offset })
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

// The file form: docs/formats/segment.md.
const (
	indexMagic   = 0x6c656132 // "lea2"
	indexFixed   = 4 + 5*8 + 4*4
	indexEntry   = 3 * 8
	indexEpoch   = 4 + 8
	indexAborted = 4 * 8
	indexTrailer = 4
)

var errIndex = errors.New("index file is damaged")

func (x *index) encode() []byte {
	be := binary.BigEndian
	b := make([]byte, 0, indexFixed+len(x.entries)*indexEntry+len(x.epochs)*indexEpoch+len(x.aborted)*indexAborted+len(x.producers)+indexTrailer)
	b = be.AppendUint32(b, indexMagic)
	for _, v := range []int64{x.size, x.next, x.maxTime, x.atMax, x.first} {
		b = be.AppendUint64(b, uint64(v))
	}
	for _, n := range []int{len(x.entries), len(x.epochs), len(x.aborted), len(x.producers)} {
		b = be.AppendUint32(b, uint32(n))
	}
	for _, e := range x.entries {
		b = be.AppendUint64(b, uint64(e.offset))
		b = be.AppendUint64(b, uint64(e.pos))
		b = be.AppendUint64(b, uint64(e.maxTime))
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
	b = append(b, x.producers...)
	return be.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func decodeIndex(b []byte) (index, error) {
	be := binary.BigEndian
	if len(b) < indexFixed+indexTrailer || be.Uint32(b) != indexMagic {
		return index{}, errIndex
	}
	body, sum := b[:len(b)-indexTrailer], be.Uint32(b[len(b)-indexTrailer:])
	if crc32.Checksum(body, castagnoli) != sum {
		return index{}, errIndex
	}
	i64 := func(at int) int64 { return int64(be.Uint64(body[at:])) }
	x := index{size: i64(4), next: i64(12), maxTime: i64(20), atMax: i64(28), first: i64(36)}
	var n [4]int
	for i := range n {
		n[i] = int(be.Uint32(body[44+4*i:]))
	}
	if len(body) != indexFixed+n[0]*indexEntry+n[1]*indexEpoch+n[2]*indexAborted+n[3] {
		return index{}, errIndex
	}
	at := indexFixed
	for range n[0] {
		x.entries = append(x.entries, entry{i64(at), i64(at + 8), i64(at + 16)})
		at += indexEntry
	}
	for range n[1] {
		x.epochs = append(x.epochs, epochStart{int32(be.Uint32(body[at:])), i64(at + 4)})
		at += indexEpoch
	}
	for range n[2] {
		x.aborted = append(x.aborted, Aborted{i64(at), i64(at + 8), i64(at + 16), i64(at + 24)})
		at += indexAborted
	}
	x.producers = body[at:]
	return x, nil
}
