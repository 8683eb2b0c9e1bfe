package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(1, 11, (*API).listOffsets)

// What a timestamp below zero asks for.
const (
	atLatest        = -1
	atEarliest      = -2
	atMaxTimestamp  = -3 // KIP-734
	atEarliestLocal = -4 // KIP-405
	atLatestTiered  = -5 // KIP-1005
	atPendingUpload = -6 // KIP-1023
)

// meaningSince is the version from which on a timestamp below zero has a meaning: none of these is a time before all records.
var meaningSince = map[int64]int16{atLatest: 1, atEarliest: 1, atMaxTimestamp: 7, atEarliestLocal: 8, atLatestTiered: 9, atPendingUpload: 11}

func (a *API) listOffsets(c *Call, req *kmsg.ListOffsetsRequest, resp *kmsg.ListOffsetsResponse) error {
	twice := askedTwice(req.Topics)
	for _, t := range req.Topics {
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		refused := a.allow(c, auth.Describe, auth.Topic, t.Topic)
		for _, p := range t.Partitions {
			rp := kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition, rp.Offset, rp.Timestamp, rp.LeaderEpoch = p.Partition, -1, -1, -1
			err := refused
			switch since, known := meaningSince[p.Timestamp]; {
			case refused != nil:
			case twice[coord.At{Topic: t.Topic, Partition: p.Partition}]:
				err = kerr.InvalidRequest
			case p.Timestamp < 0 && (!known || c.Version < since):
				err = kerr.UnsupportedVersion
			default:
				err = a.listOffset(t.Topic, p, req.IsolationLevel == readCommitted, &rp)
			}
			rp.ErrorCode = code(err)
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return nil
}

// askedTwice are the partitions that a request has more than once.
func askedTwice(topics []kmsg.ListOffsetsRequestTopic) map[coord.At]bool {
	asked, twice := map[coord.At]bool{}, map[coord.At]bool{}
	for _, t := range topics {
		for _, p := range t.Partitions {
			key := coord.At{Topic: t.Topic, Partition: p.Partition}
			twice[key] = asked[key]
			asked[key] = true
		}
	}
	return twice
}

func (a *API) listOffset(topic string, req kmsg.ListOffsetsRequestTopicPartition, committed bool, resp *kmsg.ListOffsetsResponseTopicPartition) error {
	p, err := a.partition(topic, meta.TopicID{}, req.Partition)
	if err != nil {
		return err
	}
	if err := p.CheckEpoch(req.CurrentLeaderEpoch); err != nil {
		return err
	}
	if req.Timestamp != atEarliest {
		p.Settle()
	}
	if resp.Offset, resp.Timestamp, err = offsetAt(p, req.Timestamp, committed); err == nil && resp.Offset >= 0 {
		resp.LeaderEpoch = p.LeaderEpoch()
	}
	return err
}

func offsetAt(p *replica.Partition, ts int64, committed bool) (offset, at int64, err error) {
	switch ts {
	case atLatest:
		if committed {
			offset, err = p.LastStableOffset()
		} else {
			offset, err = p.HighWatermark()
		}
		return offset, -1, err
	case atEarliest, atEarliestLocal:
		offset, err = p.StartOffset()
		return offset, -1, err
	case atMaxTimestamp:
		return p.MaxTime(committed)
	case atLatestTiered, atPendingUpload:
		return -1, -1, nil // nothing is tiered
	}
	return p.OffsetForTime(ts, committed)
}
