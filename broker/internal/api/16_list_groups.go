package api

import (
	"slices"
	"strings"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 5, (*API).listGroups)

func (a *API) listGroups(c *Call, req *kmsg.ListGroupsRequest, resp *kmsg.ListGroupsResponse) error {
	all, err := a.Groups.List()
	if err != nil {
		return err
	}
	everything := a.mayCluster(c, auth.Describe)
	for _, d := range all {
		if !everything && !a.may(c, auth.Describe, auth.Group, d.ID) {
			continue
		}
		if !passes(req.StatesFilter, string(d.State)) || !passes(req.TypesFilter, d.Kind) {
			continue
		}
		g := kmsg.NewListGroupsResponseGroup()
		g.Group, g.ProtocolType, g.GroupState, g.GroupType = d.ID, d.ProtocolType, string(d.State), d.Kind
		resp.Groups = append(resp.Groups, g)
	}
	return nil
}

// passes tells whether a filter lets a word through; an empty one lets all.
func passes(filter []string, word string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, word) })
}
