package meta

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestShardedIsAMap: every version stays what it was, and is what a map would be.
func TestShardedIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			s *sharded[int, int]
			m map[int]int
		}
		all := []version{{&sharded[int, int]{}, map[int]int{}}}
		for range rapid.IntRange(0, 40).Draw(t, "changes") {
			last := all[len(all)-1]
			next := version{last.s.version(), maps.Clone(last.m)}
			var mine shards
			for range rapid.IntRange(1, 4).Draw(t, "in this version") {
				k := rapid.IntRange(0, 20).Draw(t, "key")
				if rapid.Bool().Draw(t, "set") {
					next.s.set(&mine, k, len(all))
					next.m[k] = len(all)
				} else {
					next.s.unset(&mine, k)
					delete(next.m, k)
				}
			}
			all = append(all, next)
		}
		for _, v := range all {
			if got := slices.Sorted(v.s.keys()); !slices.Equal(got, slices.Sorted(maps.Keys(v.m))) || v.s.size != len(v.m) {
				t.Fatalf("%v, %d of %v", got, v.s.size, v.m)
			}
			for k, want := range v.m {
				if got, ok := v.s.get(k); !ok || got != want {
					t.Fatalf("%d is %d, not %d", k, got, want)
				}
			}
		}
	})
}
