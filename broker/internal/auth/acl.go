package auth

import (
	"cmp"
	"strings"
)

// ACL lets or forbids somebody something on the resources of a pattern. Equal ACLs are one.
type ACL struct {
	Kind       Kind
	Pattern    Pattern // Literal or Prefixed
	Name       string  // as a Literal "*": every name
	Principal  string  // Type:Name; "User:*": everybody
	Host       string  // an address, or "*"
	Operation  Operation
	Permission Permission
}

// Filter finds ACLs. A nil string and the Any of each word stand for all.
type Filter struct {
	Kind       Kind
	Pattern    Pattern // also AnyPattern and Match
	Name       *string
	Principal  *string
	Host       *string
	Operation  Operation
	Permission Permission
}

// Valid tells whether f consists of words that Kafka has.
func (f Filter) Valid() bool {
	return f.Kind >= AnyKind && f.Kind <= User && f.Pattern >= AnyPattern && f.Pattern <= Prefixed &&
		f.Operation >= Any && f.Operation <= TwoPhaseCommit && f.Permission >= AnyPermission && f.Permission <= Allow
}

// Matches tells whether f finds a.
func (f Filter) Matches(a ACL) bool {
	return (f.Kind == AnyKind || f.Kind == a.Kind) &&
		(f.Operation == Any || f.Operation == a.Operation) &&
		(f.Permission == AnyPermission || f.Permission == a.Permission) &&
		(f.Principal == nil || *f.Principal == a.Principal) &&
		(f.Host == nil || *f.Host == a.Host) &&
		f.matchesName(a)
}

func (f Filter) matchesName(a ACL) bool {
	if f.Pattern != AnyPattern && f.Pattern != Match && f.Pattern != a.Pattern {
		return false
	}
	switch {
	case f.Name == nil:
		return true
	case f.Pattern != Match:
		return *f.Name == a.Name
	case a.Pattern == Prefixed:
		return strings.HasPrefix(*f.Name, a.Name)
	default:
		return *f.Name == a.Name || a.Name == Wildcard
	}
}

// implies tells whether a, whose resource, principal and host fit, speaks about op. What one may read, write, delete or
// alter one may describe; but a denial denies what it says and no more.
func (e entry) implies(op Operation) bool {
	if e.operation == All || e.operation == op {
		return true
	}
	if e.permission != Allow {
		return false
	}
	switch op {
	case Describe:
		return e.operation == Read || e.operation == Write || e.operation == Delete || e.operation == Alter
	case DescribeConfigs:
		return e.operation == AlterConfigs
	default:
		return false
	}
}

// Compare orders ACLs by resource, then by whom they are about.
func (a ACL) Compare(b ACL) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Pattern, b.Pattern), cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Permission, b.Permission))
}
