package operator

import (
	"encoding/json"
	"fmt"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/streams/internal/expr"
)

var _ = register("explode", parseExplode)

// explode makes a record of each element of a list. With `as`, the element takes the place of that member in the value;
// without, it is the value.
type explode struct {
	changing
	list program
	as   string
	pos  diag.Pos
}

func parseExplode(n *yaml.Node, c *Context) Step {
	list, as := n, ""
	if n != nil && n.Kind == yaml.Map {
		var shape struct {
			List *yaml.Node `yaml:"list,required"`
			As   string     `yaml:"as"`
		}
		before := c.Diag.Len()
		if yaml.Decode(n, &shape, c.Diag); c.Diag.Len() > before {
			return nil
		}
		list, as = shape.List, shape.As
	}
	p, ok := c.compile(list, expr.Any)
	if !ok {
		return nil
	}
	return &explode{list: p, as: as, pos: n.Pos}
}

func (*explode) Kind() string { return "explode" }

func (x *explode) Start(t *Task, next Next) Next {
	return func(r *Record) error {
		raw, err := x.list.appendJSON(nil, t, "explode", r)
		if err != nil {
			return err
		}
		var elements []json.RawMessage
		if string(raw) != "null" {
			if err := json.Unmarshal(raw, &elements); err != nil {
				return x.list.failed("explode", fmt.Errorf("it is not a list but %.40s", raw))
			}
		}
		values, err := x.values(r, elements)
		if err != nil {
			return err
		}
		original := *r
		for _, v := range values {
			*r = original
			r.set(v)
			if err := next(r); err != nil {
				return err
			}
		}
		return nil
	}
}

// values are the new values, made before the first goes on: later steps reuse memory.
func (x *explode) values(r *Record, elements []json.RawMessage) ([][]byte, error) {
	out := make([][]byte, len(elements))
	name, _ := json.Marshal(x.as) // a string can always be encoded
	for i, el := range elements {
		if x.as == "" {
			out[i] = el
			continue
		}
		var e editor
		if err := e.members(r.Value); err != nil {
			return nil, x.list.failed("explode", err)
		}
		s := set{members: []member{{name: x.as, quoted: append(name[:len(name):len(name)], ':')}}}
		out[i] = s.apply(&e, [][]byte{el})
	}
	return out, nil
}
