package auth

import (
	"bufio"
	"compress/gzip"
	"os"
	"strings"
	"testing"
)

// TestDecisionsAreThoseOfKafka answers what Apache Kafka's own StandardAuthorizer was asked (testdata/Decisions.java).
func TestDecisionsAreThoseOfKafka(t *testing.T) {
	f, err := os.Open("testdata/decisions.txt.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var acls []ACL
	var s *Standard
	super, everyone := "", false
	asked := 0
	for in := bufio.NewScanner(z); in.Scan(); {
		kind, rest, _ := strings.Cut(in.Text(), " ")
		words := strings.Fields(rest)
		switch kind {
		case "set":
			acls, s, everyone, super = nil, nil, words[0] == "true", words[1]
		case "acl":
			acls = append(acls, rule(rest))
		default:
			if s == nil {
				s = standard(super, everyone, acls...)
			}
			who, _ := ParsePrincipal(words[1])
			op, on := word[Operation](operationNames[:], words[3]), word[Kind](kindNames[:], words[4])
			got := false
			if kind == "ask" {
				got = s.Allowed(who, words[2], op, on, words[5])
			} else {
				got = s.AllowedSomewhere(who, words[2], op, on)
			}
			if asked++; got != (words[0] == "true") {
				t.Errorf("%s: %v by %v (everyone %v, super %s)", in.Text(), got, acls, everyone, super)
			}
		}
	}
	if asked < 10_000 {
		t.Errorf("%d questions", asked)
	}
}
