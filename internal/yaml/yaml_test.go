package yaml

import (
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/internal/diag"
)

func parseOne(t *testing.T, src string) (*Node, *diag.List) {
	t.Helper()
	var d diag.List
	docs := Parse("f.yaml", []byte(src), &d)
	if len(docs) != 1 {
		t.Fatalf("%d documents, want 1: %v", len(docs), d.Err())
	}
	return docs[0], &d
}

func TestNodesKnowTheirPlace(t *testing.T) {
	n, d := parseOne(t, "pipeline: p\nsteps:\n  - filter: value.a > 1\n")
	if d.Len() != 0 {
		t.Fatal(d.Err())
	}
	f := n.Get("steps").Items[0].Get("filter")
	if f.Value != "value.a > 1" || f.Pos != (diag.Pos{File: "f.yaml", Line: 3, Col: 13}) {
		t.Errorf("got %q at %v", f.Value, f.Pos)
	}
}

func TestDecodeIsStrict(t *testing.T) {
	type inner struct {
		N int `yaml:"n"`
	}
	type doc struct {
		Name  string        `yaml:"name,required"`
		Every time.Duration `yaml:"every"`
		Size  Bytes         `yaml:"size"`
		From  []string      `yaml:"from"`
		In    *inner        `yaml:"in"`
	}
	var got doc
	n, d := parseOne(t, "name: x\nevery: 1d12h\nsize: 64KiB\nfrom: a\nin: {n: 3}\n")
	Decode(n, &got, d)
	if d.Len() != 0 {
		t.Fatal(d.Err())
	}
	if got.Name != "x" || got.Every != 36*time.Hour || got.Size != 65536 || len(got.From) != 1 || got.In.N != 3 {
		t.Errorf("got %+v", got)
	}
	n, d = parseOne(t, "nmae: x\nevery: soon\nin: {n: many}\nin: {}\nfrom: {a: 1}\n")
	Decode(n, &got, d)
	for _, want := range []string{
		`unknown key "nmae"`, `did you mean "name"?`, `key "name" is missing`, `expected a duration such as`,
		`f.yaml:3:9: expected a whole number, found "many"`, `f.yaml:4:1: key "in" stands twice`, "expected a list",
	} {
		if !strings.Contains(d.Error(), want) {
			t.Errorf("missing %q in:\n%s", want, d.Error())
		}
	}
}

func TestDamagedExpressionsAreRefused(t *testing.T) {
	for src, want := range map[string]string{
		"filter: any(value.items, # > 3)": "everything behind ` #` as a comment",
		"filter: value.x == 'a # b'":      "everything behind ` #` as a comment",
		"filter: !value.ok":               "write `not value.ok`",
		"filter: ":                        "the expression is empty",
		"filter: {a: 1}":                  "expected an expression, found a map",
	} {
		n, d := parseOne(t, src)
		if _, _, ok := Expression(n.Get("filter"), d); ok || !strings.Contains(d.Error(), want) {
			t.Errorf("%s: ok=%v, problems: %v", src, ok, d.Err())
		}
	}
	n, d := parseOne(t, "map: {id: value.id, s: sum(value.items, .qty)}")
	if CheckExpressionMap(n.Get("map"), d) || !strings.Contains(d.Error(), "cut an expression in two") {
		t.Errorf("flow map accepted: %v", d.Err())
	}
}

func TestGoodExpressionsKeepTheirPlace(t *testing.T) {
	for src, want := range map[string]diag.Pos{
		"filter: value.a > 1 # only big":  {File: "f.yaml", Line: 1, Col: 9},
		"filter: \"value.a > 1\"":         {File: "f.yaml", Line: 1, Col: 10},
		"filter: |\n    value.a > 1":      {File: "f.yaml", Line: 2, Col: 5},
		"filter: |-\n  value.a > 1 # no?": {File: "f.yaml", Line: 2, Col: 3},
	} {
		n, d := parseOne(t, src)
		text, pos, ok := Expression(n.Get("filter"), d)
		if !ok || pos != want || !strings.HasPrefix(text, "value.a > 1") {
			t.Errorf("%q: %q at %v ok=%v %v", src, text, pos, ok, d.Err())
		}
	}
	n, _ := parseOne(t, "filter: |\n  value.a > 1 and\n  value.bb < 2\n")
	if got := n.Get("filter").At(16 + 6); got.Line != 3 || got.Col != 9 {
		t.Errorf("rune 22 at %v, want 3:9", got)
	}
}

func TestSyntaxErrorsNameTheLine(t *testing.T) {
	for src, want := range map[string]string{
		"a: 1\n\tb: 2":            "indent with spaces",
		"map: {t: a ?? 1, b: [}":  "one `key: expression` per line",
		"x: a\ny: a > 5 ? 40 : 0": "f.yaml:2",
	} {
		var d diag.List
		Parse("f.yaml", []byte(src), &d)
		if d.Len() == 0 || !strings.Contains(d.Error(), want) {
			t.Errorf("%q: %v", src, d.Err())
		}
	}
}

func TestAliasBombIsBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 9 {
		b.WriteString(strings.NewReplacer("N", string(rune('1'+i)), "M", string(rune('0'+i))).
			Replace("aN: &aN [*aM, *aM, *aM, *aM, *aM, *aM, *aM, *aM, *aM, *aM]\n"))
	}
	var d diag.List
	Parse("f.yaml", []byte(b.String()), &d)
	if d.Len() == 0 || !strings.Contains(d.Error(), "expands to too many values") {
		t.Errorf("alias bomb: %v", d.Err())
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a: 1\n---\nb: [1, {c: d}]\n")
	f.Add("x: &a [*a]\n")
	f.Add("filter: |\n  value.a\n")
	f.Fuzz(func(t *testing.T, src string) {
		var d diag.List
		for _, n := range Parse("f", []byte(src), &d) {
			walk(n, func(n *Node) {
				if n.Kind == Scalar {
					Expression(n, &d)
				}
			})
		}
		_ = d.Error()
	})
}

func walk(n *Node, fn func(*Node)) {
	fn(n)
	for _, c := range append(append(append([]*Node{}, n.Keys...), n.Vals...), n.Items...) {
		walk(c, fn)
	}
}
