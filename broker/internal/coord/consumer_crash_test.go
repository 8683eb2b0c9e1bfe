package coord_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/group"
)

// worker is a member as its own process sees it: what it was told, and what it works on.
type worker struct {
	id    string
	epoch int32 // 0: it is not in
	has   []group.TopicPartition
	told  []group.TopicPartition
}

// step lets a worker call once, and do as it is told. mu is held while its state changes, not while it waits.
func (w *worker) step(t *testing.T, g *coord.Groups, mu *sync.Mutex, leave bool) {
	b := group.Beat{Member: w.id, Epoch: w.epoch, ClientID: "c", RebalanceTimeout: -1, Visible: func(string) bool { return true }}
	mu.Lock()
	b.Owned = append([]group.TopicPartition{}, w.has...)
	switch {
	case w.epoch == 0:
		b.Topics, b.RebalanceTimeout = []string{"t"}, 1<<40
	case leave: // it stops its work before it says so
		b.Epoch, w.epoch, w.has, w.told = -1, 0, nil, nil
	}
	mu.Unlock()
	answer := make(chan *group.Beaten, 1)
	g.Beat(context.Background(), "g", b, func(a *group.Beaten, err error) {
		if err != nil {
			t.Errorf("%s in epoch %d: %v", b.Member, b.Epoch, err)
		}
		answer <- a
	})
	a := <-answer
	if a == nil || b.Epoch < 0 {
		return
	}
	mu.Lock()
	defer mu.Unlock()
	w.epoch = a.Epoch
	if a.Assignment != nil {
		w.told = a.Assignment
	}
	kept := slices.DeleteFunc(slices.Clone(w.has), func(p group.TopicPartition) bool { return !slices.Contains(w.told, p) })
	if len(kept) == len(w.has) {
		kept = slices.Clone(w.told)
	}
	w.has = kept
}

// TestWhatMembersWereToldOutlivesPower: members call at once, and power is lost again and again. What each was told is in
// what is left, and no partition is two members'.
func TestWhatMembersWereToldOutlivesPower(t *testing.T) {
	mem := vfs.NewCrashableMem()
	r := apitest.New(t, mem, "data", nil)
	r.Topic("t", 12)
	var mu sync.Mutex
	workers := make([]*worker, 8)
	stop, stepped := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	for i := range workers {
		w := &worker{id: fmt.Sprint("m", i)}
		workers[i] = w
		rng := rand.New(rand.NewPCG(1, uint64(i)))
		all.Go(func() {
			for {
				w.step(t, r.API.Groups, &mu, rng.IntN(20) == 0)
				select {
				case <-stop:
					return
				case stepped <- struct{}{}:
				}
			}
		})
	}
	rng := rand.New(rand.NewPCG(2, 3))
	for range 60 {
		for range 1 + rng.IntN(40) {
			<-stepped
		}
		mu.Lock()
		left := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		told := make([]worker, len(workers))
		for i, w := range workers {
			told[i] = worker{id: w.id, epoch: w.epoch, has: slices.Clone(w.has)}
		}
		mu.Unlock()
		checkLeft(t, apitest.New(t, left, "data", nil).API.Groups, told)
	}
	close(stop)
	all.Wait()
}

func checkLeft(t *testing.T, g *coord.Groups, told []worker) {
	t.Helper()
	d, err := g.DescribeConsumer(context.Background(), "g")
	if err != nil {
		if slices.ContainsFunc(told, func(w worker) bool { return w.epoch > 0 }) {
			t.Errorf("%v, but members were told that they are in", err)
		}
		return
	}
	owner := map[group.TopicPartition]string{}
	members := map[string]group.ConsumerMember{}
	for _, m := range d.Members {
		members[m.ID] = m
		for _, owned := range []group.Owned{m.Assigned, m.Revoking} {
			for p := range owned {
				if owner[p] != "" {
					t.Errorf("%d is %s's and %s's", p.Index, owner[p], m.ID)
				}
				owner[p] = m.ID
			}
		}
	}
	for _, w := range told {
		if m := members[w.id]; w.epoch > m.Epoch {
			t.Errorf("%s was told epoch %d, and is in %d", w.id, w.epoch, m.Epoch)
		}
		for _, p := range w.has {
			if owner[p] != w.id {
				t.Errorf("%s works on %d, which is %q's", w.id, p.Index, owner[p])
			}
		}
	}
}
