package api

import (
	"sync"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 3, (*API).deleteGroups)

func (a *API) deleteGroups(c *Call, req *kmsg.DeleteGroupsRequest, resp *kmsg.DeleteGroupsResponse) error {
	if len(req.Groups) == 0 {
		return nil
	}
	resp.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(req.Groups))
	done := c.Park()
	var mu sync.Mutex
	left := len(req.Groups)
	for i, id := range req.Groups {
		g := &resp.Groups[i]
		*g = kmsg.NewDeleteGroupsResponseGroup()
		g.Group = id
		deleted := func(err error) {
			mu.Lock()
			defer mu.Unlock()
			g.ErrorCode, g.ErrorMessage = refusal(err)
			if left--; left == 0 {
				done(nil)
			}
		}
		if err := a.allow(c, auth.Delete, auth.Group, id); err != nil {
			deleted(err)
			continue
		}
		a.Groups.Delete(c.Context, id, deleted)
	}
	return nil
}
