package kafka

import (
	"context"
	"fmt"

	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Fetched is what a fetch brought of one partition: whole batches, as the log has them.
type Fetched struct {
	Topic         string
	Partition     int32
	Offset        int64 // the first that was wanted: records before it, in the first batch, are to be skipped
	Next          int64 // after the last record
	HighWatermark int64
	Batches       []byte

	at *int64 // the consumer's place when it was fetched: another one after a rebalance and after Seek
}

// Each calls fn for every wanted record. The record is valid only during the call.
func (f *Fetched) Each(scratch *batch.Scratch, fn func(h batch.Header, r *batch.Record) error) error {
	for rest := f.Batches; len(rest) > 0; {
		h, err := batch.ReadHeader(rest)
		if err != nil {
			return err
		}
		if !h.Control() {
			err = batch.Walk(rest, batch.Limits{}, scratch, func(r *batch.Record) error {
				if h.BaseOffset+int64(r.OffsetDelta) < f.Offset {
					return nil
				}
				return fn(h, r)
			})
			if err != nil {
				return err
			}
		}
		rest = rest[h.Size():]
	}
	return nil
}

// limits of one fetch.
const (
	fetchBytes          = 16 << 20
	fetchPartitionBytes = 1 << 20
	fetchWaitMillis     = 250
)

// place is where a partition is read.
type place struct {
	topicPartition
	offset int64
}

// fetchFrom reads places that one broker leads, waiting up to waitMillis for records. errs holds those that failed.
func (c *Client) fetchFrom(ctx context.Context, cl *kgo.Client, leader int32, places []place, waitMillis int32) (got []Fetched, errs map[topicPartition]error, err error) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = waitMillis, 1, fetchBytes
	req.SessionEpoch = -1
	byTopic := map[string]int{}
	byID := map[[16]byte]string{}
	wanted := map[topicPartition]int64{}
	for _, p := range places {
		info, err := c.topic(ctx, p.topic)
		if err != nil {
			return nil, nil, err
		}
		at, ok := byTopic[p.topic]
		if !ok {
			rt := kmsg.NewFetchRequestTopic()
			rt.Topic, rt.TopicID = p.topic, info.id
			byID[info.id] = p.topic
			at = len(req.Topics)
			byTopic[p.topic] = at
			req.Topics = append(req.Topics, rt)
		}
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = p.partition, p.offset, fetchPartitionBytes
		req.Topics[at].Partitions = append(req.Topics[at].Partitions, rp)
		wanted[p.topicPartition] = p.offset
	}
	raw, err := cl.Broker(int(leader)).Request(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	resp := raw.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, nil, err
	}
	errs = map[topicPartition]error{}
	for _, t := range resp.Topics {
		name := t.Topic
		if name == "" {
			name = byID[t.TopicID]
		}
		for _, p := range t.Partitions {
			at := topicPartition{name, p.Partition}
			f := Fetched{Topic: name, Partition: p.Partition, Offset: wanted[at], HighWatermark: p.HighWatermark}
			err := kerr.ErrorForCode(p.ErrorCode)
			if err == nil {
				f.Batches, f.Next, err = whole(p.RecordBatches, f.Offset)
			}
			if err != nil {
				errs[at] = err
				continue
			}
			got = append(got, f)
		}
	}
	return got, errs, nil
}

// whole cuts off a last batch that is not complete, checks the others, and tells where they end.
func whole(b []byte, from int64) (batches []byte, next int64, err error) {
	next = from
	end := 0
	for end < len(b) {
		h, err := batch.ReadHeader(b[end:])
		if err != nil || h.Size() > len(b)-end {
			break // the rest comes with the next fetch
		}
		if !batch.CheckCRC(b[end : end+h.Size()]) {
			return nil, from, fmt.Errorf("batch at offset %d: %w", h.BaseOffset, batch.ErrCorrupt)
		}
		end += h.Size()
		next = h.LastOffset() + 1
	}
	if len(b) > 0 && end == 0 {
		return nil, from, fmt.Errorf("no whole batch at offset %d: %w", from, batch.ErrCorrupt)
	}
	return b[:end], next, nil
}

// ReadAll reads a partition from offset to what is its end when the call begins.
func (c *Client) ReadAll(ctx context.Context, topic string, partition int32, offset int64, fn func(Fetched) error) (next int64, err error) {
	end := int64(-1)
	for attempt := 0; ; attempt++ {
		leader, _, err := c.leader(ctx, topic, partition)
		var got []Fetched
		if err == nil {
			var errs map[topicPartition]error
			at := topicPartition{topic, partition}
			got, errs, err = c.fetchFrom(ctx, c.kgo, leader, []place{{at, offset}}, 0)
			err = firstError(err, errs[at])
		}
		switch {
		case err != nil && (ctx.Err() != nil || !worthRetrying(err)):
			return offset, fmt.Errorf("read %s partition %d: %w", topic, partition, err)
		case err != nil:
			c.forget(topic)
			if err := backoff(ctx, attempt); err != nil {
				return offset, err
			}
			continue
		}
		for _, f := range got {
			if end < 0 {
				end = f.HighWatermark
			}
			if err := fn(f); err != nil {
				return offset, err
			}
			offset = f.Next
		}
		if end >= 0 && offset >= end {
			return offset, nil
		}
	}
}
