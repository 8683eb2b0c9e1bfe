package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(1, 3, (*API).createACLs)

func (a *API) createACLs(c *Call, req *kmsg.CreateACLsRequest, resp *kmsg.CreateACLsResponse) error {
	acls := make([]auth.ACL, len(req.Creations))
	for i, r := range req.Creations {
		acls[i] = auth.ACL{
			Kind: auth.Kind(r.ResourceType), Pattern: auth.Pattern(r.ResourcePatternType), Name: r.ResourceName, Principal: r.Principal, Host: r.Host,
			Operation: auth.Operation(r.Operation), Permission: auth.Permission(r.PermissionType),
		}
	}
	verdicts := make([]error, len(acls))
	err := a.allowCluster(c, auth.Alter)
	if err == nil && a.Auth == nil {
		err = errSecurityDisabled
	}
	if err == nil {
		_, err = a.Meta.Propose(c.Context, func(m *meta.Image) (records []meta.Record, _ error) {
			verdicts, records = meta.CreateACLs(m, acls)
			return records, nil
		})
	}
	for _, verdict := range verdicts {
		r := kmsg.NewCreateACLsResponseResult()
		if verdict == nil {
			verdict = err
		}
		r.ErrorCode, r.ErrorMessage = refusal(verdict)
		resp.Results = append(resp.Results, r)
	}
	return nil
}
