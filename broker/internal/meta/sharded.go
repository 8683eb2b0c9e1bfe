package meta

import (
	"hash/maphash"
	"iter"
	"maps"
)

// sharded is a map of which many versions share what has not changed: to change one entry copies a 256th of it, once a version.
type sharded[K comparable, V any] struct {
	shards [256]map[K]V // nil where empty
	size   int
}

var shardSeed = maphash.MakeSeed()

func (s *sharded[K, V]) shard(k K) int { return int(maphash.Comparable(shardSeed, k) % 256) }

func (s *sharded[K, V]) get(k K) (V, bool) {
	v, ok := s.shards[s.shard(k)][k]
	return v, ok
}

// version is a new version, which shares everything as yet.
func (s *sharded[K, V]) version() *sharded[K, V] {
	next := *s
	return &next
}

// shards says which shards a version that is being made has copied already.
type shards [256]bool

// set makes k v in a version that nobody else has yet.
func (s *sharded[K, V]) set(mine *shards, k K, v V) {
	i := s.shard(k)
	if _, had := s.shards[i][k]; !had {
		s.size++
	}
	s.own(mine, i)
	s.shards[i][k] = v
}

// unset takes k out of a version that nobody else has yet.
func (s *sharded[K, V]) unset(mine *shards, k K) {
	i := s.shard(k)
	if _, had := s.shards[i][k]; !had {
		return
	}
	s.size--
	s.own(mine, i)
	if delete(s.shards[i], k); len(s.shards[i]) == 0 {
		s.shards[i], mine[i] = nil, false
	}
}

// own copies a shard that is of the version before.
func (s *sharded[K, V]) own(mine *shards, i int) {
	if mine[i] {
		return
	}
	mine[i] = true
	if s.shards[i] = maps.Clone(s.shards[i]); s.shards[i] == nil {
		s.shards[i] = map[K]V{}
	}
}

func (s *sharded[K, V]) keys() iter.Seq[K] {
	return func(yield func(K) bool) {
		for _, shard := range s.shards {
			for k := range shard {
				if !yield(k) {
					return
				}
			}
		}
	}
}
