package broker_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestRetentionRuns: what is too old goes without anybody asking, and what is not stays.
func TestRetentionRuns(t *testing.T) {
	c := brokertest.Start(t, 1, brokertest.InMemory(), brokertest.CrashableFS(),
		brokertest.Properties(map[string]string{"log.retention.check.interval.ms": "5"}))
	ctx, cl := testContext(t), c.Client(t)
	adm := kadm.NewClient(cl)
	hour := "3600000"
	if _, err := adm.CreateTopics(ctx, 1, 1, map[string]*string{"retention.ms": &hour}, "t", "new"); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*kgo.Record{
		{Topic: "t", Value: []byte("old"), Timestamp: time.Now().Add(-2 * time.Hour)},
		{Topic: "new", Value: []byte("new"), Timestamp: time.Now()},
	} {
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	start := func(topic string) int64 {
		offsets, err := adm.ListStartOffsets(ctx, topic)
		if err != nil || offsets.Error() != nil {
			t.Fatal(err, offsets.Error())
		}
		o, _ := offsets.Lookup(topic, 0)
		return o.Offset
	}
	for start("t") != 1 {
		if ctx.Err() != nil {
			t.Fatal("the old record is still there")
		}
	}
	if got := start("new"); got != 0 {
		t.Errorf("the new record went too: start %d", got)
	}
}

// TestOffsetsTopicShrinks: commits of the same groups again and again take a bounded part of the disk, and the groups
// have their last offsets, at once and after a restart.
func TestOffsetsTopicShrinks(t *testing.T) {
	c := brokertest.Start(t, 1, brokertest.InMemory(), brokertest.Properties(map[string]string{
		"log.cleaner.backoff.ms": "5", "offsets.topic.num.partitions": "1", "offsets.topic.segment.bytes": "1048576",
	}))
	ctx := testContext(t)
	adm := kadm.NewClient(c.Client(t))
	if _, err := adm.CreateTopics(ctx, 100, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	last := map[string]int64{}
	note := strings.Repeat("x", 200)
	for at := range int64(600) {
		group := fmt.Sprint("g", at%3)
		var offsets kadm.Offsets
		for p := range int32(100) {
			offsets.Add(kadm.Offset{Topic: "t", Partition: p, At: at, LeaderEpoch: -1, Metadata: note})
		}
		if committed, err := adm.CommitOffsets(ctx, group, offsets); err != nil || committed.Error() != nil {
			t.Fatal(err, committed.Error())
		}
		last[group] = at
	}
	const written = 600 * 100 * 250 // bytes at least
	for bytesIn(t, c.DataDir(), logSuffix) > written/4 {
		if ctx.Err() != nil {
			t.Fatalf("%d bytes", bytesIn(t, c.DataDir(), logSuffix))
		}
	}
	for range 2 {
		for group, at := range last {
			offsets, err := adm.FetchOffsets(ctx, group)
			if err != nil || len(offsets["t"]) != 100 {
				t.Fatalf("%d offsets: %v", len(offsets["t"]), err)
			}
			offsets.Each(func(o kadm.OffsetResponse) {
				if o.At != at || o.Metadata != note {
					t.Fatalf("%s: partition %d is at %d, not %d", group, o.Partition, o.At, at)
				}
			})
		}
		c.Restart()
		adm = kadm.NewClient(c.Client(t))
	}
}

const logSuffix = ".log"

// bytesIn sums up the files below dir whose names end so.
func bytesIn(t *testing.T, dir, suffix string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since its directory was listed
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
