package operator

import (
	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/streams/internal/expr"
)

var _ = register("map", parseMap)

// mapping builds a new object, member by member in the order of the YAML; or, from a single expression, any value.
type mapping struct {
	changing
	members []member
	whole   *program
}

// member is one `name: expression`.
type member struct {
	name   string
	quoted []byte // `"name":`
	value  program
}

func parseMap(n *yaml.Node, c *Context) Step {
	if n != nil && n.Kind == yaml.Scalar {
		p, ok := c.compile(n, expr.Any)
		if !ok {
			return nil
		}
		return &mapping{whole: &p}
	}
	members, ok := parseMembers(n, c, "map")
	if !ok {
		return nil
	}
	return &mapping{members: members}
}

// parseMembers reads a map of expressions.
func parseMembers(n *yaml.Node, c *Context, kind string) ([]member, bool) {
	if n == nil || n.Kind != yaml.Map || len(n.Keys) == 0 {
		c.Diag.Add(yaml.Problem(n, kind+".shape", kind+" needs `name: expression` lines", "such as\n  "+kind+":\n    id: value.id"))
		return nil, false
	}
	if !yaml.CheckExpressionMap(n, c.Diag) {
		return nil, false
	}
	ok := true
	var members []member
	for i, key := range n.Keys {
		p, fine := c.compile(n.Vals[i], expr.Any)
		if !fine {
			ok = false
			continue
		}
		quoted, _ := expr.AppendJSON(nil, key.Value) // a string can always be encoded
		members = append(members, member{key.Value, append(quoted, ':'), p})
	}
	return members, ok
}

func (*mapping) Kind() string { return "map" }

func (m *mapping) Start(t *Task, next Next) Next {
	var buf []byte
	return func(r *Record) (err error) {
		if m.whole != nil {
			if buf, err = m.whole.appendJSON(buf[:0], t, "map", r); err != nil {
				return err
			}
		} else if buf, err = m.object(buf[:0], t, r); err != nil {
			return err
		}
		r.set(buf)
		return next(r)
	}
}

func (m *mapping) object(dst []byte, t *Task, r *Record) (_ []byte, err error) {
	for i, x := range m.members {
		if i == 0 {
			dst = append(dst, '{')
		} else {
			dst = append(dst, ',')
		}
		dst = append(dst, x.quoted...)
		if dst, err = x.value.appendJSON(dst, t, "map", r); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}
