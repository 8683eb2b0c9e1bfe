package broker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestAGroupGoesOnAfterARestartAndAPowerLoss(t *testing.T) {
	c := brokertest.Start(t, 1, brokertest.CrashableFS())
	ctx := testContext(t)
	fill(ctx, t, c, "orders", 30)
	want := int64(0)
	for round, interrupt := range []func(){func() {}, c.Restart, func() { c.PowerLoss(0, 7) }} {
		interrupt()
		cl := c.Client(t, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
		for got := 0; got < 10; {
			records := cl.PollRecords(ctx, 10-got)
			if err := records.Err(); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			got += records.NumRecords()
			if err := cl.CommitRecords(ctx, records.Records()...); err != nil {
				t.Fatal(err)
			}
		}
		want += 10
		offsets, err := kadm.NewClient(cl).FetchOffsets(ctx, "g")
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
		if sum != want {
			t.Errorf("round %d: %d records are committed, want %d", round, sum, want)
		}
		cl.Close()
	}
}

// TestMembersOutlivePowerLosses: members of both protocols consume and commit while power is lost again and again. Every
// record is read, nothing is committed that was not, and the group settles with all who were in it.
func TestMembersOutlivePowerLosses(t *testing.T) {
	ctx := testContext(t)
	c := brokertest.Start(t, 1, brokertest.CrashableFS(), brokertest.Properties(map[string]string{"group.consumer.heartbeat.interval.ms": "100"}))
	fill(ctx, t, c, "orders", 30)
	consumed := &progress{next: map[int32]int64{}}
	consuming, stop := context.WithCancel(ctx)
	var members sync.WaitGroup
	for i, opts := range [][]kgo.Opt{
		{kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())},
		{kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())},
		{kgo.Balancers(kgo.CooperativeStickyBalancer())},
	} {
		cl := member(t, c, "g", "orders", append(opts, kgo.ClientID(fmt.Sprint("member", i)))...)
		members.Go(func() { consumed.follow(consuming, t, cl) })
	}
	producer := c.Client(t)
	total := int64(30)
	for round := range uint64(6) {
		var batch []*kgo.Record
		for range 30 {
			batch = append(batch, &kgo.Record{Topic: "orders", Key: fmt.Append(nil, len(batch)), Value: []byte("x")})
		}
		if err := producer.ProduceSync(ctx, batch...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		total += 30
		c.PowerLoss(int(round*20), round)
	}
	adm := kadm.NewClient(c.Client(t))
	for last := ""; ; { // until all is read and committed, by all three
		offsets, err := adm.FetchOffsets(ctx, "g")
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records are read; %s", consumed.sum(), total, last)
		}
		sum := int64(0)
		offsets.Each(func(o kadm.OffsetResponse) {
			sum += o.At
			if read := consumed.at(o.Partition); o.At > read {
				t.Errorf("partition %d is committed to %d, and read to %d", o.Partition, o.At, read)
			}
		})
		d, descErr := adm.DescribeConsumerGroups(ctx, "g")
		if g := d["g"]; err == nil && descErr == nil && sum == total && g.State == "Stable" && len(g.Members) == 3 {
			break
		}
		last = fmt.Sprintf("%d committed (%v), %+v (%v)", sum, err, d["g"], descErr)
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	members.Wait()
}

// progress is how far members have come in each partition, together.
type progress struct {
	mu   sync.Mutex
	next map[int32]int64
}

// follow polls and commits. What a power loss interrupts is an error that the client heals by itself.
func (p *progress) follow(ctx context.Context, t *testing.T, cl *kgo.Client) {
	for ctx.Err() == nil {
		polling, enough := context.WithTimeout(ctx, 200*time.Millisecond) // a commit that failed is made again
		fetches := cl.PollFetches(polling)
		enough()
		p.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			if next := p.next[r.Partition]; r.Offset > next {
				t.Errorf("partition %d goes on at %d, read to %d", r.Partition, r.Offset, next)
			}
			p.next[r.Partition] = max(p.next[r.Partition], r.Offset+1)
		})
		p.mu.Unlock()
		_ = cl.CommitUncommittedOffsets(ctx)
	}
}

func (p *progress) at(partition int32) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next[partition]
}

func (p *progress) sum() (n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.next {
		n += at
	}
	return n
}
