package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 2, (*API).describeQuorum)

// metadataLog is what Kafka calls the metadata log where it shows it.
const metadataLog = "__cluster_metadata"

// describeQuorum tells who keeps the metadata log: this node, alone, always caught up with itself.
func (a *API) describeQuorum(c *Call, req *kmsg.DescribeQuorumRequest, resp *kmsg.DescribeQuorumResponse) error {
	if err := a.allowCluster(c, auth.Describe); err != nil {
		return err
	}
	for _, t := range req.Topics {
		rt := kmsg.NewDescribeQuorumResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewDescribeQuorumResponseTopicPartition()
			rp.Partition = p.Partition
			if t.Topic == metadataLog && p.Partition == 0 {
				a.describeMetadataLog(&rp)
			} else {
				rp.ErrorCode, rp.ErrorMessage = refusal(kerr.UnknownTopicOrPartition)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	for _, b := range a.brokers(c, a.Meta.Image()) {
		resp.Nodes = append(resp.Nodes, quorumNode(b))
	}
	return nil
}

func (a *API) describeMetadataLog(rp *kmsg.DescribeQuorumResponseTopicPartition) {
	end, now := a.Meta.Offset(), a.clock().UnixMilli()
	rp.LeaderID, rp.HighWatermark = a.Meta.Image().Controller(), end
	self := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
	self.ReplicaID, self.LogEndOffset, self.LastFetchTimestamp, self.LastCaughtUpTimestamp = a.NodeID, end, now, now
	rp.CurrentVoters = append(rp.CurrentVoters, self)
}

func quorumNode(b meta.Broker) kmsg.DescribeQuorumResponseNode {
	n, l := kmsg.NewDescribeQuorumResponseNode(), kmsg.NewDescribeQuorumResponseNodeListener()
	l.Name, l.Host, l.Port = "CONTROLLER", b.Host, uint16(b.Port)
	n.NodeID, n.Listeners = b.ID, append(n.Listeners, l)
	return n
}
