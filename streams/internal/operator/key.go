package operator

import (
	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/streams/internal/expr"
)

var _ = register("key", parseKey)

// key gives the record another key: a string as it is, null as no key, anything else as JSON.
type key struct {
	plain
	value program
}

func parseKey(n *yaml.Node, c *Context) Step {
	p, ok := c.compile(n, expr.Any)
	if !ok {
		return nil
	}
	return &key{value: p}
}

func (*key) Kind() string { return "key" }

func (k *key) Start(t *Task, next Next) Next {
	return func(r *Record) error {
		v, err := k.value.value(t, "key", r)
		if err != nil {
			return err
		}
		switch v := v.(type) {
		case nil:
			r.Key = nil
		case string:
			r.Key = []byte(v)
		default:
			if r.Key, err = expr.AppendJSON(nil, v); err != nil {
				return k.value.failed("key", err)
			}
		}
		r.Changed = true
		return next(r)
	}
}
