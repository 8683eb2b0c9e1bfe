package api

import "github.com/twmb/franz-go/pkg/kmsg"

var _ = handle(0, 5, (*API).leaveGroup)

func (a *API) leaveGroup(c *Call, req *kmsg.LeaveGroupRequest, resp *kmsg.LeaveGroupResponse) error {
	if c.Version < 3 {
		return a.Groups.Leave(c.Context, req.Group, req.MemberID, nil)
	}
	for _, m := range req.Members {
		rm := kmsg.NewLeaveGroupResponseMember()
		rm.MemberID, rm.InstanceID = m.MemberID, m.InstanceID
		rm.ErrorCode = code(a.Groups.Leave(c.Context, req.Group, m.MemberID, m.InstanceID))
		resp.Members = append(resp.Members, rm)
	}
	return nil
}
