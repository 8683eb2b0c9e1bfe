package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 4, (*API).heartbeat)

func (a *API) heartbeat(c *Call, req *kmsg.HeartbeatRequest, _ *kmsg.HeartbeatResponse) error {
	if err := a.allow(c, auth.Read, auth.Group, req.Group); err != nil {
		return err
	}
	return a.Groups.Heartbeat(c.Context, req.Group, req.MemberID, req.InstanceID, req.Generation)
}
