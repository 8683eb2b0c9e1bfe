package broker_test

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/datadriven"
	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = command("versions", (*story).versions)

// versions shows the range of every API.
func (s *story) versions(d *datadriven.TestData) string {
	resp := s.send(d, apiVersions()).(*kmsg.ApiVersionsResponse)
	var b strings.Builder
	for _, k := range resp.ApiKeys {
		fmt.Fprintf(&b, "%d %s %d-%d\n", k.ApiKey, kmsg.NameForKey(k.ApiKey), k.MinVersion, k.MaxVersion)
	}
	return b.String()
}

// storyTime is when every record of a story was made, ms since 1970.
const storyTime = 1_700_000_000_000

var _ = command("produce", (*story).produce)

// produce TOPIC [partition=N] [acks=N] [codec=NAME] [producer=ID/EPOCH sequence=N [id=TXN]] takes a record a line,
// KEY=VALUE or VALUE.
func (s *story) produce(d *datadriven.TestData) string {
	codec, err := batch.ParseCodec(argString(d, "codec", "none"))
	if err != nil {
		return err.Error()
	}
	build := batch.NewBuilder(codec)
	for i, l := range lines(d.Input) {
		key, value, keyed := strings.Cut(l, "=")
		if !keyed {
			build.Append(storyTime+int64(i), nil, []byte(key), nil)
			continue
		}
		build.Append(storyTime+int64(i), []byte(key), []byte(value), nil)
	}
	b, err := build.Build(nil)
	if err != nil {
		return err.Error()
	}
	req := kmsg.NewPtrProduceRequest()
	if pid, epoch := producer(d); pid >= 0 {
		batch.SetProducer(b, pid, epoch, int32(argInt(d, "sequence", 0)))
		if id := argString(d, "id", ""); id != "" {
			req.TransactionID = &id
			batch.SetTransactional(b)
		}
		batch.Seal(b)
	}
	req.Acks = int16(argInt(d, "acks", -1))
	req.TimeoutMillis = 5000
	topic := bare(d)[0]
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, TopicID: s.topicID(topic), Partitions: []kmsg.ProduceRequestTopicPartition{
		{Partition: int32(argInt(d, "partition", 0)), Records: b}}}}
	p := s.send(d, req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		out := verdict(p.ErrorCode, p.ErrorMessage)
		for _, e := range p.ErrorRecords {
			out += fmt.Sprintf("\n  record %d: %s", e.RelativeOffset, str(e.ErrorMessage))
		}
		return out
	}
	return fmt.Sprintf("at %d", p.BaseOffset)
}

var _ = command("fetch", (*story).fetch)

// fetch TOPIC [partition=N] [offset=N] [committed] shows the records of one answer.
func (s *story) fetch(d *datadriven.TestData) string {
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.MaxWaitMillis, req.SessionEpoch = 1<<20, 100, -1
	if d.HasArg("committed") {
		req.IsolationLevel = 1
	}
	topic := bare(d)[0]
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = int32(argInt(d, "partition", 0)), int64(argInt(d, "offset", 0)), 1<<20
	req.Topics = []kmsg.FetchRequestTopic{{Topic: topic, TopicID: s.topicID(topic), Partitions: []kmsg.FetchRequestTopicPartition{rp}}}
	resp := s.send(d, req).(*kmsg.FetchResponse)
	if resp.ErrorCode != 0 {
		return verdict(resp.ErrorCode, nil)
	}
	p := resp.Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		return verdict(p.ErrorCode, nil)
	}
	var b strings.Builder
	for rest := p.RecordBatches; len(rest) > 0; {
		h, err := batch.ReadHeader(rest)
		if err != nil {
			return err.Error()
		}
		if m, err := batch.ReadMarker(rest[:h.Size()]); err == nil {
			fmt.Fprintf(&b, "%d: end of %d/%d, commit %t\n", h.BaseOffset, m.ProducerID, m.ProducerEpoch, m.Commit)
			rest = rest[h.Size():]
			continue
		}
		var scratch batch.Scratch
		if err := batch.Walk(rest[:h.Size()], batch.Limits{}, &scratch, func(r *batch.Record) error {
			fmt.Fprintf(&b, "%d: ", h.BaseOffset+int64(r.OffsetDelta))
			if r.Key != nil {
				fmt.Fprintf(&b, "%s=", r.Key)
			}
			fmt.Fprintf(&b, "%s\n", r.Value)
			return nil
		}); err != nil {
			return err.Error()
		}
		rest = rest[h.Size():]
	}
	for _, x := range p.AbortedTransactions {
		fmt.Fprintf(&b, "aborted: %d from %d\n", x.ProducerID, x.FirstOffset)
	}
	fmt.Fprintf(&b, "high watermark %d, start %d", p.HighWatermark, p.LogStartOffset)
	if d.HasArg("committed") {
		fmt.Fprintf(&b, ", stable %d", p.LastStableOffset)
	}
	b.WriteString("\n")
	return b.String()
}

var times = map[string]int64{"latest": -1, "earliest": -2, "max-timestamp": -3, "earliest-local": -4}

var _ = command("list-offsets", (*story).listOffsets)

// listOffsets TOPIC at=latest|earliest|max-timestamp|+MS after the first record of the story.
func (s *story) listOffsets(d *datadriven.TestData) string {
	at := argString(d, "at", "latest")
	ts, named := times[at]
	if !named {
		ts = storyTime + number(strings.TrimPrefix(at, "+"))
	}
	req := kmsg.NewPtrListOffsetsRequest()
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Partition, rp.Timestamp, rp.CurrentLeaderEpoch = int32(argInt(d, "partition", 0)), ts, int32(argInt(d, "epoch", -1))
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic, rt.Partitions = bare(d)[0], append(rt.Partitions, rp)
	if d.HasArg("twice") {
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	p := s.send(d, req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		return verdict(p.ErrorCode, nil)
	}
	when := ""
	if p.Timestamp >= 0 {
		when = fmt.Sprintf(", time +%d", p.Timestamp-storyTime)
	}
	return fmt.Sprintf("%d%s", p.Offset, when)
}

var _ = command("delete-records", (*story).deleteRecords)

// deleteRecords TOPIC [partition=N] before=OFFSET
func (s *story) deleteRecords(d *datadriven.TestData) string {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 5000
	rp := kmsg.NewDeleteRecordsRequestTopicPartition()
	rp.Partition, rp.Offset = int32(argInt(d, "partition", 0)), int64(argInt(d, "before", -1))
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rt.Topic, rt.Partitions = bare(d)[0], append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	p := s.send(d, req).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]
	return fmt.Sprintf("%s, low watermark %d", verdict(p.ErrorCode, nil), p.LowWatermark)
}

var _ = command("epoch-end", (*story).epochEnd)

// epochEnd TOPIC epoch=N [current=N]
func (s *story) epochEnd(d *datadriven.TestData) string {
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.ReplicaID = -1
	rp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	rp.Partition = int32(argInt(d, "partition", 0))
	rp.LeaderEpoch, rp.CurrentLeaderEpoch = int32(argInt(d, "epoch", 0)), int32(argInt(d, "current", -1))
	rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
	rt.Topic, rt.Partitions = bare(d)[0], append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	p := s.send(d, req).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		return verdict(p.ErrorCode, nil)
	}
	return fmt.Sprintf("epoch %d ends at %d", p.LeaderEpoch, p.EndOffset)
}
