package operator

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/streams/internal/expr"
)

// TestStories runs testdata/<kind>.txt: `step` takes a step in YAML, then `---`, then one record a line, as VALUE or
// KEY=VALUE, and shows what comes out.
func TestStories(t *testing.T) {
	seen := map[string]bool{}
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(_ *testing.T, td *datadriven.TestData) string {
			seen[strings.TrimSuffix(path[strings.LastIndex(path, "/")+1:], ".txt")] = true
			return story(td.Input)
		})
	})
	for _, kind := range Kinds() {
		if !seen[kind] {
			t.Errorf("the step %s has no story in testdata", kind)
		}
	}
}

func story(input string) string {
	src, records, _ := strings.Cut(input, "\n---\n")
	var d diag.List
	nodes := yaml.Parse("pipeline.yaml", []byte(src), &d)
	c := &Context{Paths: expr.NewPaths(), Diag: &d}
	var step Step
	if d.Len() == 0 {
		step = Parse(nodes[0], c)
	}
	if step == nil {
		return d.Err().Error()
	}
	var out strings.Builder
	show := func(to string, r *Record) {
		key := ""
		if r.Key != nil {
			key = string(r.Key) + "="
		}
		changed := ""
		if r.Changed {
			changed = " (changed)"
		}
		fmt.Fprintf(&out, "%s%s%s%s\n", to, key, r.Value, changed)
	}
	task := &Task{
		Eval: expr.NewEvaluator(),
		Emit: func(topic string, r *Record) error { show("→ "+topic+" ", r); return nil },
		Peek: func(name string, r *Record) { show("peek "+name+" ", r) },
	}
	run := step.Start(task, func(r *Record) error { show("", r); return nil })
	for line := range strings.Lines(records) {
		r := &Record{Value: []byte(strings.TrimSuffix(line, "\n")), Topic: "in", Timestamp: 1000}
		if k, v, ok := strings.Cut(string(r.Value), "="); ok {
			r.Key, r.Value = []byte(k), []byte(v)
		}
		if err := run(r); err != nil {
			var e *Error
			if !errors.As(err, &e) {
				return "not an operator.Error: " + err.Error()
			}
			fmt.Fprintf(&out, "error at %d:%d in %s: %s: %v\n", e.Pos.Line, e.Pos.Col, e.Step, e.Expression, e.Cause)
		}
	}
	return out.String()
}
