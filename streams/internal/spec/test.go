package spec

import (
	"time"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
)

type testDocument struct {
	Name  string       `yaml:"name"`
	In    []testRecord `yaml:"in,required"`
	Out   *yaml.Node   `yaml:"out,required"`
	Exact bool         `yaml:"exact"`
}

type testRecord struct {
	Topic   string            `yaml:"topic"`
	Key     *yaml.Node        `yaml:"key"`
	Value   *yaml.Node        `yaml:"value"`
	Headers map[string]string `yaml:"headers"`
	At      string            `yaml:"at"` // 2026-05-01T10:00:00Z, or MM:SS after 1970
}

type expectedRecord struct {
	Key   *yaml.Node `yaml:"key"`
	Value *yaml.Node `yaml:"value"`
}

func (p *Pipeline) parseTests(n *yaml.Node, to []string, d *diag.List) {
	if n == nil {
		return
	}
	if n.Kind != yaml.List {
		d.Add(yaml.Problem(n, "test.shape", "tests is a list, each item beginning with `- name: …`", ""))
		return
	}
	for _, item := range n.Items {
		var doc testDocument
		yaml.Decode(item, &doc, d)
		t := Test{Name: doc.Name, Node: item, Exact: doc.Exact}
		for _, r := range doc.In {
			rec := Record{Topic: r.Topic, Key: text(r.Key), Value: r.Value, Headers: r.Headers}
			if rec.Topic == "" && len(p.From) > 0 {
				rec.Topic = p.From[0]
			}
			rec.Timestamp = testTime(r.At, item, d)
			t.In = append(t.In, rec)
		}
		t.Out = expected(doc.Out, to, d)
		p.Tests = append(p.Tests, t)
	}
}

func text(n *yaml.Node) *string {
	if n.IsNull() {
		return nil
	}
	return &n.Value
}

// testTime reads `at`: a moment, or minutes and seconds after the beginning of 1970.
func testTime(s string, n *yaml.Node, d *diag.List) int64 {
	if s == "" {
		return 0
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UnixMilli()
	}
	if t, err := time.Parse("04:05", s); err == nil {
		return int64(t.Minute()*60+t.Second()) * 1000
	}
	d.Add(yaml.Problem(n, "test.at", "at: "+s+" is not a time", "01:30 (minutes and seconds) or 2026-05-01T10:00:00Z"))
	return 0
}

// expected reads `out`: lists by topic, or one list for a pipeline with one topic.
func expected(n *yaml.Node, to []string, d *diag.List) []Expected {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.List {
		if len(to) != 1 {
			d.Add(yaml.Problem(n, "test.out", "say which topic the records come out of", "such as\n  out:\n    large:\n      - value: {id: 1}"))
			return nil
		}
		return []Expected{{Topic: to[0], Node: n, Records: expectedRecords(n, d)}}
	}
	if n.Kind != yaml.Map {
		d.Add(yaml.Problem(n, "test.out", "out is a list of records for each topic", ""))
		return nil
	}
	var out []Expected
	for i, topic := range n.Keys {
		if n.Vals[i].Kind != yaml.List {
			d.Add(yaml.Problem(n.Vals[i], "test.out", "expected a list of records", "`[]` for none"))
			continue
		}
		out = append(out, Expected{Topic: topic.Value, Node: topic, Records: expectedRecords(n.Vals[i], d)})
	}
	return out
}

func expectedRecords(n *yaml.Node, d *diag.List) []ExpectedRecord {
	var out []ExpectedRecord
	for _, item := range n.Items {
		var r expectedRecord
		yaml.Decode(item, &r, d)
		out = append(out, ExpectedRecord{Node: item, Key: text(r.Key), Value: r.Value})
	}
	return out
}
