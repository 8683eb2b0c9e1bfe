package meta

import (
	"slices"

	"github.com/leatstream/leat/broker/internal/auth"
)

// maxACLs bounds the access control lists of a cluster: each takes memory on every broker.
const maxACLs = 100_000

// maxFilters bounds those of one request: each looks at every ACL.
const maxFilters = 1000

// CreateACLs decides on new access control lists. Each is accepted or refused by itself; one that exists already is
// accepted and changes nothing.
func CreateACLs(m *Image, acls []auth.ACL) (refused []error, records []Record) {
	refused = make([]error, len(acls))
	fresh := map[auth.ACL]struct{}{}
	for i, a := range acls {
		_, have := m.acls.get(a)
		_, twice := fresh[a]
		switch err := checkACL(a); {
		case err != nil:
			refused[i] = err
		case have, twice:
		case m.acls.size+len(fresh) >= maxACLs:
			refused[i] = refuse(ErrInvalidRequest, "The cluster has %d ACLs, which is the most: allow prefixes instead of single names.", maxACLs)
		default:
			fresh[a] = struct{}{}
			records = append(records, ACLCreated{a})
		}
	}
	return refused, records
}

// checkACL refuses what Kafka refuses (AclApis, AclControlManager).
func checkACL(a auth.ACL) error {
	_, isPrincipal := auth.ParsePrincipal(a.Principal)
	switch {
	case a.Kind == auth.Cluster && a.Name != auth.ClusterName:
		return refuse(ErrInvalidRequest, "The only valid name for the CLUSTER resource is %s", auth.ClusterName)
	case a.Name == "":
		return refuse(ErrInvalidRequest, "Invalid empty resource name")
	case a.Kind <= auth.AnyKind || a.Kind > auth.User:
		return refuse(ErrInvalidRequest, "Invalid resourceType %d", a.Kind)
	case a.Pattern != auth.Literal && a.Pattern != auth.Prefixed:
		return refuse(ErrInvalidRequest, "Invalid patternType %d", a.Pattern)
	case a.Operation <= auth.Any || a.Operation > auth.TwoPhaseCommit:
		return refuse(ErrInvalidRequest, "Invalid operation %d", a.Operation)
	case a.Permission != auth.Deny && a.Permission != auth.Allow:
		return refuse(ErrInvalidRequest, "Invalid permissionType %d", a.Permission)
	case !isPrincipal:
		return refuse(ErrInvalidRequest, "Could not parse principal from `%s` (no colon is present separating the principal type from the principal name)", a.Principal)
	case a.Host == "":
		return refuse(ErrInvalidRequest, "Invalid empty host: an address, or * for every host")
	default:
		return nil
	}
}

// FindACLs lists the access control lists that f finds, in a fixed order.
func (m *Image) FindACLs(f auth.Filter) []auth.ACL {
	var out []auth.ACL
	for a := range m.acls.keys() {
		if f.Matches(a) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, auth.ACL.Compare)
	return out
}

// DeleteACLs decides to remove what filters find, and tells for each what that is, or why it finds nothing.
func DeleteACLs(m *Image, filters []auth.Filter) (found [][]auth.ACL, refused []error, records []Record) {
	found, refused = make([][]auth.ACL, len(filters)), make([]error, len(filters))
	gone := map[auth.ACL]struct{}{}
	total := 0 // several filters may find the same
	for i, f := range filters {
		switch {
		case !f.Valid():
			refused[i] = refuse(ErrInvalidRequest, "The filter contains unknown elements.")
			continue
		case i >= maxFilters || total >= maxACLs:
			refused[i] = refuse(ErrInvalidRequest, "The request has too many filters, or they find too much: send it in parts.")
			continue
		}
		found[i] = m.FindACLs(f)
		total += len(found[i])
		for _, a := range found[i] {
			if _, twice := gone[a]; !twice {
				gone[a] = struct{}{}
				records = append(records, ACLDeleted{a})
			}
		}
	}
	return found, refused, records
}
