package streamstest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
)

func pipelines(file, src string, d *diag.List) (out []*yaml.Node) {
	for _, n := range yaml.Parse(file, []byte(src), d) {
		if n.Get("pipeline") != nil {
			out = append(out, n)
		}
	}
	return out
}

// TestPipelines runs the tests of every folder in pipelines/.
func TestPipelines(t *testing.T) {
	files, err := filepath.Glob("../../pipelines/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no pipelines", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var d diag.List
			results := Run(pipelines(file, string(src), &d), &d)
			if err := d.Err(); err != nil || len(results) == 0 {
				t.Fatalf("%d tests: %v", len(results), err)
			}
			for _, r := range results {
				for _, p := range r.Problems {
					t.Errorf("%s: %s: %s %s", r.Pipeline, r.Name, p.Message, p.Hint)
				}
			}
		})
	}
}

const failing = `pipeline: p
from: in
steps:
  - filter: value.n > 1
  - map:
      n: value.n
      half: value.n / 2
to: out
tests:
  - name: right
    in: [{value: {n: 1}}, {value: {n: 3}, key: k}]
    out: [{value: {half: 1.5}, key: k}]
  - name: wrong value
    in: [{value: {n: 3}}]
    out: {out: [{value: {half: 2}}]}
  - name: too few
    in: [{value: {n: 1}}]
    out: [{value: {half: 1}}]
  - name: too many
    in: [{value: {n: 3}}, {value: {n: 4}}]
    out: [{value: {half: 1.5}}]
  - name: more members than listed
    exact: true
    in: [{value: {n: 3}}]
    out: [{value: {half: 1.5}}]
  - name: integers are compared exactly
    in: [{value: {n: 9007199254740993}}]
    out: [{value: {n: 9007199254740992}}]
  - name: a record that fails
    in: [{value: {n: x}}]
    out: []
  - name: a record that fails as it should
    in: [{value: {n: x}}]
    out: {p.dead-letter: [{value: {n: x}}], out: []}
`

func TestDifferencesAreShown(t *testing.T) {
	var d diag.List
	results := Run(pipelines("p.yaml", failing, &d), &d)
	if d.Err() != nil {
		t.Fatal(d.Err())
	}
	want := map[string]string{
		"right": "", "wrong value": "value.half is 1.5, expected 2", "too few": "did not come out", "too many": "2 records came out of out, expected 1",
		"more members than listed": "value.n is there too", "integers are compared exactly": "value.n is 9007199254740993", "a record that fails": "record 1 fails", "a record that fails as it should": "",
	}
	if len(results) != len(want) {
		t.Fatalf("%d results", len(results))
	}
	for _, r := range results {
		switch says := want[r.Name]; {
		case says == "" && !r.Passed():
			t.Errorf("%s: %+v", r.Name, r.Problems)
		case says != "" && (len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Message, says)):
			t.Errorf("%s: %+v, want %q", r.Name, r.Problems, says)
		}
	}
}

func TestMistakesInDocumentsAreAllFound(t *testing.T) {
	var d diag.List
	Run(pipelines("p.yaml", `pipeline: p q
form: in
steps:
  - filter: value.n >
on_error: ignore
tests:
  - nmae: x
    in: [{value: 1}]
    out: {}
`, &d), &d)
	all := d.Err()
	if all == nil {
		t.Fatal("no problems")
	}
	for _, want := range []string{`"p q" cannot be the name`, `unknown key "form"`, `did you mean "from"`, "ends too early", `"ignore" is not one of`, `unknown key "nmae"`} {
		if !strings.Contains(all.Error(), want) {
			t.Errorf("no %q in\n%v", want, all)
		}
	}
}

func TestTopicsThatCannotBeAreFound(t *testing.T) {
	for src, want := range map[string]string{
		"pipeline: p\nfrom: []\nsteps: []\nto: out\n":                                           "reads no topic",
		"pipeline: p\nfrom: [a, a]\nsteps: []\nto: out\n":                                       "listed twice",
		"pipeline: p\nfrom: a\nsteps: []\nto: a\n":                                              "would never end",
		"pipeline: p\nfrom: p.dead-letter\nsteps: []\nto: a\n":                                  "would never end",
		"pipeline: p\nfrom: a\nsteps: []\nto: bad topic!\n":                                     `p.yaml:4:5: "bad topic!" cannot be`,
		"pipeline: p\nfrom: a\nsteps: [{branch: [{else: a}]}]\n":                                "would never end",
		"pipeline: p\nfrom: a\nsteps: []\nto: out\ntests: [{in: [], out: {outt: []}}]\n":        `did you mean "out"?`,
		"pipeline: p\nfrom: a\nsteps: []\nto: out\ntests: [{in: [{topic: aa}], out: []}]\n":     `does not read topic "aa"`,
		"pipeline: p\nfrom: a\nsteps: []\nto: out\ntests: [{in: [], out: {p.dead-letter: []}}]": "",
	} {
		var d diag.List
		Run(pipelines("p.yaml", src, &d), &d)
		switch err := d.Err(); {
		case want == "" && err != nil:
			t.Errorf("%s\n%v", src, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s\nwant %q, got %v", src, want, err)
		}
	}
}
