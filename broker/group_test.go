package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fill creates topic with three partitions and puts n records into it.
func fill(ctx context.Context, t *testing.T, c *brokertest.Cluster, topic string, n int) {
	t.Helper()
	cl := c.Client(t)
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 3, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		cl.Produce(ctx, &kgo.Record{Topic: topic, Key: fmt.Append(nil, i), Value: fmt.Append(nil, i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func member(t *testing.T, c *brokertest.Cluster, group, topic string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	return c.Client(t, append([]kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.HeartbeatInterval(50 * time.Millisecond), kgo.DisableAutoCommit(),
	}, opts...)...)
}

func TestGroupsShareAndKeepTheirPlace(t *testing.T) {
	ctx := testContext(t)
	c := brokertest.Start(t, 1)
	fill(ctx, t, c, "orders", 300)

	// A lone consumer gets everything, and its place is kept.
	lone := member(t, c, "a", "orders")
	consume(ctx, t, lone, 300)
	if err := lone.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	lone.Close()

	// Another group gets everything again.
	other := member(t, c, "b", "orders")
	consume(ctx, t, other, 300)
	other.Close()

	adm := kadm.NewClient(c.Client(t))
	lag, err := adm.Lag(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	if group := lag["a"]; group.Lag.Total() != 0 || group.State != "Empty" {
		t.Errorf("lag %d, %s", group.Lag.Total(), group.State)
	}

	// The place survives a restart of the broker, and power loss.
	c.Restart()
	offsets, err := kadm.NewClient(c.Client(t)).FetchOffsets(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
	if sum != 300 {
		t.Errorf("committed %d after a restart", sum)
	}
}

// TestMembersDividePartitions starts members at once, for each of kgo's assignors, for those of the broker, and for both
// protocols in one group; then it lets one leave.
func TestMembersDividePartitions(t *testing.T) {
	uniform := []kgo.Opt{kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())}
	ranged := []kgo.Opt{kgo.ServerSideBalancer(), kgo.Balancers(kgo.RangeBalancer())}
	eager := []kgo.Opt{kgo.Balancers(kgo.RangeBalancer())}
	cooperative := []kgo.Opt{kgo.Balancers(kgo.CooperativeStickyBalancer())}
	for name, opts := range map[string][3][]kgo.Opt{
		"range": {eager, eager, eager}, "cooperative": {cooperative, cooperative, cooperative},
		"server-side uniform": {uniform, uniform, uniform}, "server-side range": {ranged, ranged, ranged},
		"the last of the new protocol leaves":   {uniform, cooperative, cooperative},
		"the last of the old protocol leaves":   {cooperative, uniform, uniform},
		"an eager one among the new":            {uniform, eager, uniform},
		"the last one leaves two of eager kind": {uniform, eager, eager},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			c := brokertest.Start(t, 1, brokertest.Properties(map[string]string{"group.consumer.heartbeat.interval.ms": "50"}))
			fill(ctx, t, c, "orders", 30)
			var mu sync.Mutex
			owned := map[int]map[int32]bool{0: {}, 1: {}, 2: {}}
			changed := make(chan struct{}, 100)
			set := func(i int, to bool) func(context.Context, *kgo.Client, map[string][]int32) {
				return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
					mu.Lock()
					for _, p := range parts["orders"] {
						if to {
							owned[i][p] = true
						} else {
							delete(owned[i], p)
						}
					}
					mu.Unlock()
					changed <- struct{}{}
				}
			}
			var members []*kgo.Client
			for i := range 3 {
				members = append(members, member(t, c, "g", "orders", append(opts[i],
					kgo.OnPartitionsAssigned(set(i, true)), kgo.OnPartitionsRevoked(set(i, false)), kgo.OnPartitionsLost(set(i, false)))...))
			}
			until := func(what string, ok func() bool) {
				for {
					mu.Lock()
					done := ok()
					mu.Unlock()
					if done {
						return
					}
					select {
					case <-changed:
					case <-ctx.Done():
						t.Fatalf("%s: %v", what, owned)
					}
				}
			}
			until("three members have a partition each", func() bool { return len(owned[0]) == 1 && len(owned[1]) == 1 && len(owned[2]) == 1 })
			members[0].Close()
			until("two share three", func() bool { return len(owned[1])+len(owned[2]) == 3 })
		})
	}
}

func TestStaticMemberComesBackWithoutARebalance(t *testing.T) {
	for name, opts := range map[string][]kgo.Opt{"classic": nil, "server-side": {kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())}} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			c := brokertest.Start(t, 1)
			fill(ctx, t, c, "orders", 30)
			opts = append(opts, kgo.InstanceID("one"))
			first := member(t, c, "g", "orders", opts...)
			consume(ctx, t, first, 30)
			_, before := first.GroupMetadata()
			first.CloseAllowingRebalance() // a static member does not say good-bye, or that it comes back
			again := member(t, c, "g", "orders", opts...)
			consume(ctx, t, again, 30)
			if _, after := again.GroupMetadata(); after != before {
				t.Errorf("generation %d, was %d", after, before)
			}
		})
	}
}

// TestExpressionsFollowTopics: a topic that begins to exist is consumed by who subscribes to its kind.
func TestExpressionsFollowTopics(t *testing.T) {
	ctx := testContext(t)
	c := brokertest.Start(t, 1, brokertest.Properties(map[string]string{"group.consumer.heartbeat.interval.ms": "50"}))
	fill(ctx, t, c, "logs-a", 10)
	m := member(t, c, "g", "logs-.*", kgo.ConsumeRegex(), kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	consume(ctx, t, m, 10)
	fill(ctx, t, c, "logs-b", 20)
	fill(ctx, t, c, "other", 5)
	consume(ctx, t, m, 20)
}

func TestDeletingGroups(t *testing.T) {
	ctx := testContext(t)
	c := brokertest.Start(t, 1)
	fill(ctx, t, c, "orders", 3)
	m := member(t, c, "g", "orders")
	consume(ctx, t, m, 3)
	adm := kadm.NewClient(c.Client(t))
	if r, err := adm.DeleteGroup(ctx, "g"); !errors.Is(err, kerr.NonEmptyGroup) {
		t.Errorf("a group with members: %v %v", r, err)
	}
	m.Close()
	for _, want := range []error{nil, kerr.GroupIDNotFound} {
		if _, err := adm.DeleteGroup(ctx, "g"); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if groups, err := adm.ListGroups(ctx); err != nil || len(groups) != 0 {
		t.Errorf("%v %v", groups, err)
	}
}
