package meta

import (
	"strconv"
	"strings"
)

const (
	maxLong         = "9223372036854775807"
	maxDecompressed = "2147483639" // the largest array of Java
)

func gzipLevel(value string) (why string) {
	if value == "0" {
		return "Value must be from 1 to 9, or -1 for the codec's own"
	}
	return ""
}

// throttledReplicas are partition:broker,… or *.
func throttledReplicas(value string) (why string) {
	for _, v := range splitList(value) {
		partition, broker, ok := strings.Cut(v, ":")
		if v != "*" && (!ok || !isNumber(partition) || !isNumber(broker)) {
			return "must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
		}
	}
	return ""
}

func isNumber(s string) bool {
	n, err := strconv.ParseInt(s, 10, 32)
	return err == nil && n >= 0
}

// topicConfigs are the configurations of topics: Kafka's names, types, defaults and bounds (LogConfig, KIP-1030).
// A default that is Kafka's name in Broker comes from the broker; flush.messages differs on purpose (acks=all is durable).
var topicConfigs = []Def{
	{Name: "cleanup.policy", Type: List, Default: "delete", Choices: []string{"compact", "delete"}, Broker: "log.cleanup.policy",
		Doc: "What happens to old records: delete drops whole segments by time or size, compact keeps the newest record of every key."},
	{Name: "compression.type", Type: String, Default: "producer", Choices: []string{"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"}, Broker: "compression.type",
		Doc: "The compression of stored batches; producer keeps what the producer chose."},
	{Name: "compression.gzip.level", Type: Int, Default: "-1", Min: -1, Max: 9, Refuse: gzipLevel, Broker: "compression.gzip.level",
		Doc: "The level when compression.type is gzip."},
	{Name: "compression.lz4.level", Type: Int, Default: "9", Min: 1, Max: 17, Broker: "compression.lz4.level",
		Doc: "The level when compression.type is lz4."},
	{Name: "compression.zstd.level", Type: Int, Default: "3", Min: -131072, Max: 22, Broker: "compression.zstd.level",
		Doc: "The level when compression.type is zstd."},
	{Name: "delete.retention.ms", Type: Long, Default: "86400000", Broker: "log.cleaner.delete.retention.ms",
		Doc: "How long a compacted topic keeps the tombstones of deleted keys."},
	{Name: "errors.deadletterqueue.group.enable", Type: Bool, Default: "false",
		Doc: "Whether the topic takes records that share groups could not process."},
	{Name: "file.delete.delay.ms", Type: Long, Default: "60000", Broker: "log.segment.delete.delay.ms",
		Doc: "How long a file stays after it was deleted: not at all, whatever is set. Its space comes back at once, and who still reads from it may finish."},
	{Name: "flush.messages", Type: Long, Default: "1", Min: 1, Broker: "log.flush.interval.messages",
		Doc: "1: a record is acknowledged with acks=all, and visible, once it is on disk. Higher: the operating system writes when it likes, as Kafka's default has it."},
	{Name: "flush.ms", Type: Long, Default: maxLong, Broker: "log.flush.interval.ms",
		Doc: "After how long records are forced to disk when flush.messages leaves it to the operating system."},
	{Name: "follower.replication.throttled.replicas", Type: List, Refuse: throttledReplicas,
		Doc: "Replicas whose replication is throttled on the follower's side: partition:broker,… or *."},
	{Name: "index.interval.bytes", Type: Int, Default: "4096", Broker: "log.index.interval.bytes",
		Doc: "How many bytes of a segment lie between two entries of its index."},
	{Name: "leader.replication.throttled.replicas", Type: List, Refuse: throttledReplicas,
		Doc: "Replicas whose replication is throttled on the leader's side: partition:broker,… or *."},
	{Name: "local.retention.bytes", Type: Long, Default: "-2", Min: -2, Broker: "log.local.retention.bytes",
		Doc: "The local part of retention.bytes in a topic with remote storage; -2: all of it."},
	{Name: "local.retention.ms", Type: Long, Default: "-2", Min: -2, Broker: "log.local.retention.ms",
		Doc: "The local part of retention.ms in a topic with remote storage; -2: all of it."},
	{Name: "max.compaction.lag.ms", Type: Long, Default: maxLong, Min: 1, Broker: "log.cleaner.max.compaction.lag.ms",
		Doc: "After how long a record can no longer be left out of compaction."},
	{Name: "max.decompressed.message.bytes", Type: Int, Default: maxDecompressed, Min: 1, Max: 2147483639, Broker: "max.decompressed.message.bytes",
		Doc: "The largest record batch that is accepted, in bytes before compression."},
	{Name: "max.message.bytes", Type: Int, Default: "1048588", Broker: "message.max.bytes",
		Doc: "The largest record batch that is accepted, in bytes after compression."},
	{Name: "message.timestamp.after.max.ms", Type: Long, Default: "3600000", Broker: "log.message.timestamp.after.max.ms",
		Doc: "How far a record's timestamp may be ahead of the broker's clock."},
	{Name: "message.timestamp.before.max.ms", Type: Long, Default: maxLong, Broker: "log.message.timestamp.before.max.ms",
		Doc: "How far a record's timestamp may be behind the broker's clock."},
	{Name: "message.timestamp.type", Type: String, Default: "CreateTime", Choices: []string{"CreateTime", "LogAppendTime"}, Broker: "log.message.timestamp.type",
		Doc: "Whose clock stamps records: the producer's or the broker's."},
	{Name: "min.cleanable.dirty.ratio", Type: Double, Default: "0.5", Max: 1, Broker: "log.cleaner.min.cleanable.ratio",
		Doc: "How much of a compacted log is new before it is compacted again."},
	{Name: "min.compaction.lag.ms", Type: Long, Default: "0", Broker: "log.cleaner.min.compaction.lag.ms",
		Doc: "How long a record stays in a compacted topic at least."},
	{Name: "min.insync.replicas", Type: Int, Default: "1", Min: 1, Broker: "min.insync.replicas",
		Doc: "How many replicas must have a record before acks=all is answered; never more than the topic has, as in Kafka."},
	{Name: "preallocate", Type: Bool, Default: "false", Broker: "log.preallocate",
		Doc: "Whether a new segment takes its space on disk at once."},
	{Name: "remote.copy.lag.bytes", Type: Long, Default: "-1", Min: -1,
		Doc: "How many bytes of a topic with remote storage may wait to be copied to it; -1: any number."},
	{Name: "remote.copy.lag.ms", Type: Long, Default: "0", Min: -1,
		Doc: "How long a segment of a topic with remote storage waits before it is copied to it."},
	{Name: "remote.log.copy.disable", Type: Bool, Default: "false",
		Doc: "Whether a topic with remote storage stops copying to it."},
	{Name: "remote.log.delete.on.disable", Type: Bool, Default: "false",
		Doc: "Whether remote data goes when remote storage is switched off."},
	{Name: "remote.storage.enable", Type: Bool, Default: "false",
		Doc: "Whether old segments are moved to remote storage."},
	{Name: "retention.bytes", Type: Long, Default: "-1", Min: -1, Broker: "log.retention.bytes",
		Doc: "How large a partition may grow before its oldest segments go; -1: no bound."},
	{Name: "retention.ms", Type: Long, Default: "604800000", Min: -1, Broker: "log.retention.ms",
		Doc: "How long records are kept; -1: for ever."},
	{Name: "segment.bytes", Type: Int, Default: "1073741824", Min: 1048576, Broker: "log.segment.bytes",
		Doc: "How large a segment file grows before the next one is begun."},
	{Name: "segment.index.bytes", Type: Int, Default: "10485760", Min: 4, Broker: "log.index.size.max.bytes",
		Doc: "How large the index of a segment may grow."},
	{Name: "segment.jitter.ms", Type: Long, Default: "0", Broker: "log.roll.jitter.ms",
		Doc: "The most by which segment.ms is shortened at random, so that segments do not roll all at once."},
	{Name: "segment.ms", Type: Long, Default: "604800000", Min: 1, Broker: "log.roll.ms",
		Doc: "After how long a segment that is not full is closed, so that retention can reach it."},
	{Name: "unclean.leader.election.enable", Type: Bool, Default: "false", Broker: "unclean.leader.election.enable",
		Doc: "Whether a replica that is behind may lead, at the price of records, when no other is left."},
}
