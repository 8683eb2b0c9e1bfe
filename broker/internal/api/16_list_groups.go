package api

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 5, (*API).listGroups)

const classicGroup = "classic"

func (a *API) listGroups(_ *Call, req *kmsg.ListGroupsRequest, resp *kmsg.ListGroupsResponse) error {
	all, err := a.Groups.List()
	if err != nil {
		return err
	}
	for _, d := range all {
		if !passes(req.StatesFilter, string(d.State)) || !passes(req.TypesFilter, classicGroup) {
			continue
		}
		g := kmsg.NewListGroupsResponseGroup()
		g.Group, g.ProtocolType, g.GroupState, g.GroupType = d.ID, d.ProtocolType, string(d.State), classicGroup
		resp.Groups = append(resp.Groups, g)
	}
	return nil
}

// passes tells whether a filter lets a word through; an empty one lets all.
func passes(filter []string, word string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, word) })
}
