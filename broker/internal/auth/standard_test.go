package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func standard(super string, everyone bool, acls ...ACL) *Standard {
	users, err := ParseSuperUsers(super)
	if err != nil {
		panic(err)
	}
	s := NewStandard(users, everyone)
	s.Follow(slices.Values(acls))
	return s
}

// rule reads: allow|deny PRINCIPAL HOST OPERATION KIND literal|prefixed NAME.
func rule(text string) ACL {
	f := strings.Fields(text)
	return ACL{
		Permission: map[string]Permission{"allow": Allow, "deny": Deny}[f[0]], Principal: f[1], Host: f[2],
		Operation: word[Operation](operationNames[:], f[3]), Kind: word[Kind](kindNames[:], f[4]),
		Pattern: map[string]Pattern{"literal": Literal, "prefixed": Prefixed}[f[5]], Name: f[6],
	}
}

func word[T ~int8](names []string, s string) T {
	n := slices.Index(names, s)
	if n < 0 {
		panic(s)
	}
	return T(n)
}

// TestDecisions is Kafka's StandardAuthorizer as a table.
func TestDecisions(t *testing.T) {
	for _, c := range []struct {
		name     string
		acls     string // ; between them
		super    string
		everyone bool
		ask      string // PRINCIPAL HOST OPERATION KIND NAME
		want     bool
	}{
		{name: "nothing is said", ask: "User:a 1.1.1.1 READ TOPIC t"},
		{name: "nothing is said where that allows", everyone: true, ask: "User:a 1.1.1.1 READ TOPIC t", want: true},
		{name: "something is said to somebody else where nothing would allow", acls: "allow User:b * READ TOPIC literal t", everyone: true, ask: "User:a 1.1.1.1 READ TOPIC t"},
		{name: "something is said about another topic where nothing would allow", acls: "allow User:b * READ TOPIC literal u", everyone: true, ask: "User:a 1.1.1.1 READ TOPIC t", want: true},
		{name: "something is said about every topic", acls: "allow User:b * READ TOPIC literal *", everyone: true, ask: "User:a 1.1.1.1 READ TOPIC t"},
		{name: "something is said about another kind", acls: "deny User:a * READ GROUP literal t", everyone: true, ask: "User:a 1.1.1.1 READ TOPIC t", want: true},
		{name: "literal", acls: "allow User:a * READ TOPIC literal t", ask: "User:a 1.1.1.1 READ TOPIC t", want: true},
		{name: "literal is not a prefix", acls: "allow User:a * READ TOPIC literal t", ask: "User:a 1.1.1.1 READ TOPIC tt"},
		{name: "literal of another case", acls: "allow User:a * READ TOPIC literal T", ask: "User:a 1.1.1.1 READ TOPIC t"},
		{name: "every topic", acls: "allow User:a * READ TOPIC literal *", ask: "User:a 1.1.1.1 READ TOPIC t", want: true},
		{name: "prefixed star is a star", acls: "allow User:a * READ TOPIC prefixed *", ask: "User:a 1.1.1.1 READ TOPIC t"},
		{name: "prefix", acls: "allow User:a * READ TOPIC prefixed or", ask: "User:a 1.1.1.1 READ TOPIC orders", want: true},
		{name: "prefix is the whole", acls: "allow User:a * READ TOPIC prefixed orders", ask: "User:a 1.1.1.1 READ TOPIC orders", want: true},
		{name: "prefix is longer", acls: "allow User:a * READ TOPIC prefixed orders2", ask: "User:a 1.1.1.1 READ TOPIC orders"},
		{name: "another user", acls: "allow User:b * READ TOPIC literal t", ask: "User:a 1.1.1.1 READ TOPIC t"},
		{name: "another type of principal", acls: "allow Group:a * READ TOPIC literal t", ask: "User:a 1.1.1.1 READ TOPIC t"},
		{name: "everybody", acls: "allow User:* * READ TOPIC literal t", ask: "User:a 1.1.1.1 READ TOPIC t", want: true},
		{name: "everybody of another type of principal", acls: "allow Group:* * READ TOPIC literal t", ask: "Group:a 1.1.1.1 READ TOPIC t"},
		{name: "principals have no other wildcards", acls: "allow User:a* * READ TOPIC literal t", ask: "User:ab 1.1.1.1 READ TOPIC t"},
		{name: "nobody asked who it is", acls: "allow User:ANONYMOUS * READ TOPIC literal t", ask: "- 1.1.1.1 READ TOPIC t", want: true},
		{name: "a name with a colon", acls: "allow User:CN=a:b * READ TOPIC literal t", ask: "User:CN=a:b 1.1.1.1 READ TOPIC t", want: true},
		{name: "host", acls: "allow User:a 1.1.1.1 READ TOPIC literal t", ask: "User:a 1.1.1.1 READ TOPIC t", want: true},
		{name: "another host", acls: "allow User:a 1.1.1.2 READ TOPIC literal t", ask: "User:a 1.1.1.1 READ TOPIC t"},
		{name: "hosts have no other wildcards", acls: "allow User:a 1.1.1.* READ TOPIC literal t", ask: "User:a 1.1.1.1 READ TOPIC t"},
		{name: "all operations", acls: "allow User:a * ALL TOPIC literal t", ask: "User:a 1.1.1.1 ALTER_CONFIGS TOPIC t", want: true},
		{name: "another operation", acls: "allow User:a * WRITE TOPIC literal t", ask: "User:a 1.1.1.1 READ TOPIC t"},
		{name: "read implies describe", acls: "allow User:a * READ TOPIC literal t", ask: "User:a 1.1.1.1 DESCRIBE TOPIC t", want: true},
		{name: "write implies describe", acls: "allow User:a * WRITE TOPIC literal t", ask: "User:a 1.1.1.1 DESCRIBE TOPIC t", want: true},
		{name: "delete implies describe", acls: "allow User:a * DELETE TOPIC literal t", ask: "User:a 1.1.1.1 DESCRIBE TOPIC t", want: true},
		{name: "alter implies describe", acls: "allow User:a * ALTER TOPIC literal t", ask: "User:a 1.1.1.1 DESCRIBE TOPIC t", want: true},
		{name: "create does not imply describe", acls: "allow User:a * CREATE TOPIC literal t", ask: "User:a 1.1.1.1 DESCRIBE TOPIC t"},
		{name: "alter configs implies describe configs", acls: "allow User:a * ALTER_CONFIGS TOPIC literal t", ask: "User:a 1.1.1.1 DESCRIBE_CONFIGS TOPIC t", want: true},
		{name: "alter configs does not imply describe", acls: "allow User:a * ALTER_CONFIGS TOPIC literal t", ask: "User:a 1.1.1.1 DESCRIBE TOPIC t"},
		{name: "describe does not imply describe configs", acls: "allow User:a * DESCRIBE TOPIC literal t", ask: "User:a 1.1.1.1 DESCRIBE_CONFIGS TOPIC t"},
		{name: "describe does not imply read", acls: "allow User:a * DESCRIBE TOPIC literal t", ask: "User:a 1.1.1.1 READ TOPIC t"},
		{name: "a denial of read leaves describe", acls: "deny User:a * READ TOPIC literal t; allow User:a * DESCRIBE TOPIC literal t", ask: "User:a 1.1.1.1 DESCRIBE TOPIC t", want: true},
		{name: "a denial of all", acls: "deny User:a * ALL TOPIC literal t; allow User:a * DESCRIBE TOPIC literal t", ask: "User:a 1.1.1.1 DESCRIBE TOPIC t"},
		{name: "a denial outweighs", acls: "allow User:a * READ TOPIC literal t; deny User:a * READ TOPIC literal t", ask: "User:a 1.1.1.1 READ TOPIC t"},
		{name: "a denial of every topic outweighs", acls: "allow User:a * READ TOPIC literal t; deny User:a * READ TOPIC literal *", ask: "User:a 1.1.1.1 READ TOPIC t"},
		{name: "a denial of a prefix outweighs", acls: "allow User:a * READ TOPIC literal tt; deny User:a * READ TOPIC prefixed t", ask: "User:a 1.1.1.1 READ TOPIC tt"},
		{name: "a denial to everybody outweighs", acls: "allow User:a * READ TOPIC literal t; deny User:* * READ TOPIC literal t", ask: "User:a 1.1.1.1 READ TOPIC t"},
		{name: "a denial to another host does not", acls: "allow User:a * READ TOPIC literal t; deny User:a 1.1.1.2 READ TOPIC literal t", ask: "User:a 1.1.1.1 READ TOPIC t", want: true},
		{name: "super user", super: "User:b;User:a", ask: "User:a 1.1.1.1 READ TOPIC t", want: true},
		{name: "super user against a denial", acls: "deny User:* * ALL TOPIC literal *", super: "User:a", ask: "User:a 1.1.1.1 READ TOPIC t", want: true},
		{name: "super users have no wildcards", super: "User:*", ask: "User:a 1.1.1.1 READ TOPIC t"},
		{name: "cluster", acls: "allow User:a * ALTER CLUSTER literal kafka-cluster", ask: "User:a 1.1.1.1 ALTER CLUSTER kafka-cluster", want: true},
	} {
		var acls []ACL
		for text := range strings.SplitSeq(c.acls, ";") {
			if strings.TrimSpace(text) != "" {
				acls = append(acls, rule(text))
			}
		}
		f := strings.Fields(c.ask)
		who, _ := ParsePrincipal(f[0])
		if f[0] == "-" {
			who = Principal{}
		}
		for range 2 { // in both orders
			s := standard(c.super, c.everyone, acls...)
			if got := s.Allowed(who, f[1], word[Operation](operationNames[:], f[2]), word[Kind](kindNames[:], f[3]), f[4]); got != c.want {
				t.Errorf("%s: %v", c.name, got)
			}
			slices.Reverse(acls)
		}
	}
}

func TestAllowedSomewhere(t *testing.T) {
	for _, c := range []struct {
		name, acls, super string
		everyone          bool
		want              bool
	}{
		{name: "nowhere"},
		{name: "everywhere", super: "User:a", acls: "deny User:a * WRITE TOPIC literal *", want: true},
		{name: "where nothing is said", everyone: true, want: true},
		{name: "one topic", acls: "allow User:a * WRITE TOPIC literal t", want: true},
		{name: "all on one topic", acls: "allow User:a * ALL TOPIC literal t", want: true},
		{name: "another operation", acls: "allow User:a * READ TOPIC literal t"},
		{name: "another kind", acls: "allow User:a * WRITE GROUP literal t"},
		{name: "another host", acls: "allow User:a 2.2.2.2 WRITE TOPIC literal t"},
		{name: "a topic that is denied", acls: "allow User:a * WRITE TOPIC literal t; deny User:* * WRITE TOPIC literal t"},
		{name: "a topic that a prefix denies", acls: "allow User:a * WRITE TOPIC literal tt; deny User:a * WRITE TOPIC prefixed t"},
		{name: "one of two", acls: "allow User:a * WRITE TOPIC literal tt; deny User:a * WRITE TOPIC prefixed t; allow User:a * WRITE TOPIC literal u", want: true},
		{name: "a prefix with a denied topic", acls: "allow User:a * WRITE TOPIC prefixed t; deny User:a * WRITE TOPIC literal t", want: true},
		{name: "a prefix below a denied one", acls: "allow User:a * WRITE TOPIC prefixed tt; deny User:a * WRITE TOPIC prefixed t"},
		{name: "a prefix above a denied one", acls: "allow User:a * WRITE TOPIC prefixed t; deny User:a * WRITE TOPIC prefixed tt", want: true},
		{name: "all topics", acls: "allow User:* * WRITE TOPIC literal *", want: true},
		{name: "all topics are denied", acls: "allow User:a * WRITE TOPIC literal t; deny User:a * ALL TOPIC literal *"},
	} {
		var acls []ACL
		for text := range strings.SplitSeq(c.acls, ";") {
			if strings.TrimSpace(text) != "" {
				acls = append(acls, rule(text))
			}
		}
		s := standard(c.super, c.everyone, acls...)
		if got := s.AllowedSomewhere(Principal{"User", "a"}, "1.1.1.1", Write, Topic); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// naive is the rules once more, word by word and slow.
func naive(acls []ACL, everyone bool, who, host string, op Operation, kind Kind, name string) bool {
	heard, allowed := false, false
	for _, a := range acls {
		fits := a.Kind == kind && (a.Pattern == Literal && (a.Name == name || a.Name == "*") || a.Pattern == Prefixed && strings.HasPrefix(name, a.Name))
		if !fits {
			continue
		}
		heard = true
		if a.Principal != who && a.Principal != "User:*" || a.Host != host && a.Host != "*" {
			continue
		}
		ops := []Operation{a.Operation}
		if a.Permission == Allow {
			switch a.Operation {
			case Read, Write, Delete, Alter:
				ops = append(ops, Describe)
			case AlterConfigs:
				ops = append(ops, DescribeConfigs)
			}
		}
		if a.Operation != All && !slices.Contains(ops, op) {
			continue
		}
		if a.Permission == Deny {
			return false
		}
		allowed = true
	}
	return allowed || everyone && !heard
}

func TestDecisionsAreThoseOfTheNaiveModel(t *testing.T) {
	names := []string{"*", "a", "ab", "abc", "b", "ba"}
	users := []string{"User:x", "User:y", "User:*", "User:ANONYMOUS"}
	hosts := []string{"*", "h1", "h2"}
	rapid.Check(t, func(t *rapid.T) {
		var acls []ACL
		for range rapid.IntRange(0, 8).Draw(t, "acls") {
			acls = append(acls, ACL{
				Kind: rapid.SampledFrom([]Kind{Topic, Group}).Draw(t, "kind"), Pattern: rapid.SampledFrom([]Pattern{Literal, Prefixed}).Draw(t, "pattern"),
				Name: rapid.SampledFrom(names).Draw(t, "name"), Principal: rapid.SampledFrom(users).Draw(t, "user"), Host: rapid.SampledFrom(hosts).Draw(t, "host"),
				Operation: Operation(rapid.IntRange(int(All), int(IdempotentWrite)).Draw(t, "op")), Permission: rapid.SampledFrom([]Permission{Deny, Allow, Allow}).Draw(t, "permission"),
			})
		}
		everyone := rapid.Bool().Draw(t, "everyone")
		s := standard("", everyone, acls...)
		for _, user := range users[:2] {
			who, _ := ParsePrincipal(user)
			for _, name := range names[1:] {
				for op := Read; op <= IdempotentWrite; op++ {
					got, want := s.Allowed(who, "h1", op, Topic, name), naive(acls, everyone, user, "h1", op, Topic, name)
					if got != want {
						t.Fatalf("%s %s on %s: %v, not %v, by %v", user, op, name, got, want, acls)
					}
				}
			}
		}
	})
}

func TestFilters(t *testing.T) {
	acls := []ACL{
		rule("allow User:a * READ TOPIC literal orders"), rule("allow User:a * READ TOPIC prefixed or"), rule("deny User:b 1.1.1.1 ALL TOPIC literal *"),
		rule("allow User:a * READ GROUP literal orders"), rule("allow User:c * ALTER CLUSTER literal kafka-cluster"),
	}
	every := Filter{Kind: AnyKind, Pattern: AnyPattern, Operation: Any, Permission: AnyPermission}
	s := func(v string) *string { return &v }
	for want, change := range map[string]func(*Filter){
		"01234": func(*Filter) {},
		"012":   func(f *Filter) { f.Kind = Topic },
		"03":    func(f *Filter) { f.Name = s("orders") },
		"0":     func(f *Filter) { f.Name, f.Kind, f.Pattern = s("orders"), Topic, Literal },
		"":      func(f *Filter) { f.Name, f.Pattern = s("orders"), Prefixed },
		"1":     func(f *Filter) { f.Pattern = Prefixed },
		"0123":  func(f *Filter) { f.Name, f.Pattern = s("orders"), Match },
		"2":     func(f *Filter) { f.Name, f.Pattern = s("x"), Match },
		"013":   func(f *Filter) { f.Principal = s("User:a") },
		"0134":  func(f *Filter) { f.Host = s("*") },
		"4":     func(f *Filter) { f.Operation = Alter },
		" 2":    func(f *Filter) { f.Permission = Deny },
	} {
		f := every
		change(&f)
		got := ""
		for i, a := range acls {
			if f.Matches(a) {
				got += fmt.Sprint(i)
			}
		}
		if got != strings.TrimSpace(want) {
			t.Errorf("%+v finds %q, not %q", f, got, want)
		}
		if !f.Valid() {
			t.Errorf("%+v is not valid", f)
		}
	}
	if (Filter{}).Valid() || (Filter{Kind: 9, Pattern: AnyPattern, Operation: Any, Permission: AnyPermission}).Valid() {
		t.Error("words that Kafka does not have are valid")
	}
}

// TestAskingAllocatesNothing: produce and fetch ask on every request.
func TestAskingAllocatesNothing(t *testing.T) {
	var acls []ACL
	for i := range 1000 {
		acls = append(acls, rule(fmt.Sprintf("allow User:u%d * READ TOPIC prefixed team-%d-", i, i)), rule(fmt.Sprintf("allow User:u%d * READ TOPIC literal t%d", i, i)))
	}
	s := standard("User:admin", false, acls...)
	who := Principal{"User", "u500"}
	if n := testing.AllocsPerRun(100, func() {
		if !s.Allowed(who, "127.0.0.1", Read, Topic, "team-500-orders") || s.Allowed(who, "127.0.0.1", Write, Topic, "t500") {
			t.Fatal("wrong")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAllowed(b *testing.B) {
	var acls []ACL
	for i := range 10_000 {
		acls = append(acls, rule(fmt.Sprintf("allow User:u%d * READ TOPIC prefixed team-%d-", i, i)))
	}
	s := standard("", false, acls...)
	b.Run("ask", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Allowed(Principal{"User", "u500"}, "127.0.0.1", Read, Topic, "team-500-orders")
		}
	})
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			s.Follow(slices.Values(acls))
		}
	})
}
