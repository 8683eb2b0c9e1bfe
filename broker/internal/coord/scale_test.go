package coord_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/group"
)

// call sends a heartbeat of the consumer protocol and waits for its answer.
func call(tb testing.TB, g *coord.Groups, id, member string, epoch int32) int32 {
	tb.Helper()
	b := group.Beat{Member: member, Epoch: epoch, ClientID: "client", RebalanceTimeout: -1, Visible: func(string) bool { return true }}
	if epoch == 0 {
		b.Topics, b.Owned, b.RebalanceTimeout = []string{"t"}, []group.TopicPartition{}, time.Minute
	}
	type told struct {
		epoch int32
		err   error
	}
	answer := make(chan told, 1)
	g.Beat(context.Background(), id, b, func(a *group.Beaten, err error) {
		if err != nil {
			answer <- told{err: err}
			return
		}
		answer <- told{epoch: a.Epoch}
	})
	a := <-answer
	if a.err != nil {
		tb.Fatal(a.err)
	}
	return a.epoch
}

// TestTenThousandGroups: many groups with a member each cost little, and go on after a power loss.
func TestTenThousandGroups(t *testing.T) {
	const groups, each = 10_000, 24 << 10
	fs := vfs.NewCrashableMem()
	r := apitest.New(t, fs, "data", map[string]string{"log.flush.interval.messages": "1"})
	r.Topic("t", 1)
	begin := time.Now()
	for i := range groups {
		call(t, r.API.Groups, fmt.Sprint("g", i), "m", 0)
	}
	t.Logf("%d groups made in %s", groups, time.Since(begin))
	crashed := fs.CrashClone(vfs.CrashCloneCfg{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin = time.Now()
	again := apitest.New(t, crashed, "data", nil)
	all, err := again.API.Groups.List()
	if err != nil || len(all) != groups {
		t.Fatal(len(all), err)
	}
	t.Logf("%d groups loaded in %s", groups, time.Since(begin))
	for i := range groups {
		if got := call(t, again.API.Groups, fmt.Sprint("g", i), "m", 1); got != 1 {
			t.Fatalf("group %d is in epoch %d", i, got)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := int64(after.HeapAlloc) - int64(before.HeapAlloc); got > groups*each {
		t.Errorf("a group takes %d bytes of memory, more than %d", got/groups, each)
	} else {
		t.Logf("a group takes %d bytes", got/groups)
	}
}

// BenchmarkHeartbeat is what a heartbeat costs that brings nothing new, in groups of so many members.
func BenchmarkHeartbeat(b *testing.B) {
	for _, members := range []int{1, 100, 2000} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			r := apitest.New(b, vfs.NewMem(), "data", nil)
			r.Topic("t", 10)
			var epoch int32
			for i := range members {
				epoch = call(b, r.API.Groups, "g", fmt.Sprint("m", i), 0)
			}
			b.ReportAllocs()
			for b.Loop() {
				call(b, r.API.Groups, "g", fmt.Sprint("m", members-1), epoch)
			}
		})
	}
}
