package broker_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestScrubRuns: rot that nobody has read is counted, and who reads behind it is served.
func TestScrubRuns(t *testing.T) {
	c := brokertest.Start(t, 1, brokertest.Properties(map[string]string{"log.scrub.interval.ms": "5"}))
	ctx := testContext(t)
	cl := c.Client(t, kgo.AllowAutoTopicCreation())
	for range 3 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("a record")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if got := scrape(t, c)["leat_damage"]; got != 0 {
		t.Fatalf("%v places are damaged", got)
	}
	logs, err := filepath.Glob(filepath.Join(c.DataDir(), "*-0", "*.log"))
	if err != nil || len(logs) != 1 {
		t.Fatal(logs, err)
	}
	f, err := os.OpenFile(logs[0], os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt([]byte{0xff}, 70) // of the first batch
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	for scrape(t, c)["leat_damage"] != 1 {
		if ctx.Err() != nil {
			t.Fatal("the damage is not found")
		}
	}
	reader := c.Client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().At(1)}}))
	if got := reader.PollFetches(ctx).Records(); len(got) != 2 {
		t.Errorf("%d records behind it", len(got))
	}
}
