package operator

import (
	"fmt"
	"strings"

	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/streams/internal/expr"
)

// inside refuses a path where a member's name is wanted: taken for a name, it would quietly do nothing.
func inside(name string, n *yaml.Node, c *Context) bool {
	outer, _, ok := strings.Cut(name, ".")
	if !ok {
		return false
	}
	c.Diag.Add(yaml.Problem(n, "step.path", fmt.Sprintf("%q is a path; set and drop change the members of the value itself", name),
		fmt.Sprintf("set the whole member, such as `set: {%s: omit(value.%s, …)}`", outer, outer)))
	return true
}

// editor changes members of a JSON object and copies everything else as it stands.
type editor struct {
	buf   []byte
	whole expr.Members
}

// members lists the record's members. The cause is worded for the step's error.
func (e *editor) members(value []byte) error {
	if err := e.whole.Read(value); err != nil {
		return fmt.Errorf("the value is not a JSON object: %w", err)
	}
	return nil
}

// keep builds the object of the members whose names pass.
func (e *editor) keep(pass func(name string) bool) []byte {
	dst := append(e.buf[:0], '{')
	for i := range e.whole.Len() {
		name, raw := e.whole.At(i)
		if !pass(name) {
			continue
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(dst, raw...)
	}
	e.buf = append(dst, '}')
	return e.buf
}
