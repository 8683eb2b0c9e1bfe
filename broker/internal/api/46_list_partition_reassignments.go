package api

import "github.com/twmb/franz-go/pkg/kmsg"

var _ = handle(0, 0, (*API).listPartitionReassignments)

// listPartitionReassignments says that no partition is on its way to other brokers, which holds while there is one broker.
func (a *API) listPartitionReassignments(*Call, *kmsg.ListPartitionReassignmentsRequest, *kmsg.ListPartitionReassignmentsResponse) error {
	return nil
}
