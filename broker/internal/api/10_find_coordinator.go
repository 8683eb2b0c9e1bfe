package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 6, (*API).findCoordinator)

// Kinds of coordinators.
const (
	coordinatesGroups       = 0
	coordinatesTransactions = 1
)

func (a *API) findCoordinator(c *Call, req *kmsg.FindCoordinatorRequest, resp *kmsg.FindCoordinatorResponse) error {
	keys := req.CoordinatorKeys
	if c.Version < 4 {
		keys = []string{req.CoordinatorKey}
	}
	for _, key := range keys {
		k := kmsg.NewFindCoordinatorResponseCoordinator()
		k.Key, k.NodeID, k.Port = key, -1, -1
		if err := a.coordinator(c, req.CoordinatorType, key); err != nil {
			k.ErrorCode, k.ErrorMessage = refusal(err)
		} else {
			k.NodeID = a.NodeID
			k.Host, k.Port = a.Advertised(c)
		}
		resp.Coordinators = append(resp.Coordinators, k)
	}
	if c.Version < 4 {
		k := resp.Coordinators[0]
		resp.ErrorCode, resp.ErrorMessage, resp.NodeID, resp.Host, resp.Port = k.ErrorCode, k.ErrorMessage, k.NodeID, k.Host, k.Port
	}
	return nil
}

// coordinator is this broker, for groups and transactions. Share groups are not served.
func (a *API) coordinator(c *Call, kind int8, key string) error {
	if err := a.allowCoordinator(c, kind, key); err != nil {
		return err
	}
	switch kind {
	case coordinatesGroups:
		return a.Groups.Ready(c.Context)
	case coordinatesTransactions:
		return a.Txns.Ready(c.Context)
	}
	return kerr.InvalidRequest
}

func (a *API) allowCoordinator(c *Call, kind int8, key string) error {
	switch kind {
	case coordinatesGroups:
		return a.allow(c, auth.Describe, auth.Group, key)
	case coordinatesTransactions:
		return a.allow(c, auth.Describe, auth.TransactionalID, key)
	default: // share groups' state is asked for by brokers only
		return a.allowCluster(c, auth.ClusterAction)
	}
}
