package meta

import (
	"hash/maphash"
	"iter"
	"maps"
)

// sharded is a map of which many versions share what has not changed: to change one entry copies a 256th of it. A metadata
// log of single changes would else take the square of their number to replay.
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

// with returns a version in which k is v.
func (s *sharded[K, V]) with(k K, v V) *sharded[K, V] {
	out, i := *s, s.shard(k)
	if _, had := s.shards[i][k]; !had {
		out.size++
	}
	if out.shards[i] = maps.Clone(s.shards[i]); out.shards[i] == nil {
		out.shards[i] = map[K]V{}
	}
	out.shards[i][k] = v
	return &out
}

// without returns a version that has no k.
func (s *sharded[K, V]) without(k K) *sharded[K, V] {
	i := s.shard(k)
	if _, had := s.shards[i][k]; !had {
		return s
	}
	out := *s
	out.size--
	out.shards[i] = maps.Clone(s.shards[i])
	if delete(out.shards[i], k); len(out.shards[i]) == 0 {
		out.shards[i] = nil
	}
	return &out
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
