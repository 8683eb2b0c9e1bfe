package spec

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
)

// goodTopic is Kafka's rule, beside that "." and ".." are none.
var goodTopic = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// checkTopics finds topics that cannot be, and pipelines that would read what they write.
func (p *Pipeline) checkTopics(from *yaml.Node, d *diag.List) {
	if from == nil || p.Topology == nil {
		return // reported already
	}
	if len(p.From) == 0 {
		d.Add(yaml.Problem(from, "pipeline.from", "the pipeline reads no topic", "name at least one"))
	}
	outputs := p.Topology.Topics()
	for _, topic := range slices.Concat(p.From, outputs) {
		if !goodTopic.MatchString(topic) || topic == "." || topic == ".." {
			d.Add(yaml.Problem(p.at(from, topic), "topic.name", fmt.Sprintf("%q cannot be the name of a topic", topic),
				"a name has 1 to 249 of the characters a-z A-Z 0-9 . _ -"))
		}
	}
	if p.OnError == DeadLetter {
		outputs = append(slices.Clone(outputs), p.DeadLetters())
	}
	for i, topic := range p.From {
		switch {
		case slices.Contains(p.From[:i], topic):
			d.Add(yaml.Problem(from, "pipeline.from", fmt.Sprintf("%q is listed twice", topic), "name each topic once"))
		case slices.Contains(outputs, topic):
			d.Add(yaml.Problem(p.at(from, topic), "pipeline.loop", fmt.Sprintf("the pipeline reads %q and writes it too: it would never end", topic),
				"write to another topic, which the next pipeline reads"))
		}
	}
}

// at finds the node that names a topic: where it is read, else where it is written.
func (p *Pipeline) at(from *yaml.Node, topic string) *yaml.Node {
	for _, n := range []*yaml.Node{from, p.Node.Get("to"), p.Node.Get("steps")} {
		if found := find(n, topic); found != nil {
			return found
		}
	}
	return p.Node.Get("pipeline")
}

func find(n *yaml.Node, value string) *yaml.Node {
	if n == nil || n.Kind == yaml.Scalar && n.Value == value {
		return n
	}
	for _, child := range slices.Concat(n.Vals, n.Items) {
		if found := find(child, value); found != nil {
			return found
		}
	}
	return nil
}

// checkTests finds tests that speak of topics which the pipeline does not have: they would pass for nothing.
func (p *Pipeline) checkTests(d *diag.List) {
	if p.Topology == nil {
		return
	}
	known := append(slices.Clone(p.Topology.Topics()), p.DeadLetters())
	for _, t := range p.Tests {
		for _, r := range t.In {
			if len(p.From) > 0 && !slices.Contains(p.From, r.Topic) {
				d.Add(unknownTopic(t.Node.Get("in"), "the pipeline does not read topic %q", r.Topic, p.From))
			}
		}
		for _, e := range t.Out {
			if !slices.Contains(known, e.Topic) {
				d.Add(unknownTopic(e.Node, "the pipeline does not write topic %q", e.Topic, known))
			}
		}
	}
}

func unknownTopic(n *yaml.Node, message, topic string, known []string) diag.Problem {
	hint := fmt.Sprintf("its topics: %q", known)
	if near := diag.Nearest(topic, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	if found := find(n, topic); found != nil {
		n = found
	}
	return yaml.Problem(n, "test.topic", fmt.Sprintf(message, topic), hint)
}
