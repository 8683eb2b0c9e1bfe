package spec

import (
	"fmt"
	"regexp"
	"time"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/streams/internal/topology"
)

// OnError says what becomes of a record that a step cannot handle.
type OnError string

// What can be said.
const (
	DeadLetter OnError = "dead-letter"
	Skip       OnError = "skip"
	Stop       OnError = "stop"
)

// Start says where a pipeline begins that has no place yet.
type Start struct {
	Latest bool
	Time   time.Time // if set: the first record at or after
}

// Pipeline is one document.
type Pipeline struct {
	Name     string
	Node     *yaml.Node
	From     []string
	Start    Start
	Topology *topology.Topology
	OnError  OnError
	Tests    []Test
}

// DeadLetters is the topic for records that a step cannot handle.
func (p *Pipeline) DeadLetters() string { return p.Name + ".dead-letter" }

// Test is one of a pipeline's own tests.
type Test struct {
	Name  string
	Node  *yaml.Node
	In    []Record
	Out   []Expected
	Exact bool // members that are not listed must not be there
}

// Record is an input of a test.
type Record struct {
	Topic     string
	Key       *string
	Value     *yaml.Node
	Headers   map[string]string
	Timestamp int64 // ms since 1970
}

// Expected is what a test expects in one topic, in order.
type Expected struct {
	Topic   string
	Node    *yaml.Node
	Records []ExpectedRecord
}

// ExpectedRecord is compared with a record that came out.
type ExpectedRecord struct {
	Node  *yaml.Node
	Key   *string
	Value *yaml.Node // nil: any
}

// document is the shape in YAML.
type document struct {
	Pipeline string     `yaml:"pipeline,required"`
	From     *yaml.Node `yaml:"from,required"`
	Steps    *yaml.Node `yaml:"steps"`
	To       *yaml.Node `yaml:"to"`
	OnError  string     `yaml:"on_error"`
	Tests    *yaml.Node `yaml:"tests"`
}

var goodName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,200}$`)

// Parse reads a document. nil: there were problems, which are in d, all of them.
func Parse(n *yaml.Node, d *diag.List) *Pipeline {
	before := d.Len()
	var doc document
	yaml.Decode(n, &doc, d)
	p := &Pipeline{Name: doc.Pipeline, Node: n, OnError: DeadLetter}
	if doc.Pipeline != "" && !goodName.MatchString(doc.Pipeline) {
		d.Add(yaml.Problem(n.Get("pipeline"), "pipeline.name", fmt.Sprintf("%q cannot be the name of a consumer group and of topics", doc.Pipeline),
			"letters, digits, '.', '_' and '-'"))
	}
	p.parseFrom(doc.From, d)
	to := topics(doc.To, d)
	switch e := OnError(doc.OnError); e {
	case "":
	case DeadLetter, Skip, Stop:
		p.OnError = e
	default:
		d.Add(yaml.Problem(n.Get("on_error"), "pipeline.on-error", fmt.Sprintf("%q is not one of dead-letter, skip and stop", e), ""))
	}
	var steps []*yaml.Node
	if doc.Steps != nil && doc.Steps.Kind != yaml.List {
		d.Add(yaml.Problem(doc.Steps, "pipeline.steps", "steps is a list, each item beginning with `- `", "such as `- filter: value.amount > 100`"))
	} else if doc.Steps != nil {
		steps = doc.Steps.Items
	}
	if doc.Pipeline != "" {
		p.Topology = topology.Compile(n.Get("pipeline"), steps, to, d)
	}
	p.checkTopics(doc.From, d)
	p.parseTests(doc.Tests, to, d)
	p.checkTests(d)
	if d.Len() > before {
		return nil
	}
	return p
}

// source is the long form of from.
type source struct {
	Topic string `yaml:"topic,required"`
	Start string `yaml:"start"`
}

func (p *Pipeline) parseFrom(n *yaml.Node, d *diag.List) {
	if n == nil {
		return // missing: reported by Decode
	}
	if n.Kind != yaml.Map {
		p.From = topics(n, d)
		return
	}
	var s source
	yaml.Decode(n, &s, d)
	p.From = []string{s.Topic}
	switch s.Start {
	case "", "earliest":
		return
	case "latest":
		p.Start.Latest = true
		return
	}
	for _, layout := range []string{"2006-01-02", time.RFC3339} {
		if t, err := time.Parse(layout, s.Start); err == nil {
			p.Start.Time = t
			return
		}
	}
	d.Add(yaml.Problem(n.Get("start"), "pipeline.start", fmt.Sprintf("%q is not a start", s.Start), "earliest, latest, 2026-05-01 or 2026-05-01T10:00:00Z"))
}

// topics reads a topic or a list of them.
func topics(n *yaml.Node, d *diag.List) []string {
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.List:
		var list []string
		yaml.Decode(n, &list, d)
		return list
	default:
		var one string
		yaml.Decode(n, &one, d)
		return []string{one}
	}
}
