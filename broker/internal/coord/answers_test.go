package coord_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kerr"
)

type joined struct {
	j   *group.Joined
	err error
}

func joinGroup(g *coord.Groups, id, meta string) chan joined {
	c := make(chan joined, 1)
	g.Join(context.Background(), "g", group.Join{
		MemberID: id, ClientID: "c", SessionTimeout: 10 * time.Second, RebalanceTimeout: 20 * time.Second, ProtocolType: "consumer",
		Protocols: []group.Protocol{{Name: "range", Metadata: []byte(meta)}},
	}, func(j *group.Joined, err error) { c <- joined{j, err} })
	return c
}

// two brings a leader and a follower into generation n.
func two(t *testing.T, g *coord.Groups) (leader, follower string, gen int32, lj *group.Joined) {
	t.Helper()
	a := <-joinGroup(g, "", "s") // the rig's initial delay is 0: alone at first
	if a.err != nil {
		t.Fatal(a.err)
	}
	bc := joinGroup(g, "", "s")
	a = <-joinGroup(g, a.j.MemberID, "s")
	b := <-bc
	if a.err != nil || b.err != nil {
		t.Fatal(a.err, b.err)
	}
	if a.j.Leader != a.j.MemberID {
		a, b = b, a
	}
	return a.j.MemberID, b.j.MemberID, a.j.Generation, a.j
}

// What fillJoined reads of a leader's answer, outside the lock, while a follower joins again.
func TestRaceOfAnswers(t *testing.T) {
	g := apitest.New(t, vfs.NewMem(), "data", nil).API.Groups
	_, follower, _, lj := two(t, g)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 1000 {
			for _, m := range lj.Members {
				for _, p := range m.Protocols {
					_ = len(p.Metadata)
				}
			}
		}
	})
	joinGroup(g, follower, "new")
	wg.Wait()
}

// The leader's sync waits for the disk; a follower's must not overtake it.
func TestSyncOvertakesTheDisk(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var mu sync.Mutex
	block := false
	gate := make(chan struct{})
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		b := block
		mu.Unlock()
		if b && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo) {
			<-gate
		}
		return nil
	}))
	g := apitest.New(t, fs, "data", nil).API.Groups
	commit(t, g, "g", 0, 1) // the partition's file is there before the gate closes
	leader, follower, gen, _ := two(t, g)
	mu.Lock()
	block = true
	mu.Unlock()
	ctx := context.Background()
	l, f := make(chan error, 1), make(chan *group.Synced, 1)
	g.Sync(ctx, "g", group.Sync{MemberID: leader, Generation: gen, Assignments: map[string][]byte{leader: []byte("A"), follower: []byte("B")}},
		func(_ *group.Synced, err error) { l <- err })
	g.Sync(ctx, "g", group.Sync{MemberID: follower, Generation: gen}, func(s *group.Synced, _ error) { f <- s })
	select {
	case <-l:
		t.Log("the leader was answered: the gate did not hold; test says nothing")
	default:
	}
	select {
	case s := <-f:
		crashed := apitest.New(t, mem.CrashClone(vfs.CrashCloneCfg{}), "data", nil).API.Groups
		d, err := crashed.Describe(ctx, "g")
		t.Errorf("follower answered %q before the sync; after power loss the group is: %s, %d members, %v", s.Assignment, d.State, len(d.Members), err)
	default:
		t.Log("the follower waits")
	}
	mu.Lock()
	block = false
	mu.Unlock()
	close(gate)
	<-l
}

// Commits in flight at once: what is answered from memory must be what a load reads.
func TestCommitsInFlightKeepTheLogsOrder(t *testing.T) {
	mem := vfs.NewCrashableMem()
	g := apitest.New(t, mem, "data", nil).API.Groups
	ctx := context.Background()
	until := time.Now().Add(3 * time.Second)
	for round := 0; time.Now().Before(until); round++ {
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 20 {
					done := make(chan error, 1)
					g.Commit(ctx, "g", coord.Commit{Generation: -1, Offsets: []coord.Committed{{Topic: "t", Offset: coord.Offset{At: int64(round*1000 + i*8 + w), LeaderEpoch: -1}}}}, func(err error) { done <- err })
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		live, err := g.Offsets(ctx, "g")
		if err != nil {
			t.Fatal(err)
		}
		if round%10 != 0 && round > 50 {
			continue
		}
		sub := apitest.New(t, mem.CrashClone(vfs.CrashCloneCfg{}), "data", nil).API.Groups
		disk, err := sub.Offsets(ctx, "g")
		if err != nil || len(disk) != 1 || len(live) != 1 {
			t.Fatal(live, disk, err)
		}
		if live[0].At != disk[0].At {
			t.Fatalf("round %d: memory says %d, the log says %d", round, live[0].At, disk[0].At)
		}
	}
}

// A commit of a group that does not exist.
func TestUnknownGroup(t *testing.T) {
	g := apitest.New(t, vfs.NewMem(), "data", nil).API.Groups
	err := wait(t, func(done func(error)) {
		g.Commit(context.Background(), "no", coord.Commit{Member: "m", Generation: -1, Offsets: []coord.Committed{{Topic: "t"}}}, done)
	})
	t.Logf("member id, generation -1: %v (Kafka: accepted, a simple group)", err)
	_ = errors.Is(err, kerr.IllegalGeneration)
}
