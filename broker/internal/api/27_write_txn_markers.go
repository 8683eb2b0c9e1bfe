package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/broker/internal/txn"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(1, 2, (*API).writeTxnMarkers)

// writeTxnMarkers ends transactions in partitions at the word of a coordinator, or of a tool that aborts a hanging one.
func (a *API) writeTxnMarkers(c *Call, req *kmsg.WriteTxnMarkersRequest, resp *kmsg.WriteTxnMarkersResponse) error {
	refused := int16(0)
	if !a.mayCluster(c, auth.Alter) {
		refused = code(a.allowCluster(c, auth.ClusterAction))
	}
	partitions := 0
	for _, m := range req.Markers {
		rm := kmsg.NewWriteTxnMarkersResponseMarker()
		rm.ProducerID = m.ProducerID
		for _, t := range m.Topics {
			rt := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rt.Partitions = append(rt.Partitions, kmsg.WriteTxnMarkersResponseMarkerTopicPartition{Partition: p, ErrorCode: refused})
			}
			partitions += len(t.Partitions)
			rm.Topics = append(rm.Topics, rt)
		}
		resp.Markers = append(resp.Markers, rm)
	}
	if refused != 0 {
		return nil
	}
	all := gather(partitions, c.Park())
	for i, m := range req.Markers {
		marker := replica.Marker{
			ProducerID: m.ProducerID, ProducerEpoch: m.ProducerEpoch, Commit: m.Committed, CoordinatorEpoch: m.CoordinatorEpoch,
			Version: int16(m.TransactionVersion),
		}
		for j, t := range m.Topics {
			for k, p := range t.Partitions {
				at := &resp.Markers[i].Topics[j].Partitions[k]
				a.Txns.Mark(txn.Partition{Topic: t.Topic, Index: p}, marker, func(err error) {
					all(func() { at.ErrorCode = code(err) })
				})
			}
		}
	}
	all(nil)
	return nil
}
