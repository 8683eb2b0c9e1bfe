package operator

import (
	"slices"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
)

var _ = register("drop", parseDrop)

// drop takes members out of the value; everything else stays as it is, byte for byte.
type drop struct {
	changing
	names []string
	pos   diag.Pos
}

func parseDrop(n *yaml.Node, c *Context) Step {
	var names []string
	switch {
	case n != nil && n.Kind == yaml.Scalar && !n.IsNull():
		names = []string{n.Value}
	case n != nil && n.Kind == yaml.List && len(n.Items) > 0:
		before := c.Diag.Len()
		if yaml.Decode(n, &names, c.Diag); c.Diag.Len() > before {
			return nil
		}
	default:
		c.Diag.Add(yaml.Problem(n, "drop.shape", "drop needs the names of fields", "such as `- drop: [card, cvv]`"))
		return nil
	}
	for _, name := range names {
		if inside(name, n, c) {
			return nil
		}
	}
	return &drop{names: names, pos: n.Pos}
}

func (*drop) Kind() string { return "drop" }

func (d *drop) Start(_ *Task, next Next) Next {
	var e editor
	return func(r *Record) error {
		if err := e.members(r.Value); err != nil {
			return &Error{Step: "drop", Expression: d.names[0], Pos: d.pos, Cause: err}
		}
		r.set(e.keep(func(name string) bool { return !slices.Contains(d.names, name) }))
		return next(r)
	}
}
