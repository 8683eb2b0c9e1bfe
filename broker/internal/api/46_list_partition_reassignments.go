package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 0, (*API).listPartitionReassignments)

// listPartitionReassignments says that no partition is on its way to other brokers, which holds while there is one broker.
func (a *API) listPartitionReassignments(c *Call, _ *kmsg.ListPartitionReassignmentsRequest, _ *kmsg.ListPartitionReassignmentsResponse) error {
	return a.allowCluster(c, auth.Describe)
}
