package coord_test

import (
	"context"
	"reflect"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/group"
)

// fullDisk is a broker whose disk can be full.
type fullDisk struct {
	*apitest.Rig
	mem  *vfs.MemFS
	full atomic.Bool
}

func newFullDisk(t *testing.T) *fullDisk {
	d := &fullDisk{mem: vfs.NewCrashableMem()}
	fs := errorfs.Wrap(d.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if d.full.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileSync && op.Kind != errorfs.OpFileSyncData {
			return syscall.ENOSPC
		}
		return nil
	}))
	d.Rig = apitest.New(t, fs, "data", nil)
	d.Topic("t", 4)
	return d
}

// left is what a power loss leaves.
func (d *fullDisk) left(t *testing.T) *coord.Groups {
	return apitest.New(t, d.mem.CrashClone(vfs.CrashCloneCfg{}), "data", nil).API.Groups
}

// TestAConsumerGroupOutlivesAFullDisk: what could not be written while there was no room is written when there is.
func TestAConsumerGroupOutlivesAFullDisk(t *testing.T) {
	ctx := context.Background()
	d := newFullDisk(t)
	g := d.API.Groups
	beat := func(b group.Beat) error {
		b.ClientID, b.RebalanceTimeout, b.Visible = "c", time.Hour, func(string) bool { return true }
		if b.Epoch >= 0 {
			b.Topics, b.Owned = []string{"t"}, []group.TopicPartition{}
		}
		return wait(t, func(done func(error)) { g.Beat(ctx, "g", b, func(_ *group.Beaten, err error) { done(err) }) })
	}
	for _, id := range []string{"m1", "m2"} {
		if err := beat(group.Beat{Member: id}); err != nil {
			t.Fatal(err)
		}
	}
	d.full.Store(true)
	if err := beat(group.Beat{Member: "m3"}); err == nil {
		t.Fatal("a member that nobody can write down is in")
	}
	if err := beat(group.Beat{Member: "m2", Epoch: -1}); err == nil {
		t.Fatal("a member that nobody can write off is out")
	}
	d.full.Store(false)
	if err := beat(group.Beat{Member: "m3"}); err != nil {
		t.Fatal(err)
	}
	want, err := g.DescribeConsumer(ctx, "g")
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.left(t).DescribeConsumer(ctx, "g")
	if err != nil || len(got.Members) != len(want.Members) || got.Epoch != want.Epoch || got.TargetEpoch != want.TargetEpoch {
		t.Fatalf("%v\nin memory %+v\nleft      %+v", err, want, got)
	}
	for i, m := range want.Members {
		l := got.Members[i]
		if m.ID != l.ID || m.Epoch != l.Epoch || m.State != l.State || len(m.Assigned) != len(l.Assigned) || !reflect.DeepEqual(m.Target, l.Target) {
			t.Errorf("in memory %+v\nleft      %+v", m, l)
		}
	}
}

// TestAClassicGroupOutlivesAFullDisk: so do an assignment, and a group that is gone.
func TestAClassicGroupOutlivesAFullDisk(t *testing.T) {
	ctx := context.Background()
	d := newFullDisk(t)
	g := d.API.Groups
	commit(t, g, "gone", 0, 1)
	a := <-joinGroup(g, "", "s")
	if a.err != nil {
		t.Fatal(a.err)
	}
	sync := func() error {
		return wait(t, func(done func(error)) {
			g.Sync(ctx, "g", group.Sync{MemberID: a.j.MemberID, Generation: 1, Assignments: map[string][]byte{a.j.MemberID: []byte("all")}},
				func(_ *group.Synced, err error) { done(err) })
		})
	}
	remove := func() error { return wait(t, func(done func(error)) { g.Delete(ctx, "gone", done) }) }
	d.full.Store(true)
	if err := sync(); err == nil {
		t.Fatal("an assignment that nobody can write down is told")
	}
	if err := remove(); err == nil {
		t.Fatal("a group that nobody can write off is deleted")
	}
	d.full.Store(false)
	if err := sync(); err != nil {
		t.Fatal(err)
	}
	for i := range int32(3) { // each partition of the topic gets something to write, and with it what it owes
		commit(t, g, []string{"a", "b", "c"}[i], 0, 1)
	}
	left := d.left(t)
	got, err := left.Describe(ctx, "g")
	if err != nil || got.State != group.Stable || len(got.Members) != 1 || string(got.Members[0].Assignment) != "all" {
		t.Errorf("%+v %v", got, err)
	}
	if offsets := kept(t, left, "gone"); offsets != "[]" {
		t.Errorf("what was deleted is back: %s", offsets)
	}
}
