package auth

import (
	"iter"
	"slices"
	"strings"
	"sync/atomic"
)

// Standard decides by ACLs, as Kafka's StandardAuthorizer does: super users may do everything; else one denial that
// fits outweighs every allowance, and what no ACL allows is denied.
type Standard struct {
	super   map[Principal]bool
	noACL   bool // the answer for a resource that no ACL is about (allow.everyone.if.no.acl.found)
	current atomic.Pointer[index]
}

// NewStandard returns an authorizer that has no ACLs yet.
func NewStandard(superUsers []Principal, allowEveryoneIfNoACL bool) *Standard {
	s := &Standard{super: map[Principal]bool{}, noACL: allowEveryoneIfNoACL}
	for _, p := range superUsers {
		s.super[p] = true
	}
	s.Follow(func(func(ACL) bool) {})
	return s
}

// Follow decides by these ACLs from now on.
func (s *Standard) Follow(acls iter.Seq[ACL]) { s.current.Store(newIndex(acls)) }

// everybody is the principal of ACLs for all.
var everybody = Principal{"User", Wildcard}

// Allowed implements Authorizer.
func (s *Standard) Allowed(who Principal, host string, op Operation, kind Kind, name string) bool {
	if who == (Principal{}) {
		who = Anonymous
	}
	if s.super[who] {
		return true
	}
	ix := s.current.Load()
	v := verdict{who: who, host: host, op: op}
	v.hear(ix.resources[resource{kind, Literal, name}])
	v.hear(ix.resources[resource{kind, Literal, Wildcard}])
	for _, n := range ix.prefixes[kind] {
		if n > len(name) {
			break
		}
		v.hear(ix.resources[resource{kind, Prefixed, name[:n]}])
	}
	switch {
	case v.denied:
		return false
	case v.allowed:
		return true
	default:
		return s.noACL && !v.heard
	}
}

// AllowedSomewhere implements Authorizer. Here nothing implies anything else (KIP-679).
func (s *Standard) AllowedSomewhere(who Principal, host string, op Operation, kind Kind) bool {
	if who == (Principal{}) {
		who = Anonymous
	}
	if s.Allowed(who, host, op, kind, "hardcode") { // the name that Kafka asks about, for super users and where no ACL is found
		return true
	}
	ix := s.current.Load()
	said := map[resource]verdict{}
	for r, by := range ix.resources {
		if r.kind != kind {
			continue
		}
		v := verdict{who: who, host: host, op: op, exact: true}
		if v.hear(by); v.denied || v.allowed {
			said[r] = v
		}
	}
	every := said[resource{kind, Literal, Wildcard}]
	if every.denied || every.allowed {
		return !every.denied
	}
	for r, v := range said {
		if v.allowed && (r.pattern == Prefixed || !v.denied) && !prefixDenied(said, r) {
			return true
		}
	}
	return false
}

// prefixDenied tells whether a prefix of r's name, or the whole of it as a prefix, is denied.
func prefixDenied(said map[resource]verdict, r resource) bool {
	for n := 1; n <= len(r.name); n++ {
		if said[resource{r.kind, Prefixed, r.name[:n]}].denied {
			return true
		}
	}
	return false
}

// verdict is what ACLs have to say about one question.
type verdict struct {
	who   Principal
	host  string
	op    Operation
	exact bool // no operation implies another

	heard, allowed, denied bool
}

// hear listens to the ACLs of one pattern that fits the resource.
func (v *verdict) hear(r *rules) {
	if r == nil {
		return
	}
	v.heard = true
	v.weigh(r.of[v.who])
	v.weigh(r.of[everybody])
}

func (v *verdict) weigh(entries []entry) {
	for _, e := range entries {
		switch {
		case e.host != Wildcard && e.host != v.host:
		case !e.implies(v.op), v.exact && e.operation != v.op && e.operation != All:
		case e.permission == Deny:
			v.denied = true
		default:
			v.allowed = true
		}
	}
}

// index finds the ACLs about a resource. It never changes.
type index struct {
	resources map[resource]*rules
	prefixes  map[Kind][]int // the lengths that prefixes have, ascending
}

type resource struct {
	kind    Kind
	pattern Pattern
	name    string
}

// rules are the ACLs of one pattern of resources, by principal.
type rules struct{ of map[Principal][]entry }

type entry struct {
	host       string
	operation  Operation
	permission Permission
}

func newIndex(acls iter.Seq[ACL]) *index {
	ix := &index{resources: map[resource]*rules{}, prefixes: map[Kind][]int{}}
	for a := range acls {
		who, ok := ParsePrincipal(a.Principal)
		if !ok {
			continue // it is about nobody
		}
		key := resource{a.Kind, a.Pattern, a.Name}
		r := ix.resources[key]
		if r == nil {
			r = &rules{of: map[Principal][]entry{}}
			ix.resources[key] = r
			if a.Pattern == Prefixed {
				ix.addPrefix(a.Kind, len(a.Name))
			}
		}
		r.of[who] = append(r.of[who], entry{a.Host, a.Operation, a.Permission})
	}
	return ix
}

func (ix *index) addPrefix(kind Kind, n int) {
	lengths := ix.prefixes[kind]
	if at, found := slices.BinarySearch(lengths, n); !found {
		ix.prefixes[kind] = slices.Insert(lengths, at, n)
	}
}

// ParseSuperUsers reads super.users: principals with semicolons between them.
func ParseSuperUsers(s string) ([]Principal, error) {
	var out []Principal
	for one := range strings.SplitSeq(s, ";") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		p, ok := ParsePrincipal(one)
		if !ok {
			return nil, &NotAPrincipalError{one}
		}
		out = append(out, p)
	}
	return out, nil
}

// NotAPrincipalError says that a text is not Type:Name.
type NotAPrincipalError struct{ Text string }

func (e *NotAPrincipalError) Error() string {
	return "\"" + e.Text + "\" is no principal: write it as Type:Name, for example User:alice"
}
