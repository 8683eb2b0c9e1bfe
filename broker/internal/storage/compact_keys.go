package storage

import (
	"bytes"
	"hash/maphash"
	"math"
)

// keyTable finds the last offset of each key. It holds the keys themselves, and a hash only leads to them: two keys with
// the same hash are still two keys, so that no record is lost to a collision.
type keyTable struct {
	limit int // bytes
	hash  func([]byte) uint64
	slots []keySlot // a power of two; free where size is 0
	used  int
	keys  []byte
}

type keySlot struct {
	hash   uint64
	offset int64
	pos    uint32 // of the key in keys
	size   uint32 // of the key, plus 1
}

const keySlotBytes = 24

func newKeyTable(limit int) *keyTable {
	seed := maphash.MakeSeed()
	return &keyTable{limit: limit, hash: func(key []byte) uint64 { return maphash.Bytes(seed, key) }, slots: make([]keySlot, 64)}
}

// find returns the slot of key, or the free one where it belongs.
func (t *keyTable) find(key []byte, hash uint64) *keySlot {
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := &t.slots[i]
		if s.size == 0 || s.hash == hash && bytes.Equal(t.keys[s.pos:s.pos+s.size-1], key) {
			return s
		}
	}
}

// get returns the last offset of key; -1: it was never put.
func (t *keyTable) get(key []byte) int64 {
	if s := t.find(key, t.hash(key)); s.size > 0 {
		return s.offset
	}
	return -1
}

// put notes that key is at offset. It reports false, and notes nothing, when there is no room; must makes room all the same.
func (t *keyTable) put(key []byte, offset int64, must bool) bool {
	hash := t.hash(key)
	s := t.find(key, hash)
	if s.size > 0 {
		s.offset = offset
		return true
	}
	slots := len(t.slots)
	if 4*(t.used+1) > 3*slots {
		slots *= 2
	}
	if bytes := len(t.keys) + len(key); !must && slots*keySlotBytes+bytes > t.limit || bytes > math.MaxUint32 {
		return false
	}
	if slots > len(t.slots) {
		t.grow(slots)
		s = t.find(key, hash)
	}
	*s = keySlot{hash: hash, offset: offset, pos: uint32(len(t.keys)), size: uint32(len(key)) + 1}
	t.keys = append(t.keys, key...)
	t.used++
	return true
}

func (t *keyTable) grow(slots int) {
	old := t.slots
	t.slots = make([]keySlot, slots)
	mask := uint64(slots - 1)
	for _, s := range old {
		if s.size == 0 {
			continue
		}
		i := s.hash & mask
		for t.slots[i].size > 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = s
	}
}
