package coord

import (
	"context"
	"maps"
	"slices"
)

// Flying lists the partitions with commits of a group that are not durable yet.
func (g *Groups) Flying(id string) []partition {
	s, m, err := g.find(context.Background(), id)
	if err != nil {
		return nil
	}
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(m.flying))
}
