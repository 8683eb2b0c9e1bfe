package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(1, 3, (*API).deleteACLs)

func (a *API) deleteACLs(c *Call, req *kmsg.DeleteACLsRequest, resp *kmsg.DeleteACLsResponse) error {
	filters := make([]auth.Filter, len(req.Filters))
	for i, r := range req.Filters {
		filters[i] = auth.Filter{
			Kind: auth.Kind(r.ResourceType), Pattern: auth.Pattern(r.ResourcePatternType), Name: r.ResourceName, Principal: r.Principal, Host: r.Host,
			Operation: auth.Operation(r.Operation), Permission: auth.Permission(r.PermissionType),
		}
	}
	found, verdicts := make([][]auth.ACL, len(filters)), make([]error, len(filters))
	err := a.allowCluster(c, auth.Alter)
	if err == nil && a.Auth == nil {
		err = errSecurityDisabled
	}
	if err == nil {
		_, err = a.Meta.Propose(c.Context, func(m *meta.Image) (records []meta.Record, _ error) {
			found, verdicts, records = meta.DeleteACLs(m, filters)
			return records, nil
		})
	}
	for i, verdict := range verdicts {
		r := kmsg.NewDeleteACLsResponseResult()
		if verdict == nil {
			verdict = err
		}
		if r.ErrorCode, r.ErrorMessage = refusal(verdict); verdict == nil {
			r.MatchingACLs = deletedACLs(found[i])
		}
		resp.Results = append(resp.Results, r)
	}
	return nil
}

func deletedACLs(acls []auth.ACL) (out []kmsg.DeleteACLsResponseResultMatchingACL) {
	for _, acl := range acls {
		r := kmsg.NewDeleteACLsResponseResultMatchingACL()
		r.ResourceType, r.ResourceName, r.ResourcePatternType = kmsg.ACLResourceType(acl.Kind), acl.Name, kmsg.ACLResourcePatternType(acl.Pattern)
		r.Principal, r.Host = acl.Principal, acl.Host
		r.Operation, r.PermissionType = kmsg.ACLOperation(acl.Operation), kmsg.ACLPermissionType(acl.Permission)
		out = append(out, r)
	}
	return out
}
