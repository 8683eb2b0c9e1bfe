package broker

import (
	"cmp"
	"context"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/leatstream/leat/internal/obs"
)

// loadTime is how long a scrape may spend on reading logs that were not used since the start. What it does not come to is
// left out until the next scrape.
const loadTime = 200 * time.Millisecond

// seen is a partition in a scrape.
type seen struct {
	topic    *meta.Topic
	index    int
	labels   [4]string // topic and partition, as names and values
	here     *replica.Partition
	observed replica.Observed
	ok       bool // observed is filled
}

func (n *node) writeMetrics(to io.Writer) error {
	w := obs.NewWriter(to)
	n.server.WriteMetrics(w)
	api.WriteMetrics(w)
	n.dir.WriteMetrics(w)
	n.api.Audit.WriteMetrics(w)
	n.api.Quotas.WriteMetrics(w)
	n.keeper.writeMetrics(w)
	image := n.meta.Image()
	partitions := n.observe(image)
	writeTopics(w, image, partitions)
	writePartitions(w, partitions)
	writeAsExporter(w, image, partitions)
	if err := n.writeGroups(w, image); err != nil {
		n.logger.Warn("metrics: the groups cannot be read", "error", err)
	}
	if err := n.writeTransactions(w); err != nil {
		n.logger.Warn("metrics: the transactions cannot be read", "error", err)
	}
	return w.Flush()
}

// observe looks at every partition, first at those that cost nothing.
func (n *node) observe(image *meta.Image) []seen {
	var out []seen
	for _, t := range image.Topics() {
		for i := range t.Partitions {
			s := seen{topic: t, index: i, labels: [4]string{"topic", t.Name, "partition", strconv.Itoa(i)}}
			if s.here = n.replicas.Get(replica.ID{Topic: t.ID, Partition: int32(i)}); s.here != nil {
				s.observed, s.ok = s.here.Observe(false)
			}
			out = append(out, s)
		}
	}
	began := time.Now()
	for i := range out {
		if s := &out[i]; !s.ok && s.here != nil && time.Since(began) < loadTime {
			s.observed, s.ok = s.here.Observe(true)
		}
	}
	return out
}

func writeTopics(w *obs.Writer, image *meta.Image, partitions []seen) {
	w.Gauge("leat_topics", "Topics that there are.")
	w.Int(int64(len(image.Topics())))
	w.Gauge("leat_partitions", "Partitions that there are.")
	w.Int(int64(len(partitions)))
	for _, c := range []struct {
		name, help string
		value      func(*replica.Traffic) int64
	}{
		{"leat_topic_received_bytes_total", "Bytes of records that producers wrote, as they sent them.", func(t *replica.Traffic) int64 { return t.ReceivedBytes.Load() }},
		{"leat_topic_received_records_total", "Records that producers wrote.", func(t *replica.Traffic) int64 { return t.ReceivedRecords.Load() }},
		{"leat_topic_sent_bytes_total", "Bytes of records that consumers were sent.", func(t *replica.Traffic) int64 { return t.SentBytes.Load() }},
	} {
		w.Counter(c.name, c.help)
		var sum int64
		for i, s := range partitions {
			if s.here != nil {
				sum += c.value(s.here.Traffic())
			}
			if i+1 == len(partitions) || partitions[i+1].topic != s.topic {
				w.Int(sum, "topic", s.topic.Name)
				sum = 0
			}
		}
	}
}

func writePartitions(w *obs.Writer, partitions []seen) {
	for _, g := range []struct {
		name, help string
		value      func(replica.Observed) int64
	}{
		{"leat_partition_log_bytes", "Size of the log.", func(o replica.Observed) int64 { return o.Bytes }},
		{"leat_partition_unsynced_bytes", "Bytes that a power loss would take: nobody was told that they are durable.", func(o replica.Observed) int64 { return o.Unsynced }},
		{"leat_partition_segments", "Files of the log.", func(o replica.Observed) int64 { return int64(o.Segments) }},
		{"leat_partition_end_offset", "The offset that the next record gets.", func(o replica.Observed) int64 { return o.End }},
		{"leat_partition_high_watermark", "The offset below which consumers may read.", func(o replica.Observed) int64 { return o.High }},
		{"leat_partition_stable_offset", "The offset below which no transaction is open.", func(o replica.Observed) int64 { return o.Stable }},
	} {
		eachPartition(w, g.name, g.help, partitions, func(s *seen) (int64, bool) { return g.value(s.observed), s.ok })
	}
}

// eachPartition writes a gauge with a value for each partition that has one.
func eachPartition(w *obs.Writer, name, help string, partitions []seen, value func(*seen) (int64, bool)) {
	w.Gauge(name, help)
	for i := range partitions {
		if v, ok := value(&partitions[i]); ok {
			w.Int(v, partitions[i].labels[:]...)
		}
	}
}

// writeAsExporter writes what kafka_exporter would, by its names, so that dashboards and alerts made for it work.
func writeAsExporter(w *obs.Writer, image *meta.Image, partitions []seen) {
	w.Gauge("kafka_brokers", "Number of Brokers in the Kafka Cluster.")
	w.Int(int64(len(image.Brokers())))
	w.Gauge("kafka_broker_info", "Information about the Kafka Broker.")
	for _, b := range image.Brokers() {
		w.Int(1, "id", strconv.Itoa(int(b.ID)), "address", net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))))
	}
	w.Gauge("kafka_topic_partitions", "Number of partitions for this Topic")
	for _, t := range image.Topics() {
		w.Int(int64(len(t.Partitions)), "topic", t.Name)
	}
	flag := func(yes bool) int64 {
		if yes {
			return 1
		}
		return 0
	}
	for _, g := range []struct {
		name, help string
		value      func(*seen, meta.Partition) (int64, bool)
	}{
		{"kafka_topic_partition_current_offset", "Current Offset of a Broker at Topic/Partition", func(s *seen, _ meta.Partition) (int64, bool) { return s.observed.High, s.ok }},
		{"kafka_topic_partition_oldest_offset", "Oldest Offset of a Broker at Topic/Partition", func(s *seen, _ meta.Partition) (int64, bool) { return s.observed.Start, s.ok }},
		{"kafka_topic_partition_leader", "Leader Broker ID of this Topic/Partition", func(_ *seen, p meta.Partition) (int64, bool) { return int64(p.Leader), true }},
		{"kafka_topic_partition_replicas", "Number of Replicas for this Topic/Partition", func(_ *seen, p meta.Partition) (int64, bool) { return int64(len(p.Replicas)), true }},
		{"kafka_topic_partition_in_sync_replica", "Number of In-Sync Replicas for this Topic/Partition", func(_ *seen, p meta.Partition) (int64, bool) { return int64(len(p.ISR)), true }},
		{"kafka_topic_partition_leader_is_preferred", "1 if Topic/Partition is using the Preferred Broker", func(_ *seen, p meta.Partition) (int64, bool) {
			return flag(len(p.Replicas) > 0 && p.Leader == p.Replicas[0]), true
		}},
		{"kafka_topic_partition_under_replicated_partition", "1 if Topic/Partition is under Replicated", func(_ *seen, p meta.Partition) (int64, bool) { return flag(len(p.ISR) < len(p.Replicas)), true }},
	} {
		eachPartition(w, g.name, g.help, partitions, func(s *seen) (int64, bool) { return g.value(s, s.topic.Partitions[s.index]) })
	}
}

// behind is how far a group has come in a partition.
type behind struct {
	group, topic string
	partition    int32
	offset       int64 // -1: nothing is committed
	lag          int64 // -1: not known
}

// writeGroups writes the groups, with how far they are behind.
func (n *node) writeGroups(w *obs.Writer, image *meta.Image) error {
	groups, err := n.groups.List()
	if err != nil {
		return err
	}
	type sort struct{ kind, state string }
	sorts := map[sort]int64{}
	var rows []behind
	w.Gauge("kafka_consumergroup_members", "Amount of members in a consumer group")
	for _, g := range groups {
		sorts[sort{g.Kind, string(g.State)}]++
		w.Int(int64(g.Size), "consumergroup", g.ID)
		offsets, err := n.groups.Offsets(context.Background(), g.ID)
		if err != nil {
			continue // deleted since
		}
		rows = n.appendBehind(rows, image, g.ID, offsets)
	}
	w.Gauge("leat_groups", "Groups by type and state.")
	for _, s := range slices.SortedFunc(maps.Keys(sorts), func(a, b sort) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.state, b.state)) }) {
		w.Int(sorts[s], "type", s.kind, "state", s.state)
	}
	writeBehind(w, rows)
	return nil
}

// writeTransactions writes the transactional ids by state, and how long the oldest open transaction has been so: consumers
// of committed records wait for it.
func (n *node) writeTransactions(w *obs.Writer) error {
	all, err := n.txns.List()
	if err != nil {
		return err
	}
	states, oldest, now := map[txn.State]int64{}, time.Duration(0), time.Now()
	for _, t := range all {
		states[t.State]++
		if t.State == txn.Ongoing || t.State == txn.PrepareCommit || t.State == txn.PrepareAbort {
			oldest = max(oldest, now.Sub(t.Started))
		}
	}
	w.Gauge("leat_transactional_ids", "Transactional ids by state.")
	for _, state := range slices.Sorted(maps.Keys(states)) {
		w.Int(states[state], "state", string(state))
	}
	w.Gauge("leat_transaction_oldest_seconds", "Age of the oldest transaction that is open; 0: none is.")
	w.Value(oldest.Seconds())
	return nil
}

// appendBehind adds every partition of the topics of which the group has committed something: one without a commit has -1
// twice, on which alerts made for kafka_exporter rest. Topics that there are no more are left out. offsets are sorted by topic.
func (n *node) appendBehind(rows []behind, image *meta.Image, group string, offsets []coord.Committed) []behind {
	for len(offsets) > 0 {
		topic := offsets[0].Topic
		committed := map[int32]int64{}
		for ; len(offsets) > 0 && offsets[0].Topic == topic; offsets = offsets[1:] {
			if offsets[0].At >= 0 {
				committed[offsets[0].Partition] = offsets[0].At
			}
		}
		t := image.Topic(topic)
		if t == nil || len(committed) == 0 {
			continue
		}
		for i := range t.Partitions {
			row := behind{group: group, topic: topic, partition: int32(i), offset: -1, lag: -1}
			if at, ok := committed[row.partition]; ok {
				row.offset, row.lag = at, n.lag(replica.ID{Topic: t.ID, Partition: row.partition}, at)
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// lag is how many records of a partition a group that is at an offset has not read, or -1 if that is not known.
func (n *node) lag(id replica.ID, at int64) int64 {
	if p := n.replicas.Get(id); p != nil {
		if seen, ok := p.Observe(false); ok {
			return max(seen.High-at, 0)
		}
	}
	return -1
}

func writeBehind(w *obs.Writer, rows []behind) {
	w.Gauge("kafka_consumergroup_current_offset", "Current Offset of a ConsumerGroup at Topic/Partition")
	for _, r := range rows {
		w.Int(r.offset, "consumergroup", r.group, "topic", r.topic, "partition", strconv.Itoa(int(r.partition)))
	}
	w.Gauge("kafka_consumergroup_lag", "Current Approximate Lag of a ConsumerGroup at Topic/Partition")
	for _, r := range rows {
		w.Int(r.lag, "consumergroup", r.group, "topic", r.topic, "partition", strconv.Itoa(int(r.partition)))
	}
	sums := func(name, help string, value func(behind) int64) {
		w.Gauge(name, help)
		var sum int64
		for i, r := range rows {
			sum += max(value(r), 0)
			if i+1 == len(rows) || rows[i+1].group != r.group || rows[i+1].topic != r.topic {
				w.Int(sum, "consumergroup", r.group, "topic", r.topic)
				sum = 0
			}
		}
	}
	sums("kafka_consumergroup_current_offset_sum", "Current Offset of a ConsumerGroup at Topic for all partitions", func(r behind) int64 { return r.offset })
	sums("kafka_consumergroup_lag_sum", "Current Approximate Lag of a ConsumerGroup at Topic for all partitions", func(r behind) int64 { return r.lag })
}
