package streamstest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/streams/internal/operator"
	"github.com/leatstream/leat/streams/internal/spec"
)

// Result is one test that ran.
type Result struct {
	Pipeline string
	Name     string
	Problems []diag.Problem // none: it passed
}

// Passed tells whether the test found what it expects.
func (r Result) Passed() bool { return len(r.Problems) == 0 }

// Run runs the tests of all pipeline documents. Mistakes in the documents go to d, and then nothing is run.
func Run(documents []*yaml.Node, d *diag.List) []Result {
	var pipelines []*spec.Pipeline
	for _, n := range documents {
		if p := spec.Parse(n, d); p != nil {
			pipelines = append(pipelines, p)
		}
	}
	if d.Len() > 0 {
		return nil
	}
	var results []Result
	for _, p := range pipelines {
		for i, t := range p.Tests {
			name := t.Name
			if name == "" {
				name = fmt.Sprintf("test %d", i+1)
			}
			results = append(results, Result{p.Name, name, run(p, t)})
		}
	}
	return results
}

// output is a record that came out.
type output struct {
	key   []byte
	value []byte
}

func run(p *spec.Pipeline, t spec.Test) []diag.Problem {
	got := map[string][]output{}
	chain := p.Topology.NewChain(func(topic string, r *operator.Record) error {
		got[topic] = append(got[topic], output{append([]byte(nil), r.Key...), append([]byte(nil), r.Value...)})
		return nil
	}, nil)
	var problems []diag.Problem
	dead := p.DeadLetters()
	for i, in := range t.In {
		r, err := record(in, int64(i))
		if err != nil {
			return []diag.Problem{yaml.Problem(t.Node, "test.in", err.Error(), "")}
		}
		if err := chain.Process(r); err != nil {
			got[dead] = append(got[dead], output{r.Key, r.Value})
			if p.OnError == spec.Stop || !expects(t, dead) {
				problems = append(problems, yaml.Problem(t.Node, "test.failed-record",
					fmt.Sprintf("record %d fails: %v", i+1, err), "if that is meant, expect it under `out: "+dead+":`"))
			}
		}
	}
	for _, e := range t.Out {
		problems = append(problems, compare(e, got[e.Topic], t.Exact)...)
	}
	return problems
}

func expects(t spec.Test, topic string) bool {
	for _, e := range t.Out {
		if e.Topic == topic {
			return true
		}
	}
	return false
}

func record(in spec.Record, offset int64) (*operator.Record, error) {
	r := &operator.Record{Topic: in.Topic, Offset: offset, Timestamp: in.Timestamp}
	if in.Key != nil {
		r.Key = []byte(*in.Key)
	}
	for _, k := range slices.Sorted(maps.Keys(in.Headers)) {
		r.Headers = append(r.Headers, batch.HeaderKV{Key: k, Value: []byte(in.Headers[k])})
	}
	if in.Value != nil {
		var err error
		if r.Value, err = json.Marshal(in.Value.Any()); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func compare(e spec.Expected, got []output, exact bool) []diag.Problem {
	var problems []diag.Problem
	for i, want := range e.Records {
		if i >= len(got) {
			problems = append(problems, yaml.Problem(want.Node, "test.missing",
				fmt.Sprintf("record %d of %s did not come out: there were %d", i+1, e.Topic, len(got)), ""))
			break
		}
		if diff := difference(want, got[i], exact); diff != "" {
			problems = append(problems, yaml.Problem(want.Node, "test.different",
				fmt.Sprintf("record %d of %s: %s", i+1, e.Topic, diff), "it was "+show(got[i])))
		}
	}
	if len(got) > len(e.Records) {
		problems = append(problems, yaml.Problem(e.Node, "test.unexpected",
			fmt.Sprintf("%d records came out of %s, expected %d", len(got), e.Topic, len(e.Records)), "the first of the others is "+show(got[len(e.Records)])))
	}
	return problems
}

func show(o output) string {
	if len(o.key) > 0 {
		return string(o.key) + " = " + string(o.value)
	}
	return string(o.value)
}

func difference(want spec.ExpectedRecord, got output, exact bool) string {
	if want.Key != nil && *want.Key != string(got.key) {
		return fmt.Sprintf("key is %q, expected %q", got.key, *want.Key)
	}
	if want.Value == nil {
		return ""
	}
	var have any
	dec := json.NewDecoder(strings.NewReader(string(got.value)))
	dec.UseNumber()
	if err := dec.Decode(&have); err != nil {
		return "the value is not JSON"
	}
	return differ("value", plain(want.Value.Any()), have, exact)
}

// plain brings what YAML says into the form that JSON decodes to.
func plain(v any) any {
	raw, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	if dec.Decode(&out) != nil {
		return v
	}
	return out
}

// differ says where want is not in have; empty: nowhere.
func differ(path string, want, have any, exact bool) string {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %s, expected an object", path, text(have))
		}
		for _, k := range slices.Sorted(maps.Keys(want)) {
			h, ok := have[k]
			if !ok {
				return fmt.Sprintf("%s.%s is missing", path, k)
			}
			if diff := differ(path+"."+k, want[k], h, exact); diff != "" {
				return diff
			}
		}
		for _, k := range slices.Sorted(maps.Keys(have)) {
			if _, ok := want[k]; exact && !ok {
				return fmt.Sprintf("%s.%s is there too", path, k)
			}
		}
		return ""
	case []any:
		have, ok := have.([]any)
		if !ok || len(have) != len(want) {
			return fmt.Sprintf("%s is %s, expected %s", path, text(have), text(want))
		}
		for i := range want {
			if diff := differ(fmt.Sprintf("%s[%d]", path, i), want[i], have[i], exact); diff != "" {
				return diff
			}
		}
		return ""
	case json.Number:
		if n, ok := have.(json.Number); ok && sameNumber(want, n) {
			return ""
		}
	default:
		if want == have {
			return ""
		}
	}
	return fmt.Sprintf("%s is %s, expected %s", path, text(have), text(want))
}

func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	if isInt(a) && isInt(b) {
		return false // also where floats of them are the same
	}
	x, errX := a.Float64()
	y, errY := b.Float64()
	return errX == nil && errY == nil && x == y
}

func isInt(n json.Number) bool {
	_, err := n.Int64()
	return err == nil
}

func text(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}
