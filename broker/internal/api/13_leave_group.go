package api

import (
	"sync"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 5, (*API).leaveGroup)

func (a *API) leaveGroup(c *Call, req *kmsg.LeaveGroupRequest, resp *kmsg.LeaveGroupResponse) error {
	if err := a.allow(c, auth.Read, auth.Group, req.Group); err != nil {
		return err
	}
	if req.Group == "" {
		return kerr.InvalidGroupID
	}
	if c.Version < 3 {
		a.Groups.Leave(c.Context, req.Group, req.MemberID, nil, c.Park())
		return nil
	}
	if len(req.Members) == 0 {
		return nil
	}
	resp.Members = make([]kmsg.LeaveGroupResponseMember, len(req.Members))
	done := c.Park()
	var mu sync.Mutex
	left := len(req.Members)
	for i, m := range req.Members {
		r := &resp.Members[i]
		*r = kmsg.NewLeaveGroupResponseMember()
		r.MemberID, r.InstanceID = m.MemberID, m.InstanceID
		a.Groups.Leave(c.Context, req.Group, m.MemberID, m.InstanceID, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			r.ErrorCode = code(err)
			if left--; left == 0 {
				done(nil)
			}
		})
	}
	return nil
}
