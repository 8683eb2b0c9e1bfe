package yaml

import (
	"fmt"
	"strings"

	"github.com/leatstream/leat/internal/diag"
)

// Expression returns the expression that stands at n, exactly as the user wrote it, and the place of its first rune.
// It refuses an expression that YAML has changed before we saw it: `!x` became a tag, ` #` began a comment,
// a flow map was cut at a comma. The problem shows the line as it should be written.
func Expression(n *Node, d *diag.List) (src string, pos diag.Pos, ok bool) {
	if n == nil {
		return "", diag.Pos{}, false
	}
	if n.Kind != Scalar {
		d.Add(Problem(n, "expr.not-text", "expected an expression, found "+n.Kind.String(),
			"an expression that begins with { or [ must be quoted, or stand behind `|` on its own line"))
		return "", n.Pos, false
	}
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		d.Add(Problem(n, "expr.yaml-tag", fmt.Sprintf("YAML reads %q as a tag, not as part of the expression", n.Tag),
			"write `not "+strings.TrimSpace(strings.TrimPrefix(n.Tag, "!")+" "+n.Value)+"`, or quote the whole expression"))
		return "", n.Pos, false
	}
	if n.Plain && n.Comment != "" && looksCut(n.Value) {
		whole := n.Value + " " + n.Comment
		d.Add(ProblemAt(n, len([]rune(n.Value))+1, len([]rune(n.Comment)), "expr.yaml-comment",
			"YAML reads everything behind ` #` as a comment, so the expression is cut off",
			"write it behind `|`:\n  |\n    "+whole+"\nor, inside a predicate, `.field` instead of `#.field`"))
		return "", n.Pos, false
	}
	if n.IsNull() || strings.TrimSpace(n.Value) == "" {
		d.Add(Problem(n, "expr.empty", "the expression is empty", "write an expression, such as value.amount > 100"))
		return "", n.Pos, false
	}
	return strings.TrimRight(n.Value, "\n"), n.At(0), true
}

// looksCut reports whether an expression ends where no expression can end: inside brackets or quotes, or after an operator.
func looksCut(s string) bool {
	depth := 0
	var quote rune
	escaped := false
	for _, r := range s {
		switch {
		case quote != 0:
			switch {
			case escaped:
				escaped = false
			case r == '\\':
				escaped = true
			case r == quote:
				quote = 0
			}
		case r == '"' || r == '\'' || r == '`':
			quote = r
		case strings.ContainsRune("([{", r):
			depth++
		case strings.ContainsRune(")]}", r):
			depth--
		}
	}
	s = strings.TrimSpace(s)
	if depth != 0 || quote != 0 || s == "" || strings.ContainsAny(s[len(s)-1:], ",+-*/%<>=&|!?:(") {
		return true
	}
	words := strings.Fields(s)
	switch words[len(words)-1] {
	case "and", "or", "not", "in", "contains", "startsWith", "endsWith", "matches":
		return true
	}
	return false
}

// CheckExpressionMap reports what YAML did to a map of expressions in flow style: { } cuts expressions at commas
// and leaves keys without a value.
func CheckExpressionMap(n *Node, d *diag.List) bool {
	ok := true
	for i, key := range n.Keys {
		if n.Flow && n.Vals[i].IsNull() {
			ok = false
			d.Add(Problem(key, "expr.yaml-flow-map", fmt.Sprintf("YAML has cut an expression in two: %q became a key of its own", key.Value),
				"inside { } a comma ends a value; write one `name: expression` per line instead"))
		}
	}
	return ok
}
