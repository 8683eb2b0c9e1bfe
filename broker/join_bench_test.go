package broker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkTwelveMembersJoin is from the start of twelve clients, which consume 48 partitions together, until each has
// four; with the broker's own settings.
func BenchmarkTwelveMembersJoin(b *testing.B) {
	for name, opts := range map[string][]kgo.Opt{
		"classic":     {kgo.Balancers(kgo.CooperativeStickyBalancer())},
		"server-side": {kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())},
	} {
		b.Run(name, func(b *testing.B) {
			ctx := context.Background()
			c := brokertest.Start(b, 1, brokertest.Properties(map[string]string{"group.initial.rebalance.delay.ms": "50"}))
			if _, err := kadm.NewClient(c.Client(b)).CreateTopic(ctx, 48, 1, nil, "orders"); err != nil {
				b.Fatal(err)
			}
			for n := 0; b.Loop(); n++ {
				even := joinTwelve(ctx, b, c, fmt.Sprint("g", n), opts)
				b.StopTimer()
				for _, cl := range even {
					cl.CloseAllowingRebalance()
				}
				b.StartTimer()
			}
		})
	}
}

func joinTwelve(ctx context.Context, b *testing.B, c *brokertest.Cluster, group string, opts []kgo.Opt) (members []*kgo.Client) {
	var mu sync.Mutex
	has, even := map[int]int{}, 0
	done := make(chan struct{}, 1)
	moved := func(i, by int) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			mu.Lock()
			defer mu.Unlock()
			before := has[i]
			has[i] += by * len(p["orders"])
			if before == 4 {
				even--
			}
			if has[i] == 4 {
				even++
			}
			if even == 12 {
				select {
				case done <- struct{}{}:
				default:
				}
			}
		}
	}
	for i := range 12 {
		cl, err := kgo.NewClient(append([]kgo.Opt{
			kgo.SeedBrokers(c.Addr()), kgo.ConsumerGroup(group), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit(),
			kgo.OnPartitionsAssigned(moved(i, 1)), kgo.OnPartitionsRevoked(moved(i, -1)), kgo.OnPartitionsLost(moved(i, -1)),
		}, opts...)...)
		if err != nil {
			b.Fatal(err)
		}
		members = append(members, cl)
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
	return members
}
