package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(1, 3, (*API).describeACLs)

// errSecurityDisabled answers those who ask about rules where none are in force.
var errSecurityDisabled = worded(kerr.SecurityDisabled, "No Authorizer is configured on the broker: set authorizer.class.name=StandardAuthorizer and super.users.")

func (a *API) describeACLs(c *Call, req *kmsg.DescribeACLsRequest, resp *kmsg.DescribeACLsResponse) error {
	if err := a.allowCluster(c, auth.Describe); err != nil {
		return err
	}
	if a.Auth == nil {
		return errSecurityDisabled
	}
	f := auth.Filter{
		Kind: auth.Kind(req.ResourceType), Pattern: auth.Pattern(req.ResourcePatternType), Name: req.ResourceName, Principal: req.Principal, Host: req.Host,
		Operation: auth.Operation(req.Operation), Permission: auth.Permission(req.PermissionType),
	}
	if !f.Valid() {
		return worded(meta.ErrInvalidRequest, "The filter contains unknown elements.")
	}
	for _, acl := range a.Meta.Image().FindACLs(f) {
		last := len(resp.Resources) - 1
		if last < 0 || resp.Resources[last].ResourceName != acl.Name || resp.Resources[last].ResourceType != kmsg.ACLResourceType(acl.Kind) ||
			resp.Resources[last].ResourcePatternType != kmsg.ACLResourcePatternType(acl.Pattern) {
			r := kmsg.NewDescribeACLsResponseResource()
			r.ResourceType, r.ResourceName, r.ResourcePatternType = kmsg.ACLResourceType(acl.Kind), acl.Name, kmsg.ACLResourcePatternType(acl.Pattern)
			resp.Resources = append(resp.Resources, r)
			last++
		}
		ra := kmsg.NewDescribeACLsResponseResourceACL()
		ra.Principal, ra.Host = acl.Principal, acl.Host
		ra.Operation, ra.PermissionType = kmsg.ACLOperation(acl.Operation), kmsg.ACLPermissionType(acl.Permission)
		resp.Resources[last].ACLs = append(resp.Resources[last].ACLs, ra)
	}
	return nil
}
