package broker_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkTenThousandPartitions gives each of 10,000 partitions a record and measures, in ms, how long a stop takes, and
// the start of the process to the first answer and to the end offsets of all partitions, after the stop and after kill -9.
//
//	go test ./broker -run xxx -bench TenThousandPartitions -benchtime 1x
func BenchmarkTenThousandPartitions(b *testing.B) {
	ctx, dir := b.Context(), b.TempDir()
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprint("t", i))
	}
	var p *process
	var cl *kgo.Client
	since := func(begin time.Time, what string) {
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), what)
	}
	start := func(after string) {
		begin := time.Now()
		p = startProcess(b, dir)
		var err error
		if cl, err = kgo.NewClient(kgo.SeedBrokers(p.addr), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
			b.Fatal(err)
		}
		if err := cl.Ping(ctx); err != nil {
			b.Fatal(err)
		}
		if after == "" {
			return
		}
		since(begin, "answer-after-"+after)
		ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, names...)
		if err != nil || ends.Error() != nil {
			b.Fatal(err, ends.Error())
		}
		since(begin, "offsets-after-"+after)
	}
	fill := func() {
		for _, name := range names {
			for i := range int32(100) {
				cl.Produce(ctx, &kgo.Record{Topic: name, Partition: i, Value: make([]byte, 200)}, func(_ *kgo.Record, err error) {
					if err != nil {
						b.Error(err)
					}
				})
			}
		}
		if err := cl.Flush(ctx); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		start("")
		if _, err := kadm.NewClient(cl).CreateTopics(ctx, 100, 1, nil, names...); err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		fill()
		since(begin, "first-records")
		cl.Close()
		begin = time.Now()
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			b.Fatal(err)
		}
		_ = p.cmd.Wait()
		since(begin, "stop")
		start("stop")
		fill()
		cl.Close()
		p.kill()
		start("kill")
		if _, err := kadm.NewClient(cl).DeleteTopics(context.WithoutCancel(ctx), names...); err != nil {
			b.Fatal(err)
		}
		cl.Close()
		p.kill()
	}
}
