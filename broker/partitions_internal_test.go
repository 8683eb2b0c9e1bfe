package broker

import (
	"math"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/internal/batch"
)

// TestTopicConfigurationsReachPartitions: what the defaults mean, and what each that acts on appends changes.
func TestTopicConfigurationsReachPartitions(t *testing.T) {
	config, _, err := meta.NewBrokerConfig(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &partitions{config: config}
	of := func(name, value string) replica.Config {
		own := map[string]string{}
		if name != "" {
			own[name] = value
		}
		return p.replicaConfig(&meta.Topic{Config: own})
	}
	d := of("", "")
	if d.Compression != nil || d.MaxDecompressed != 0 || d.TimestampBefore != 0 || d.TimestampAfter != time.Hour || !d.Durable || d.FlushAge != 0 ||
		d.LogAppendTime || d.Compacted || d.MaxMessageBytes != 1048588 || d.Log.SegmentBytes != 1<<30 || d.Log.SegmentAge != 7*24*time.Hour {
		t.Errorf("defaults: %+v", d)
	}
	for _, c := range []struct {
		name, value string
		holds       func(replica.Config) bool
	}{
		{"compression.type", "zstd", func(c replica.Config) bool { return *c.Compression == replica.Compression{Codec: batch.Zstd, Level: 3} }},
		{"compression.type", "gzip", func(c replica.Config) bool {
			return *c.Compression == replica.Compression{Codec: batch.Gzip, Level: -1}
		}},
		{"compression.type", "lz4", func(c replica.Config) bool { return *c.Compression == replica.Compression{Codec: batch.LZ4, Level: 9} }},
		{"compression.type", "snappy", func(c replica.Config) bool { return c.Compression.Codec == batch.Snappy }},
		{"compression.type", "uncompressed", func(c replica.Config) bool { return c.Compression.Codec == batch.None }},
		{"max.message.bytes", "100", func(c replica.Config) bool { return c.MaxMessageBytes == 100 }},
		{"max.decompressed.message.bytes", "1000", func(c replica.Config) bool { return c.MaxDecompressed == 1000 }},
		{"message.timestamp.type", "LogAppendTime", func(c replica.Config) bool { return c.LogAppendTime }},
		{"message.timestamp.before.max.ms", "5000", func(c replica.Config) bool { return c.TimestampBefore == 5*time.Second }},
		{"message.timestamp.before.max.ms", "0", func(c replica.Config) bool { return c.TimestampBefore > 0 && c.TimestampBefore < time.Millisecond }},
		{"message.timestamp.after.max.ms", "9223372036854775807", func(c replica.Config) bool { return c.TimestampAfter == 0 }},
		{"flush.messages", "9223372036854775807", func(c replica.Config) bool { return !c.Durable && c.FlushMessages == 0 }},
		{"flush.messages", "10", func(c replica.Config) bool { return !c.Durable && c.FlushMessages == 10 }},
		{"flush.ms", "1000", func(c replica.Config) bool { return c.FlushAge == time.Second }},
		{"cleanup.policy", "compact", func(c replica.Config) bool { return c.Compacted && !c.Deletable }},
		{"segment.bytes", "1048576", func(c replica.Config) bool { return c.Log.SegmentBytes == 1<<20 }},
		{"segment.ms", "60000", func(c replica.Config) bool { return c.Log.SegmentAge == time.Minute }},
	} {
		if got := of(c.name, c.value); !c.holds(got) {
			t.Errorf("%s=%s: %+v", c.name, c.value, got)
		}
	}
}

// TestSegmentsOfPartitionsRollApart: with a jitter the ages differ, within its bounds; without one they do not.
func TestSegmentsOfPartitionsRollApart(t *testing.T) {
	ages := map[time.Duration]bool{}
	for i := range int32(100) {
		id := replica.ID{Topic: [16]byte{1}, Partition: i}
		age := sooner(time.Hour, time.Minute, id)
		if age < 59*time.Minute || age > time.Hour {
			t.Errorf("partition %d: %s", i, age)
		}
		ages[age] = true
		if again := sooner(time.Hour, time.Minute, id); again != age {
			t.Errorf("partition %d: %s and then %s", i, age, again)
		}
		if same := sooner(time.Hour, 0, id); same != time.Hour {
			t.Errorf("partition %d without jitter: %s", i, same)
		}
		if least := sooner(time.Millisecond, math.MaxInt64, id); least != time.Millisecond {
			t.Errorf("partition %d: %s", i, least)
		}
	}
	if len(ages) < 50 {
		t.Errorf("%d ages of 100 partitions", len(ages))
	}
}
