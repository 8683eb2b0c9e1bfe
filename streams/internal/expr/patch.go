package expr

import (
	"reflect"
	"slices"
	"strconv"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
)

// hidden begins names that no user can write.
const hidden = "\x00"

// manySums is how many strings an expression may add up before each sum is charged to its budget.
const manySums = 8

// collector rewrites the tree of an expression: value.a.b becomes a name of its own, which the evaluator fills from a
// slot; what can repeat or grow is charged to the budget; slices of strings count characters.
type collector struct {
	paths *Paths
	slots map[string]int
	path  map[string][]string
	env   types.Map
	sums  int
	err   error // what no expression may do
}

func newCollector(paths *Paths) *collector {
	return &collector{paths: paths, slots: map[string]int{}, path: map[string][]string{}, env: environment()}
}

// Visit is called for children before their parents: a chain of members is replaced link by link.
func (c *collector) Visit(n *ast.Node) {
	switch x := (*n).(type) {
	case *ast.IdentifierNode:
		if x.Value == "$env" && c.err == nil {
			c.err = &file.Error{Location: x.Location(), Message: "$env is not available"}
		}
	case *ast.MemberNode:
		c.member(n, x)
	case *ast.ChainNode: // value?.a?.b: missing is nil anyhow
		if id, ok := x.Node.(*ast.IdentifierNode); ok && c.path[id.Value] != nil {
			ast.Patch(n, id)
		}
	case *ast.PredicateNode:
		x.Node = c.charged(stepFunction, x.Node)
	case *ast.VariableDeclaratorNode:
		x.Value = c.charged(chargeFunction, x.Value)
	case *ast.BinaryNode:
		if x.Operator == "+" && couldBeText(x.Left) && couldBeText(x.Right) {
			if c.sums++; c.sums > manySums {
				ast.Patch(n, c.charged(chargeFunction, &ast.BinaryNode{Operator: "+", Left: x.Left, Right: x.Right}))
			}
		}
	case *ast.SliceNode:
		if couldBeText(x.Node) {
			ast.Patch(n, call(sliceFunction, x.Node, orNil(x.From), orNil(x.To)))
		}
	}
}

func (c *collector) member(n *ast.Node, x *ast.MemberNode) {
	name, ok := x.Property.(*ast.StringNode)
	base, below := c.base(x.Node)
	if !ok || !below {
		return
	}
	path := append(slices.Clone(base), name.Value)
	slot := c.paths.want(path)
	id := hidden + strconv.Itoa(slot)
	c.slots[id], c.path[id], c.env[id] = slot, path, types.Any
	ast.Patch(n, &ast.IdentifierNode{Value: id})
}

// base tells whether n is value or a path below it, and which.
func (c *collector) base(n ast.Node) ([]string, bool) {
	id, ok := n.(*ast.IdentifierNode)
	if !ok {
		return nil, false
	}
	path, below := c.path[id.Value]
	return path, below || id.Value == "value"
}

// charged wraps n in a function that charges the budget and gives n's result.
func (c *collector) charged(function string, n ast.Node) ast.Node {
	return call(function, &ast.IdentifierNode{Value: budgetName}, n)
}

// call is a call of one of the hidden functions, in the place of its last argument but those that say nothing.
func call(function string, args ...ast.Node) ast.Node {
	n := &ast.CallNode{Callee: &ast.IdentifierNode{Value: function}, Arguments: args}
	for _, a := range args {
		if a.Location() != (file.Location{}) {
			n.SetLocation(a.Location())
		}
	}
	return n
}

func orNil(n ast.Node) ast.Node {
	if n == nil {
		return &ast.NilNode{}
	}
	return n
}

// couldBeText tells whether n may give a string, by what the checker knows.
func couldBeText(n ast.Node) bool {
	switch n.Type().Kind() {
	case reflect.String, reflect.Interface:
		return true
	default:
		return false
	}
}
