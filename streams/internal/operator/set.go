package operator

import (
	"slices"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
)

var _ = register("set", parseSet)

// set adds members to the value, or replaces them in their place; everything else stays as it is, byte for byte.
type set struct {
	changing
	members []member
	pos     diag.Pos
}

func parseSet(n *yaml.Node, c *Context) Step {
	members, ok := parseMembers(n, c, "set")
	if !ok {
		return nil
	}
	for i, m := range members {
		if inside(m.name, n.Keys[i], c) {
			return nil
		}
	}
	return &set{members: members, pos: n.Pos}
}

func (*set) Kind() string { return "set" }

func (s *set) Start(t *Task, next Next) Next {
	var e editor
	values := make([][]byte, len(s.members))
	return func(r *Record) (err error) {
		for i, m := range s.members { // all see the value as it was
			if values[i], err = m.value.appendJSON(values[i][:0], t, "set", r); err != nil {
				return err
			}
		}
		if err := e.members(r.Value); err != nil {
			return &Error{Step: "set", Expression: s.members[0].name, Pos: s.pos, Cause: err}
		}
		r.set(s.apply(&e, values))
		return next(r)
	}
}

func (s *set) apply(e *editor, values [][]byte) []byte {
	dst := append(e.buf[:0], '{')
	put := func(head, value []byte) {
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, head...), value...)
	}
	done := make([]bool, len(s.members))
	for i := range e.whole.Len() {
		name, raw := e.whole.At(i)
		at := slices.IndexFunc(s.members, func(m member) bool { return m.name == name })
		switch {
		case at < 0:
			put(raw, nil)
		case !done[at]: // a duplicate of it is left out
			put(s.members[at].quoted, values[at])
			done[at] = true
		}
	}
	for i, m := range s.members {
		if !done[i] {
			put(m.quoted, values[i])
		}
	}
	e.buf = append(dst, '}')
	return e.buf
}
