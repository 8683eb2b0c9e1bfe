package api

import (
	"errors"
	"math"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 6, (*API).describeGroups)

func (a *API) describeGroups(c *Call, req *kmsg.DescribeGroupsRequest, resp *kmsg.DescribeGroupsResponse) error {
	for _, id := range req.Groups {
		d, err := a.describeGroup(c, id)
		g := kmsg.NewDescribeGroupsResponseGroup()
		g.Group, g.State, g.ProtocolType, g.Protocol, g.AuthorizedOperations = id, string(d.State), d.ProtocolType, d.Protocol, math.MinInt32
		if errors.Is(err, kerr.GroupIDNotFound) && c.Version < 6 {
			err = nil // until then a group that does not exist is Dead
		}
		if err != nil {
			g.ErrorCode, g.ErrorMessage = refusal(err)
		} else if req.IncludeAuthorizedOperations {
			g.AuthorizedOperations = a.authorizedOperations(c, auth.Group, id)
		}
		for _, m := range d.Members {
			gm := kmsg.NewDescribeGroupsResponseGroupMember()
			gm.MemberID, gm.InstanceID, gm.ClientID, gm.ClientHost = m.ID, m.Instance, m.ClientID, m.ClientHost
			gm.ProtocolMetadata, gm.MemberAssignment = append([]byte{}, m.Metadata...), append([]byte{}, m.Assignment...)
			g.Members = append(g.Members, gm)
		}
		resp.Groups = append(resp.Groups, g)
	}
	return nil
}

func (a *API) describeGroup(c *Call, id string) (coord.Described, error) {
	if err := a.allow(c, auth.Describe, auth.Group, id); err != nil {
		return coord.Described{}, err
	}
	return a.Groups.Describe(c.Context, id)
}
