package expr

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
)

// Budgets of one expression.
const (
	maxSource = 8 << 10 // bytes of source
	maxNodes  = 2000    // of the syntax tree
	maxMemory = 100_000 // elements that one evaluation may make
	maxSteps  = 100_000 // bodies of predicates that one evaluation may run
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
	slots   map[string]int // environment names of paths
	uses    map[string]bool
	only    int  // the expression is nothing but this path; -1: it is more
	test    test // a way to evaluate without the VM; nil: there is none
	want    Want
}

// Names are what expressions see.
var names = []string{"value", "key", "headers", "ts", "topic", "partition", "offset"}

// environment gives the names their types.
func environment() types.Map {
	return types.Map{
		"value": types.Any, "key": types.Any, "headers": types.TypeOf(map[string]string{}), "ts": types.TypeOf(epoch),
		"topic": types.String, "partition": types.Int, "offset": types.Int,
		stepFunction: types.TypeOf(stepType(nil)), nowFunction: types.TypeOf(func() (t time.Time) { return t }),
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
	c := &collector{paths: paths, slots: map[string]int{}, env: environment()}
	if tree, err := parser.Parse(src); err == nil {
		ast.Walk(&tree.Node, c) // the checker must know the names of paths beforehand
	}
	opts := []expr.Option{expr.Env(c.env), expr.MaxNodes(maxNodes), expr.Patch(c)}
	opts = append(opts, functions()...)
	if want == Bool {
		opts = append(opts, expr.AsBool())
	}
	program, err := expr.Compile(src, opts...)
	if err != nil {
		return nil, err
	}
	p := &Program{Source: src, paths: paths, program: program, slots: c.slots, uses: map[string]bool{}, only: -1, want: want}
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

// Visit notes which names of the environment are left in the tree after paths were replaced.
func (p *Program) Visit(n *ast.Node) {
	if id, ok := (*n).(*ast.IdentifierNode); ok && !strings.HasPrefix(id.Value, slotPrefix) {
		p.uses[id.Value] = true
	}
}

// collector replaces value.a.b by a name of its own, which the evaluator fills from a slot, and counts steps of loops.
type collector struct {
	paths *Paths
	slots map[string]int
	env   types.Map
}

// slotPrefix begins names that no user can write.
const slotPrefix = "\x00"

// Visit is called for children before their parents: a chain is replaced link by link.
func (c *collector) Visit(n *ast.Node) {
	switch x := (*n).(type) {
	case *ast.MemberNode:
		name, ok := x.Property.(*ast.StringNode)
		base, path := c.base(x.Node)
		if !ok || !base {
			return
		}
		path = append(path, name.Value)
		id := slotPrefix + strings.Join(path, slotPrefix)
		c.slots[id] = c.paths.want(path)
		c.env[id] = types.Any
		ast.Patch(n, &ast.IdentifierNode{Value: id})
	case *ast.ChainNode: // value?.a?.b: missing is nil anyhow
		if id, ok := x.Node.(*ast.IdentifierNode); ok && strings.HasPrefix(id.Value, slotPrefix) {
			ast.Patch(n, id)
		}
	case *ast.PredicateNode:
		x.Node = &ast.CallNode{Callee: &ast.IdentifierNode{Value: stepFunction}, Arguments: []ast.Node{x.Node}}
	}
}

// base tells whether n is value or a path below it, and which.
func (c *collector) base(n ast.Node) (bool, []string) {
	id, ok := n.(*ast.IdentifierNode)
	if !ok {
		return false, nil
	}
	if id.Value == "value" {
		return true, nil
	}
	path, ok := strings.CutPrefix(id.Value, slotPrefix)
	return ok, strings.Split(path, slotPrefix)
}

// problem words an error of the compiler for the user, at its place.
func problem(n *yaml.Node, src string, err error) diag.Problem {
	var at *file.Error
	if !errors.As(err, &at) {
		msg, hint := reword(&file.Error{Message: err.Error()}, src)
		return yaml.Problem(n, "expr.invalid", msg, hint)
	}
	msg, hint := reword(at, src)
	return yaml.ProblemAt(n, at.From, max(at.To-at.From, 1), "expr.invalid", msg, hint)
}

var unknownName = regexp.MustCompile(`^unknown name (\S+)$`)

// reword says the compiler's message so that it teaches.
func reword(at *file.Error, src string) (string, string) {
	msg := at.Message
	if m := unknownName.FindStringSubmatch(msg); m != nil {
		known := names
		if runes := []rune(src); at.To < len(runes) && runes[at.To] == '(' {
			known = functionNames()
		}
		if near := diag.Nearest(m[1], known); near != "" {
			return fmt.Sprintf("unknown name %q", m[1]), fmt.Sprintf("did you mean %q?", near)
		}
		return fmt.Sprintf("unknown name %q", m[1]), fmt.Sprintf("a field of the record is value.%s; the names are %s", m[1], strings.Join(names, ", "))
	}
	switch {
	case strings.HasPrefix(msg, "unexpected token EOF"):
		return "the expression ends too early", ""
	case strings.HasPrefix(msg, "expected bool, but got"):
		return "the expression must be true or false" + strings.TrimPrefix(msg, "expected bool"), "compare with something, such as value.amount > 100"
	case strings.Contains(msg, `Operator("=")`) || strings.Contains(src, " = "):
		return msg, "`==` compares"
	}
	return msg, ""
}
