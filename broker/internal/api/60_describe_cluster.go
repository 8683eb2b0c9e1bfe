package api

import (
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 2, (*API).describeCluster)

const brokerEndpoint = 1

func (a *API) describeCluster(c *Call, req *kmsg.DescribeClusterRequest, resp *kmsg.DescribeClusterResponse) error {
	resp.ClusterAuthorizedOperations = math.MinInt32
	resp.EndpointType = brokerEndpoint
	if c.Version >= 1 && req.EndpointType != brokerEndpoint {
		resp.ErrorCode, resp.ErrorMessage = refusal(kerr.MismatchedEndpointType)
		return nil
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
