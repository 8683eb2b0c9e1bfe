package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 0, (*API).unregisterBroker)

// unregisterBroker forgets brokers that are gone. The one that answers is not.
func (a *API) unregisterBroker(c *Call, req *kmsg.UnregisterBrokerRequest, _ *kmsg.UnregisterBrokerResponse) error {
	if err := a.allowCluster(c, auth.Alter); err != nil {
		return err
	}
	if _, ok := a.Meta.Image().Broker(req.BrokerID); !ok {
		return worded(kerr.BrokerIDNotRegistered, "Broker ID %d is not registered.", req.BrokerID)
	}
	return worded(kerr.InvalidRequest, "Broker %d is running and holds partitions: only a broker that is gone can be unregistered.", req.BrokerID)
}
