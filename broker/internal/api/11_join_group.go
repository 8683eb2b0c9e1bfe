package api

import (
	"cmp"
	"time"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 9, (*API).joinGroup)

func (a *API) joinGroup(c *Call, req *kmsg.JoinGroupRequest, resp *kmsg.JoinGroupResponse) error {
	resp.Generation = -1
	if c.Version < 7 {
		resp.Protocol = kmsg.StringPtr("") // null comes with version 7
	}
	if err := a.allow(c, auth.Read, auth.Group, req.Group); err != nil {
		return err
	}
	session := time.Duration(req.SessionTimeoutMillis) * time.Millisecond
	rebalance := time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond
	if c.Version == 0 {
		rebalance = session
	}
	j := group.Join{
		MemberID: req.MemberID, Instance: req.InstanceID, ClientID: c.ClientID, ClientHost: "/" + c.ClientHost,
		SessionTimeout: session, RebalanceTimeout: rebalance, ProtocolType: req.ProtocolType,
		KnownIDs: c.Version >= 4, CanSkip: c.Version >= 9,
	}
	for _, p := range req.Protocols {
		j.Protocols = append(j.Protocols, group.Protocol{Name: p.Name, Metadata: p.Metadata})
	}
	finish := parkWithConnection(c, func(g *group.Joined) {
		resp.MemberID = req.MemberID
		if g != nil {
			fillJoined(resp, g)
		}
	})
	a.Groups.Join(c.Context, req.Group, j, finish)
	return nil
}

func fillJoined(resp *kmsg.JoinGroupResponse, g *group.Joined) {
	resp.MemberID, resp.Generation, resp.LeaderID, resp.SkipAssignment = g.MemberID, g.Generation, g.Leader, g.SkipAssignment
	if g.Protocol != "" {
		resp.Protocol, resp.ProtocolType = kmsg.StringPtr(g.Protocol), kmsg.StringPtr(g.ProtocolType)
	}
	for _, m := range g.Members {
		rm := kmsg.NewJoinGroupResponseMember()
		rm.MemberID, rm.InstanceID = m.ID, m.Instance
		for _, p := range m.Protocols {
			if p.Name == cmp.Or(g.Protocol, p.Name) {
				rm.ProtocolMetadata = p.Metadata
				break
			}
		}
		resp.Members = append(resp.Members, rm)
	}
}
