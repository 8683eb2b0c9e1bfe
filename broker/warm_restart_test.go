package broker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sync/errgroup"
)

const (
	manyGroups = 1000
	eachHas    = 100 // offsets
)

// commitAll lets each of many groups commit as many offsets, rounds times.
func commitAll(ctx context.Context, tb testing.TB, adm *kadm.Client, rounds int) {
	tb.Helper()
	var all errgroup.Group
	all.SetLimit(32)
	for g := range manyGroups {
		all.Go(func() error {
			for round := range rounds {
				var offsets kadm.Offsets
				for p := range int32(eachHas) {
					offsets.AddOffset("orders", p, int64(round*1_000_000+g*1000+int(p)), -1)
				}
				if _, err := adm.CommitOffsets(ctx, fmt.Sprint("group-", g), offsets); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkWarmRestart is a broker that has 1,000 groups with 100,000 offsets, each committed ten times and not yet
// compacted, from its start until it has told all of them.
func BenchmarkWarmRestart(b *testing.B) {
	ctx := context.Background()
	c := brokertest.Start(b, 1)
	adm := kadm.NewClient(c.Client(b))
	if _, err := adm.CreateTopic(ctx, eachHas, 1, nil, "orders"); err != nil {
		b.Fatal(err)
	}
	const rounds = 10
	commitAll(ctx, b, adm, rounds)
	var groups []string
	for g := range manyGroups {
		groups = append(groups, fmt.Sprint("group-", g))
	}
	var slowest time.Duration
	for b.Loop() {
		begin := time.Now()
		c.Restart()
		cl := c.Client(b)
		told := 0
		for _, r := range kadm.NewClient(cl).FetchManyOffsets(ctx, groups...) {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
			r.Fetched.Each(func(o kadm.OffsetResponse) {
				if o.At >= (rounds-1)*1_000_000 {
					told++
				}
			})
		}
		if told != manyGroups*eachHas {
			b.Fatalf("%d offsets", told)
		}
		slowest = max(slowest, time.Since(begin))
	}
	b.ReportMetric(float64(slowest.Milliseconds()), "slowest-ms")
}
