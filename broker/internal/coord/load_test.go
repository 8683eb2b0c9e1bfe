package coord_test

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func wait(t *testing.T, start func(done func(error))) error {
	t.Helper()
	answer := make(chan error, 1)
	start(func(err error) { answer <- err })
	return <-answer
}

func commit(t *testing.T, g *coord.Groups, id string, partition int32, offset int64) {
	t.Helper()
	if err := wait(t, func(done func(error)) {
		g.Commit(context.Background(), id, coord.Commit{Generation: -1, Offsets: []coord.Committed{
			{Topic: "t", Partition: partition, Offset: coord.Offset{At: offset, LeaderEpoch: -1}},
		}}, done)
	}); err != nil {
		t.Fatal(err)
	}
}

// TestWhatAPowerLossLeaves: the last commit of each partition, no deleted group, and one made anew under an old name
// without what the old one had.
func TestWhatAPowerLossLeaves(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewCrashableMem()
	g := apitest.New(t, fs, "data", nil).API.Groups
	for offset := range int64(5) {
		commit(t, g, "kept", 0, offset)
	}
	commit(t, g, "kept", 1, 9)
	commit(t, g, "deleted", 0, 7)
	commit(t, g, "anew", 0, 7)
	for _, id := range []string{"deleted", "anew"} {
		if err := wait(t, func(done func(error)) { g.Delete(ctx, id, done) }); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, g, "anew", 1, 3)

	g = apitest.New(t, fs.CrashClone(vfs.CrashCloneCfg{}), "data", nil).API.Groups
	for id, want := range map[string]map[int32]int64{"kept": {0: 4, 1: 9}, "deleted": {}, "anew": {1: 3}} {
		got, err := g.Offsets(ctx, id)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: %v %v", id, got, err)
		}
		for _, o := range got {
			if at, ok := want[o.Partition]; !ok || at != o.At {
				t.Errorf("%s: %+v", id, o)
			}
		}
	}
	all, err := g.List()
	if err != nil || len(all) != 2 {
		t.Errorf("%+v %v", all, err)
	}
	if err := wait(t, func(done func(error)) { g.Delete(ctx, "deleted", done) }); err != kerr.GroupIDNotFound { //nolint:errorlint // it is answered as it is
		t.Error(err)
	}
}

// TestACommitOfNothingMakesNoGroup: clients cannot fill the memory with names.
func TestACommitOfNothingMakesNoGroup(t *testing.T) {
	g := apitest.New(t, vfs.NewMem(), "data", nil).API.Groups
	if err := wait(t, func(done func(error)) { g.Commit(context.Background(), "g", coord.Commit{Generation: -1}, done) }); err != nil {
		t.Fatal(err)
	}
	if all, err := g.List(); err != nil || len(all) > 0 {
		t.Errorf("%+v %v", all, err)
	}
}
