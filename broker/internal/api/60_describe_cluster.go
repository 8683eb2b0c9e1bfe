package api

import (
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 2, (*API).describeCluster)

// The kinds of endpoints that may be asked for (KIP-919).
const (
	brokerEndpoint     = 1
	controllerEndpoint = 2
)

func (a *API) describeCluster(c *Call, req *kmsg.DescribeClusterRequest, resp *kmsg.DescribeClusterResponse) error {
	resp.ClusterAuthorizedOperations = math.MinInt32
	resp.EndpointType = brokerEndpoint
	switch {
	case c.Version == 0 || req.EndpointType == brokerEndpoint:
	case req.EndpointType == controllerEndpoint:
		return kerr.MismatchedEndpointType
	default:
		return kerr.UnsupportedEndpointType
	}
	m := a.Meta.Image()
	resp.ClusterID, resp.ControllerID = m.ClusterID(), m.Controller()
	for _, b := range a.brokers(c, m) {
		rb := kmsg.NewDescribeClusterResponseBroker()
		rb.NodeID, rb.Host, rb.Port, rb.Rack = b.ID, b.Host, b.Port, rack(b)
		resp.Brokers = append(resp.Brokers, rb)
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = a.clusterOperations(c)
	}
	return nil
}
