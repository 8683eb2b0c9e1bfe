package file

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// The positions file: docs/formats/sink-positions.md.
const (
	positionsMagic   = "leatpos1"
	entryHeader      = 8
	maxEntry         = 1 << 20
	compactPositions = 256 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type partition struct {
	topic string
	id    int32
}

// positions says what the output holds for certain. It is a journal: each entry adds to those before.
type positions struct {
	path string
	file *os.File
	size int64

	length  int64 // of the active output file, in bytes
	rolled  uint32
	rolling bool // the active file is being renamed to number rolled+1
	next    map[partition]int64
}

// openPositions reads the journal and drops a torn tail. found is false when there was none.
func openPositions(path string) (p *positions, found bool, err error) {
	p = &positions{path: path, next: map[partition]int64{}}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return p, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if len(b) < len(positionsMagic) || string(b[:len(positionsMagic)]) != positionsMagic {
		return nil, false, fmt.Errorf("%s is not a positions file of this version", path)
	}
	for rest := b[len(positionsMagic):]; ; {
		payload, n := nextEntry(rest)
		if n == 0 || !p.apply(payload) {
			return p, true, nil
		}
		rest = rest[n:]
	}
}

// nextEntry returns the first whole entry of b, or 0 at the end or at damage.
func nextEntry(b []byte) (payload []byte, n int) {
	if len(b) < entryHeader {
		return nil, 0
	}
	size := binary.BigEndian.Uint32(b)
	if size > maxEntry || int(size) > len(b)-entryHeader {
		return nil, 0
	}
	payload = b[entryHeader : entryHeader+int(size)]
	if crc32.Checksum(payload, castagnoli) != binary.BigEndian.Uint32(b[4:]) {
		return nil, 0
	}
	return payload, entryHeader + int(size)
}

const entryFixed = 8 + 4 + 1 + 2

// apply takes an entry in; false if it is not well-formed.
func (p *positions) apply(b []byte) bool {
	if len(b) < entryFixed {
		return false
	}
	length, rolled, flags := int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:]), b[12]
	count := int(binary.BigEndian.Uint16(b[13:]))
	next := make(map[partition]int64, count)
	rest := b[entryFixed:]
	for range count {
		if len(rest) < 2 {
			return false
		}
		n := int(binary.BigEndian.Uint16(rest))
		if len(rest) < 2+n+12 {
			return false
		}
		id := partition{string(rest[2 : 2+n]), int32(binary.BigEndian.Uint32(rest[2+n:]))}
		next[id] = int64(binary.BigEndian.Uint64(rest[2+n+4:]))
		rest = rest[2+n+12:]
	}
	p.length, p.rolled, p.rolling = length, rolled, flags&1 != 0
	for id, offset := range next {
		p.next[id] = offset
	}
	return true
}

// entry encodes the state, with the offsets of ids.
func (p *positions) entry(dst []byte, ids map[partition]int64) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, entryHeader)...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.length))
	dst = binary.BigEndian.AppendUint32(dst, p.rolled)
	flags := byte(0)
	if p.rolling {
		flags = 1
	}
	dst = append(dst, flags)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(ids)))
	for id, next := range ids {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(id.topic)))
		dst = append(dst, id.topic...)
		dst = binary.BigEndian.AppendUint32(dst, uint32(id.id))
		dst = binary.BigEndian.AppendUint64(dst, uint64(next))
	}
	payload := dst[start+entryHeader:]
	binary.BigEndian.PutUint32(dst[start:], uint32(len(payload)))
	binary.BigEndian.PutUint32(dst[start+4:], crc32.Checksum(payload, castagnoli))
	return dst
}

// maxEntryPartitions keeps an entry below maxEntry: Kafka's topic names have at most 249 bytes.
const maxEntryPartitions = 3000

// commit makes the state, and the offsets that changed, durable. The output must be so already.
func (p *positions) commit(changed map[partition]int64) error {
	if p.file == nil || p.size > compactPositions {
		return p.rewrite()
	}
	b := p.entries(changed)
	if _, err := p.file.Write(b); err != nil {
		return err
	}
	p.size += int64(len(b))
	return p.file.Sync()
}

// entries encodes the offsets of ids in as many entries as they need, at least one.
func (p *positions) entries(ids map[partition]int64) []byte {
	var b []byte
	part := make(map[partition]int64, min(len(ids), maxEntryPartitions))
	for id, next := range ids {
		if len(part) == maxEntryPartitions {
			b = p.entry(b, part)
			clear(part)
		}
		part[id] = next
	}
	return p.entry(b, part)
}

// rewrite replaces the journal by one that holds the state alone.
func (p *positions) rewrite() error {
	tmp := p.path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	b := append([]byte(positionsMagic), p.entries(p.next)...)
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, p.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(p.path))
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if p.file != nil {
		_ = p.file.Close()
	}
	p.file, p.size = f, int64(len(b))
	return nil
}

func (p *positions) Close() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
