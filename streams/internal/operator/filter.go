package operator

import (
	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/streams/internal/expr"
)

var _ = register("filter", parseFilter)

// filter lets records through for which a condition holds.
type filter struct {
	plain
	when program
}

func parseFilter(n *yaml.Node, c *Context) Step {
	when, ok := c.compile(n, expr.Bool)
	if !ok {
		return nil
	}
	return &filter{when: when}
}

func (*filter) Kind() string { return "filter" }

func (f *filter) Start(t *Task, next Next) Next {
	return func(r *Record) error {
		ok, err := f.when.test(t, "filter", r)
		if err != nil || !ok {
			return err
		}
		return next(r)
	}
}
