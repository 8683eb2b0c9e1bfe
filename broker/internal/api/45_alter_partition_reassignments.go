package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 1, (*API).alterPartitionReassignments)

func (a *API) alterPartitionReassignments(c *Call, req *kmsg.AlterPartitionAssignmentsRequest, resp *kmsg.AlterPartitionAssignmentsResponse) error {
	if err := a.allowCluster(c, auth.Alter); err != nil {
		return err
	}
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	var steps []step
	resp.Topics = make([]kmsg.AlterPartitionAssignmentsResponseTopic, len(req.Topics))
	for i, t := range req.Topics {
		rt := &resp.Topics[i]
		rt.Topic, rt.Partitions = t.Topic, make([]kmsg.AlterPartitionAssignmentsResponseTopicPartition, len(t.Partitions))
		for j, p := range t.Partitions {
			rp := &rt.Partitions[j]
			rp.Partition = p.Partition
			steps = append(steps, step{
				decide: func(m *meta.Image) ([]meta.Record, error) {
					if p.Replicas == nil {
						return nil, meta.CancelReassignment(m, t.Topic, p.Partition)
					}
					return meta.Reassign(m, t.Topic, p.Partition, p.Replicas)
				},
				answer: func(err error) { rp.ErrorCode, rp.ErrorMessage = refusal(err) },
			})
		}
	}
	a.proposeEach(c, false, steps)
	return nil
}
