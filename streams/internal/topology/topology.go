package topology

import (
	"fmt"
	"slices"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/streams/internal/expr"
	"github.com/leatstream/leat/streams/internal/operator"
)

// Topology is a compiled pipeline.
type Topology struct {
	steps []operator.Step
	to    []string
}

// Compile compiles steps, the list under `steps:`, whose records go to the topics in to. Problems go to d, all of them.
// nil: there were some. pipeline is the node to blame when nothing more exact is wrong.
func Compile(pipeline *yaml.Node, steps []*yaml.Node, to []string, d *diag.List) *Topology {
	before := d.Len()
	t := &Topology{to: to}
	c := &operator.Context{Paths: expr.NewPaths(), Diag: d}
	for i, n := range steps {
		s := operator.Parse(n, c)
		if s == nil {
			continue
		}
		if s.Changes() {
			c.Paths = expr.NewPaths() // later steps see another value
		}
		if len(s.Topics()) > 0 && i < len(steps)-1 {
			d.Add(yaml.Problem(steps[i+1], "step.unreachable", fmt.Sprintf("no record comes here: the %s step before sends them all away", s.Kind()),
				fmt.Sprintf("%s is the last step", s.Kind())))
		}
		t.steps = append(t.steps, s)
	}
	t.checkEnd(pipeline, before, d)
	if d.Len() > before {
		return nil
	}
	return t
}

func (t *Topology) checkEnd(pipeline *yaml.Node, before int, d *diag.List) {
	sends := slices.ContainsFunc(t.steps, func(s operator.Step) bool { return len(s.Topics()) > 0 })
	switch {
	case d.Len() > before: // the steps themselves come first
	case sends && len(t.to) > 0:
		d.Add(yaml.Problem(pipeline, "pipeline.to", "the last step sends records to topics already, so `to:` gets none", "leave `to:` out"))
	case !sends && len(t.to) == 0:
		d.Add(yaml.Problem(pipeline, "pipeline.to", "the pipeline sends its records nowhere", "add `to: TOPIC`, or end with a branch step"))
	}
}

// Topics are all that records can go to, each once.
func (t *Topology) Topics() []string {
	out := slices.Clone(t.to)
	for _, s := range t.steps {
		out = append(out, s.Topics()...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Chain runs records through the steps, for one task.
type Chain struct{ first operator.Next }

// NewChain makes a chain. emit gets each record that comes out; the record is valid only during the call. peek may be nil.
func (t *Topology) NewChain(emit operator.Emit, peek func(step string, r *operator.Record)) *Chain {
	task := &operator.Task{Eval: expr.NewEvaluator(), Emit: emit, Peek: peek}
	next := func(r *operator.Record) error {
		for _, topic := range t.to {
			if err := emit(topic, r); err != nil {
				return err
			}
		}
		return nil
	}
	for _, s := range slices.Backward(t.steps) {
		next = s.Start(task, next)
	}
	return &Chain{next}
}

// Process runs one record through. An *operator.Error is the record's fault; any other error comes from emit.
func (c *Chain) Process(r *operator.Record) (err error) {
	defer func() {
		if e := recover(); e != nil { // a mistake of ours costs a record, not the process
			err = &operator.Error{Step: "pipeline", Cause: fmt.Errorf("panic: %v", e)}
		}
	}()
	r.Begin()
	return c.first(r)
}
