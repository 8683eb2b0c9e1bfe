package meta

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/internal/auth"
)

func TestACLsThatAreRefused(t *testing.T) {
	good := auth.ACL{Kind: auth.Topic, Pattern: auth.Prefixed, Name: "t", Principal: "User:a", Host: "*", Operation: auth.Read, Permission: auth.Allow}
	for says, change := range map[string]func(*auth.ACL){
		"kafka-cluster":       func(a *auth.ACL) { a.Kind = auth.Cluster },
		"empty resource":      func(a *auth.ACL) { a.Name = "" },
		"resourceType 1":      func(a *auth.ACL) { a.Kind = auth.AnyKind },
		"resourceType 0":      func(a *auth.ACL) { a.Kind = 0 },
		"resourceType -1":     func(a *auth.ACL) { a.Kind = -1 },
		"resourceType 9":      func(a *auth.ACL) { a.Kind = 9 },
		"patternType 2":       func(a *auth.ACL) { a.Pattern = auth.Match },
		"patternType 1":       func(a *auth.ACL) { a.Pattern = auth.AnyPattern },
		"operation 1":         func(a *auth.ACL) { a.Operation = auth.Any },
		"operation 99":        func(a *auth.ACL) { a.Operation = 99 },
		"permissionType 1":    func(a *auth.ACL) { a.Permission = auth.AnyPermission },
		"no colon is present": func(a *auth.ACL) { a.Principal = "alice" },
		"empty host":          func(a *auth.ACL) { a.Host = "" },
	} {
		bad := good
		change(&bad)
		refused, records := CreateACLs(NewImage(), []auth.ACL{bad, good, good})
		if err := refused[0]; !errors.Is(err, ErrInvalidRequest) || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", bad, err, says)
		}
		if refused[1] != nil || refused[2] != nil || !slices.Equal(records, []Record{ACLCreated{good}}) {
			t.Errorf("beside %+v: %v, %v", bad, refused, records)
		}
	}
}

func TestDeleteACLsTellsWhatEachFilterFinds(t *testing.T) {
	one := auth.ACL{Kind: auth.Topic, Pattern: auth.Literal, Name: "a", Principal: "User:a", Host: "*", Operation: auth.Read, Permission: auth.Allow}
	two := one
	two.Name = "b"
	m := NewImage().Apply(ACLCreated{one}, ACLCreated{two})
	every := auth.Filter{Kind: auth.AnyKind, Pattern: auth.AnyPattern, Operation: auth.Any, Permission: auth.AnyPermission}
	only := every
	only.Name = &one.Name
	found, refused, records := DeleteACLs(m, []auth.Filter{only, {}, every})
	if !slices.Equal(found[0], []auth.ACL{one}) || found[1] != nil || !slices.Equal(found[2], []auth.ACL{one, two}) {
		t.Errorf("found %v", found)
	}
	if refused[0] != nil || !errors.Is(refused[1], ErrInvalidRequest) || refused[2] != nil || len(records) != 2 {
		t.Errorf("%v, %v", refused, records)
	}
	many := slices.Repeat([]auth.Filter{every}, maxFilters+1)
	if _, refused, _ := DeleteACLs(m, many); refused[maxFilters-1] != nil || !errors.Is(refused[maxFilters], ErrInvalidRequest) {
		t.Errorf("%d filters: %v, %v", len(many), refused[maxFilters-1], refused[maxFilters])
	}
	if after := m.Apply(records...); len(after.FindACLs(every)) != 0 || len(m.FindACLs(every)) != 2 || m.SameACLs(after) {
		t.Error("not removed, or removed from an image that was seen")
	}
}
