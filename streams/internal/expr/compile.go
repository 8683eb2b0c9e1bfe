package expr

import (
	"fmt"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
)

// Want is what an expression must give.
type Want uint8

// What can be asked for.
const (
	Any Want = iota
	Bool
)

// Program is a compiled expression. It is immutable and shared by tasks.
type Program struct {
	Source  string
	paths   *Paths
	program *vm.Program
	slots   []input
	uses    map[string]bool
	only    int  // the expression is nothing but this path; -1: it is more
	test    test // a way to evaluate without the VM; nil: there is none
}

// input is a path that an expression reads: its name in the environment, and its slot.
type input struct {
	name string
	slot int
}

// names are what expressions see.
var names = []string{"value", "key", "headers", "ts", "topic", "partition", "offset"}

// environment gives the names their types.
func environment() types.Map {
	return types.Map{
		"value": types.Any, "key": types.Any, "headers": types.TypeOf(map[string]any{}), "ts": types.TypeOf(epoch),
		"topic": types.String, "partition": types.Int, "offset": types.Int,
		nowFunction: types.TypeOf(func() (t time.Time) { return t }), budgetName: types.TypeOf(&budget{}),
	}
}

// Compile compiles the expression at n. Its problems go to d, each at its place; nil: there were some.
func Compile(n *yaml.Node, want Want, paths *Paths, d *diag.List) *Program {
	src, _, ok := yaml.Expression(n, d)
	if !ok {
		return nil
	}
	p, err := compile(src, want, paths)
	if err != nil {
		d.Add(problem(n, src, err))
		return nil
	}
	return p
}

func compile(src string, want Want, paths *Paths) (*Program, error) {
	if len(src) > maxSource {
		return nil, fmt.Errorf("the expression has %d bytes, at most %d are allowed", len(src), maxSource)
	}
	c := newCollector(paths)
	if tree, err := parser.Parse(src); err == nil {
		ast.Walk(&tree.Node, c) // the checker must know the names of paths beforehand
		c.sums = 0
	}
	opts := []expr.Option{expr.Env(c.env), expr.MaxNodes(maxNodes), expr.Patch(c)}
	opts = append(opts, functions()...)
	if want == Bool {
		opts = append(opts, expr.AsBool())
	}
	program, err := expr.Compile(src, opts...)
	if c.err != nil {
		return nil, c.err
	}
	if err != nil {
		return nil, err
	}
	p := &Program{Source: src, paths: paths, program: program, uses: map[string]bool{}, only: -1}
	for name, slot := range c.slots {
		p.slots = append(p.slots, input{name, slot})
	}
	root := program.Node()
	ast.Walk(&root, p)
	if id, ok := root.(*ast.IdentifierNode); ok {
		if slot, ok := c.slots[id.Value]; ok {
			p.only = slot
		}
	}
	if want == Bool {
		p.test = fastTest(root, c.slots)
	}
	return p, nil
}

// Paths are the paths that the expression reads, with those of its neighbours.
func (p *Program) Paths() *Paths { return p.paths }

// ReadsValue tells whether the result depends on the record's value.
func (p *Program) ReadsValue() bool { return len(p.slots) > 0 || p.uses["value"] }

// Visit notes which names of the environment are left in the tree after paths were replaced.
func (p *Program) Visit(n *ast.Node) {
	if id, ok := (*n).(*ast.IdentifierNode); ok {
		p.uses[id.Value] = true
	}
}
