package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 5, (*API).syncGroup)

func (a *API) syncGroup(c *Call, req *kmsg.SyncGroupRequest, resp *kmsg.SyncGroupResponse) error {
	if err := a.allow(c, auth.Read, auth.Group, req.Group); err != nil {
		resp.MemberAssignment = []byte{}
		return err
	}
	if c.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil) {
		resp.MemberAssignment = []byte{}
		return kerr.InconsistentGroupProtocol // from here on clients say both (KIP-559)
	}
	s := group.Sync{
		MemberID: req.MemberID, Instance: req.InstanceID, Generation: req.Generation,
		ProtocolType: orEmpty(req.ProtocolType), Protocol: orEmpty(req.Protocol), Assignments: map[string][]byte{},
	}
	for _, g := range req.GroupAssignment {
		s.Assignments[g.MemberID] = g.MemberAssignment
	}
	finish := parkWithConnection(c, func(g *group.Synced) {
		resp.MemberAssignment = []byte{}
		if g != nil {
			resp.ProtocolType, resp.Protocol = kmsg.StringPtr(g.ProtocolType), kmsg.StringPtr(g.Protocol)
			resp.MemberAssignment = append(resp.MemberAssignment, g.Assignment...)
		}
	})
	a.Groups.Sync(c.Context, req.Group, s, finish)
	return nil
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
