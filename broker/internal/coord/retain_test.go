package coord_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const day = 24 * time.Hour

// kept lists what a group has committed, as "topic:partition".
func kept(t *testing.T, g *coord.Groups, id string) string {
	t.Helper()
	all, err := g.Offsets(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, o := range all {
		out = append(out, fmt.Sprintf("%s:%d", o.Topic, o.Partition))
	}
	return fmt.Sprint(out)
}

func groupsThere(t *testing.T, g *coord.Groups) []string {
	t.Helper()
	all, err := g.List()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range all {
		out = append(out, d.ID)
	}
	return out
}

func commitAs(t *testing.T, g *coord.Groups, id string, c coord.Commit) {
	t.Helper()
	if err := wait(t, func(done func(error)) { g.Commit(context.Background(), id, c, done) }); err != nil {
		t.Fatal(err)
	}
}

func at(topic string, partition int32) coord.Committed {
	return coord.Committed{Topic: topic, Partition: partition, Offset: coord.Offset{At: 1, LeaderEpoch: -1}}
}

// retention is a broker whose offsets live for a week, with topics t and u, that can lose power.
type retention struct {
	*apitest.Rig
	fs *vfs.MemFS
}

func newRetention(t *testing.T) *retention {
	fs := vfs.NewCrashableMem()
	r := &retention{apitest.New(t, fs, "data", nil), fs}
	r.Topic("t", 2)
	r.Topic("u", 1)
	return r
}

func (r *retention) groups() *coord.Groups { return r.API.Groups }

// sweep lets a broker that lost its power now look for old offsets, then the one that runs.
func (r *retention) sweep(t *testing.T, later time.Duration, want map[string]string) {
	t.Helper()
	r.Later(later)
	crashed := apitest.New(t, r.fs.CrashClone(vfs.CrashCloneCfg{}), "data", nil)
	crashed.Later(r.Ahead())
	for _, g := range []*coord.Groups{crashed.API.Groups, r.groups()} {
		g.Expire()
		for id, offsets := range want {
			if got := kept(t, g, id); got != offsets {
				t.Errorf("%s has %s, want %s", id, got, offsets)
			}
			if there := slices.Contains(groupsThere(t, g), id); there != (offsets != "[]") {
				t.Errorf("%s is there: %v", id, there)
			}
		}
	}
}

func TestOffsetsOfNobodyExpire(t *testing.T) {
	r := newRetention(t)
	commitAs(t, r.groups(), "old", coord.Commit{Generation: -1, Offsets: []coord.Committed{at("t", 0), at("t", 1)}})
	commitAs(t, r.groups(), "short", coord.Commit{Generation: -1, Retention: time.Hour.Milliseconds(), Offsets: []coord.Committed{at("t", 0)}})
	commitAs(t, r.groups(), "long", coord.Commit{Generation: -1, Retention: 1 << 62, Offsets: []coord.Committed{at("t", 0)}})
	commitAs(t, r.groups(), "lost", coord.Commit{Generation: -1, Offsets: []coord.Committed{at("gone", 0)}})
	r.sweep(t, time.Minute, map[string]string{"old": "[t:0 t:1]", "short": "[t:0]", "long": "[t:0]", "lost": "[]"})
	r.sweep(t, 4*day, map[string]string{"old": "[t:0 t:1]", "short": "[]", "long": "[t:0]"})
	commitAs(t, r.groups(), "old", coord.Commit{Generation: -1, Offsets: []coord.Committed{at("t", 1)}})
	r.sweep(t, 4*day, map[string]string{"old": "[t:1]", "long": "[t:0]"})
	r.sweep(t, 4*day, map[string]string{"old": "[]", "long": "[t:0]"})
}

func TestOffsetsOfAGroupLiveAWeekLongerThanIt(t *testing.T) {
	ctx := context.Background()
	for _, kind := range []string{coord.ClassicGroup, coord.ConsumerGroup} {
		t.Run(kind, func(t *testing.T) {
			r := newRetention(t)
			var leave func(done func(error))
			commit := coord.Commit{Epochs: true, Offsets: []coord.Committed{at("t", 0), at("u", 0)}}
			if kind == coord.ClassicGroup {
				subscription := kmsg.NewConsumerMemberMetadata()
				subscription.Topics = []string{"t"}
				a := <-joinGroup(r.groups(), "", string(subscription.AppendTo(nil)))
				if a.err != nil {
					t.Fatal(a.err)
				}
				if err := wait(t, func(done func(error)) {
					r.groups().Sync(ctx, "g", group.Sync{MemberID: a.j.MemberID, Generation: 1}, func(_ *group.Synced, err error) { done(err) })
				}); err != nil {
					t.Fatal(err)
				}
				commit.Member, commit.Generation = a.j.MemberID, 1
				leave = func(done func(error)) { r.groups().Leave(ctx, "g", a.j.MemberID, nil, done) }
			} else {
				beat := func(b group.Beat) func(done func(error)) {
					b.Member, b.Visible = "m", func(string) bool { return true }
					return func(done func(error)) {
						r.groups().Beat(ctx, "g", b, func(_ *group.Beaten, err error) { done(err) })
					}
				}
				if err := wait(t, beat(group.Beat{Topics: []string{"t"}, Owned: []group.TopicPartition{}, RebalanceTimeout: time.Hour})); err != nil {
					t.Fatal(err)
				}
				commit.Member, commit.Generation = "m", 1
				leave = beat(group.Beat{Epoch: -1})
			}
			commitAs(t, r.groups(), "g", commit)
			r.sweep(t, 6*day, map[string]string{"g": "[t:0 u:0]"})
			r.sweep(t, 2*day, map[string]string{"g": "[t:0]"}) // u is nothing that it subscribes to
			if err := wait(t, leave); err != nil {
				t.Fatal(err)
			}
			r.sweep(t, 6*day, map[string]string{"g": "[t:0]"})
			r.sweep(t, 2*day, map[string]string{"g": "[]"})
		})
	}
}

// TestADeletedGroupTakesCommitsInFlightWithIt: a commit that becomes durable while its group is deleted does not outlive it.
func TestADeletedGroupTakesCommitsInFlightWithIt(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var closed atomic.Bool
	gate := make(chan struct{})
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if closed.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo) {
			<-gate
		}
		return nil
	}))
	g := apitest.New(t, fs, "data", nil).API.Groups
	commit(t, g, "g", 0, 1)
	closed.Store(true)
	ctx := context.Background()
	committed, deleted := make(chan error, 1), make(chan error, 1)
	go g.Commit(ctx, "g", coord.Commit{Generation: -1, Offsets: []coord.Committed{at("t", 1)}}, func(err error) { committed <- err })
	for len(g.Flying("g")) == 0 {
		time.Sleep(time.Millisecond)
	}
	go g.Delete(ctx, "g", func(err error) { deleted <- err })
	for slices.Contains(groupsThere(t, g), "g") {
		time.Sleep(time.Millisecond)
	}
	close(gate)
	for _, c := range []chan error{committed, deleted} {
		if err := <-c; err != nil {
			t.Error(err)
		}
	}
	for _, g := range []*coord.Groups{g, apitest.New(t, mem.CrashClone(vfs.CrashCloneCfg{}), "data", nil).API.Groups} {
		if there := groupsThere(t, g); len(there) > 0 {
			t.Errorf("%v", there)
		}
	}
}
