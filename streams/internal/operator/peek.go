package operator

import "github.com/leatstream/leat/internal/yaml"

var _ = register("peek", parsePeek)

// peek shows records that pass, under a name, in the log. It changes nothing.
type peek struct {
	plain
	name string
}

func parsePeek(n *yaml.Node, c *Context) Step {
	if n == nil || n.Kind != yaml.Scalar || n.IsNull() {
		c.Diag.Add(yaml.Problem(n, "peek.shape", "peek needs a name to show records under", "such as `- peek: after-filter`"))
		return nil
	}
	return &peek{name: n.Value}
}

func (*peek) Kind() string { return "peek" }

func (p *peek) Start(t *Task, next Next) Next {
	return func(r *Record) error {
		if t.Peek != nil {
			t.Peek(p.name, r)
		}
		return next(r)
	}
}
