package operator

import (
	"fmt"
	"slices"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/streams/internal/expr"
)

// Next takes a record on. An error is the record's, not the chain's.
type Next func(*Record) error

// Emit sends a record to a topic.
type Emit func(topic string, r *Record) error

// Step is one parsed step. It is immutable and shared by tasks.
type Step interface {
	// Kind is the step's name in YAML.
	Kind() string
	// Changes tells whether later steps see another value.
	Changes() bool
	// Topics are where the step itself sends records; a step that has some is the last.
	Topics() []string
	// Start makes an instance for one task. It calls next for each record that goes on.
	Start(t *Task, next Next) Next
}

// Task is what the instances of one task share.
type Task struct {
	Eval *expr.Evaluator
	Emit Emit
	Peek func(step string, r *Record)
}

// Error is why a step could not handle a record.
type Error struct {
	Step       string // its kind
	Expression string
	Pos        diag.Pos
	Cause      error
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s (%s:%d): %s: %v", e.Step, e.Pos.File, e.Pos.Line, e.Expression, e.Cause)
}

func (e *Error) Unwrap() error { return e.Cause }

// Context is what a step is parsed in.
type Context struct {
	Paths *expr.Paths // collects what the expressions read, as long as no step changes the value
	Diag  *diag.List
}

// parser reads a step from the node behind its kind. nil: there were problems.
type parser func(n *yaml.Node, c *Context) Step

var kinds = map[string]parser{}

// register makes a kind of step known.
func register(kind string, parse parser) struct{} {
	kinds[kind] = parse
	return struct{}{}
}

// Kinds are the names of all steps.
func Kinds() []string {
	var out []string
	for k := range kinds {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// Parse reads one step: a map with one key, its kind. nil: there were problems.
func Parse(n *yaml.Node, c *Context) Step {
	if n == nil || n.Kind != yaml.Map || len(n.Keys) == 0 {
		c.Diag.Add(yaml.Problem(n, "step.shape", "a step is a map with its kind as key", "such as `- filter: value.amount > 100`"))
		return nil
	}
	parse, ok := kinds[n.Keys[0].Value]
	if !ok {
		c.Diag.Add(unknownKind(n.Keys[0]))
		return nil
	}
	for _, extra := range n.Keys[1:] {
		c.Diag.Add(yaml.Problem(extra, "step.shape", fmt.Sprintf("%q does not belong to a %s step", extra.Value, n.Keys[0].Value),
			"one step has one kind; begin the next with `- `"))
	}
	return parse(n.Vals[0], c)
}

func unknownKind(key *yaml.Node) diag.Problem {
	hint := fmt.Sprintf("the steps are %v", Kinds())
	if near := diag.Nearest(key.Value, Kinds()); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return yaml.Problem(key, "step.unknown", fmt.Sprintf("%q is not a step", key.Value), hint)
}

// program is an expression with its place.
type program struct {
	*expr.Program
	pos diag.Pos
}

// compile compiles the expression at n. ok is false when there were problems.
func (c *Context) compile(n *yaml.Node, want expr.Want) (program, bool) {
	p := expr.Compile(n, want, c.Paths, c.Diag)
	if p == nil {
		return program{}, false
	}
	return program{p, n.Pos}, true
}

// failed wraps a cause with the place of the expression.
func (p program) failed(kind string, cause error) error {
	return &Error{Step: kind, Expression: p.Source, Pos: p.pos, Cause: cause}
}

func (p program) test(t *Task, kind string, r *Record) (bool, error) {
	ok, err := t.Eval.Test(p.Program, r.look(p.Paths()), r.about())
	if err != nil {
		return false, p.failed(kind, err)
	}
	return ok, nil
}

func (p program) value(t *Task, kind string, r *Record) (any, error) {
	v, err := t.Eval.Value(p.Program, r.look(p.Paths()), r.about())
	if err != nil {
		return nil, p.failed(kind, err)
	}
	return v, nil
}

func (p program) appendJSON(dst []byte, t *Task, kind string, r *Record) ([]byte, error) {
	dst, err := t.Eval.AppendJSON(dst, p.Program, r.look(p.Paths()), r.about())
	if err != nil {
		return dst, p.failed(kind, err)
	}
	return dst, nil
}

// plain gives steps that neither change the value nor send anything their answers.
type plain struct{}

func (plain) Changes() bool    { return false }
func (plain) Topics() []string { return nil }

// changing gives steps that change the value theirs.
type changing struct{}

func (changing) Changes() bool    { return true }
func (changing) Topics() []string { return nil }
