package operator

import (
	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/streams/internal/expr"
)

var _ = register("branch", parseBranch)

// branch sends a record to the topic of the first condition that holds; what matches none is dropped, or goes where
// `else` says.
type branch struct {
	arms []arm
}

type arm struct {
	when *program // nil: else
	to   string   // empty: dropped
}

// dropped is the topic name that means none, as the value of else.
const dropped = "drop"

func parseBranch(n *yaml.Node, c *Context) Step {
	if n == nil || n.Kind != yaml.List || len(n.Items) == 0 {
		c.Diag.Add(yaml.Problem(n, "branch.shape", "branch needs a list of conditions with their topics",
			"such as\n  branch:\n    - when: value.amount > 100\n      to: large\n    - else: small"))
		return nil
	}
	b, ok := &branch{}, true
	for i, item := range n.Items {
		a, fine := parseArm(item, i == len(n.Items)-1, c)
		ok = ok && fine
		b.arms = append(b.arms, a)
	}
	if !ok {
		return nil
	}
	return b
}

func parseArm(n *yaml.Node, last bool, c *Context) (arm, bool) {
	var shape struct {
		When *yaml.Node `yaml:"when"`
		To   string     `yaml:"to"`
		Else string     `yaml:"else"`
	}
	before := c.Diag.Len()
	if yaml.Decode(n, &shape, c.Diag); c.Diag.Len() > before {
		return arm{}, false
	}
	switch {
	case shape.Else != "" && shape.When == nil && shape.To == "":
		if !last {
			c.Diag.Add(yaml.Problem(n, "branch.else", "else must come last: nothing after it is reached", ""))
			return arm{}, false
		}
		if shape.Else == dropped {
			return arm{}, true
		}
		return arm{to: shape.Else}, true
	case shape.When == nil || shape.To == "" || shape.Else != "":
		c.Diag.Add(yaml.Problem(n, "branch.shape", "each branch needs `when:` and `to:`, or only `else:`", ""))
		return arm{}, false
	}
	when, ok := c.compile(shape.When, expr.Bool)
	return arm{when: &when, to: shape.To}, ok
}

func (*branch) Kind() string  { return "branch" }
func (*branch) Changes() bool { return false }

func (b *branch) Topics() []string {
	var out []string
	for _, a := range b.arms {
		if a.to != "" {
			out = append(out, a.to)
		}
	}
	return out
}

func (b *branch) Start(t *Task, _ Next) Next {
	return func(r *Record) error {
		for _, a := range b.arms {
			if a.when != nil {
				ok, err := a.when.test(t, "branch", r)
				if err != nil {
					return err
				}
				if !ok {
					continue
				}
			}
			if a.to == "" {
				return nil
			}
			return t.Emit(a.to, r)
		}
		return nil
	}
}
