package broker

import (
	"encoding/hex"
	"hash/fnv"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/broker/internal/storage"
	"github.com/leatstream/leat/internal/batch"
)

// partitions carries the decisions of meta out on the partitions of this node.
type partitions struct {
	node     int32
	config   *meta.BrokerConfig
	replicas *replica.Manager
	logger   *slog.Logger
}

// follow opens, changes and deletes partitions so that they are as in the new image.
func (p *partitions) follow(old, image *meta.Image) {
	p.config.Follow(image)
	all := !image.SameBrokerConfig(old, p.node) // a default of all topics has changed
	for _, was := range old.Topics() {
		if image.TopicByID(was.ID) == nil {
			p.remove(was)
		}
	}
	for _, t := range image.Topics() {
		if all || old.TopicByID(t.ID) != t {
			p.open(t)
		}
	}
}

func (p *partitions) open(t *meta.Topic) {
	cfg, jitter := p.replicaConfig(t), p.config.Topic(t).Millis("segment.jitter.ms")
	for i, part := range t.Partitions {
		if slices.Contains(part.Replicas, p.node) {
			id, cfg := replica.ID{Topic: t.ID, Partition: int32(i)}, cfg
			cfg.Log.SegmentAge = sooner(cfg.Log.SegmentAge, jitter, id)
			p.replicas.Open(id, part.LeaderEpoch, cfg)
		}
	}
}

func (p *partitions) remove(t *meta.Topic) {
	for i := range t.Partitions {
		if err := p.replicas.Delete(replica.ID{Topic: t.ID, Partition: int32(i)}); err != nil {
			p.logger.Error("the files of a deleted partition stay; leat doctor names them", "topic", t.Name, "partition", i, "error", err)
		}
	}
}

// replicaConfig is what a topic's configuration means for its partitions.
func (p *partitions) replicaConfig(t *meta.Topic) replica.Config {
	v := p.config.Topic(t)
	c := replica.Config{
		Log: storage.LogConfig{
			SegmentBytes: v.Int("segment.bytes"), SegmentAge: v.Millis("segment.ms"),
			ProducerExpiry: p.config.Millis("producer.id.expiration.ms"),
		},
		MaxMessageBytes: int(v.Int("max.message.bytes")),
		MaxDecompressed: int(bound(v.Int("max.decompressed.message.bytes"), math.MaxInt32-8)),
		Compression:     compression(v),
		Durable:         v.Int("flush.messages") == 1,
		FlushMessages:   bound(v.Int("flush.messages"), math.MaxInt64),
		FlushAge:        bound(max(v.Millis("flush.ms"), time.Millisecond), math.MaxInt64),
		LogAppendTime:   v.String("message.timestamp.type") == "LogAppendTime",
		TimestampBefore: bound(max(v.Millis("message.timestamp.before.max.ms"), 1), math.MaxInt64),
		TimestampAfter:  bound(max(v.Millis("message.timestamp.after.max.ms"), 1), math.MaxInt64),
		Compacted:       slices.Contains(v.List("cleanup.policy"), "compact"),
		Deletable:       slices.Contains(v.List("cleanup.policy"), "delete"),
		Retention:       storage.Retention{Age: v.Millis("retention.ms"), Bytes: v.Int("retention.bytes")},
		Compaction: storage.Compaction{
			DirtyRatio: v.Float("min.cleanable.dirty.ratio"), Tombstones: v.Millis("delete.retention.ms"),
			MinLag: v.Millis("min.compaction.lag.ms"), MaxLag: v.Millis("max.compaction.lag.ms"),
		},
	}
	return c
}

// bound is v, or 0 where Kafka's largest value says that there is no bound.
func bound[N int64 | time.Duration](v, none N) N {
	if v >= none {
		return 0
	}
	return v
}

// compression is nil where the producer chooses.
func compression(v meta.Values) *replica.Compression {
	switch name := v.String("compression.type"); name {
	case "producer":
		return nil
	case "uncompressed":
		return &replica.Compression{Codec: batch.None}
	default:
		codec, err := batch.ParseCodec(name)
		if err != nil {
			panic(err) // the table of configurations has other choices than batch
		}
		c := &replica.Compression{Codec: codec, Level: batch.DefaultLevel}
		if codec != batch.Snappy {
			c.Level = int(v.Int("compression." + name + ".level"))
		}
		return c
	}
}

// sooner shortens the age of segments by a part of segment.jitter.ms that differs from partition to partition.
func sooner(age, jitter time.Duration, id replica.ID) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write(id.Topic[:]) // a hash does not fail
	_, _ = h.Write([]byte{byte(id.Partition), byte(id.Partition >> 8)})
	part := float64(h.Sum32()) / math.MaxUint32 * float64(jitter)
	return max(age-time.Duration(part), time.Millisecond)
}

// removeLeft finishes deletions of topics that a stop came before. Files of a topic that the metadata log never had stay:
// they are not this broker's to judge.
func removeLeft(dir *storage.Dir, deleted []meta.TopicID, logger *slog.Logger) error {
	if len(deleted) == 0 {
		return nil
	}
	of := map[string]bool{}
	for _, id := range deleted {
		of[hex.EncodeToString(id[:])] = true
	}
	names, err := dir.Logs()
	if err != nil {
		return err
	}
	for _, name := range names {
		if topic, _, _ := strings.Cut(name, "-"); !of[topic] {
			continue
		}
		logger.Info("removing the files of a deleted partition", "log", name)
		if err := dir.OpenLog(name, storage.LogConfig{}).Delete(); err != nil {
			return err
		}
	}
	return nil
}
