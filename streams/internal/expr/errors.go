package expr

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/file"
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
)

// problem words an error of the compiler for the user, at its place.
func problem(n *yaml.Node, src string, err error) diag.Problem {
	var at *file.Error
	if !errors.As(err, &at) {
		msg, hint := reword(&file.Error{Message: err.Error()}, src)
		return yaml.Problem(n, "expr.invalid", msg, hint)
	}
	msg, hint := reword(at, src)
	return yaml.ProblemAt(n, at.From, max(at.To-at.From, 1), "expr.invalid", msg, hint)
}

var (
	unknownName = regexp.MustCompile(`^unknown name (\S+)$`)
	unexpected  = regexp.MustCompile(`^unexpected token \w+\("(.*)"\)$`)
)

// reword says the compiler's message so that it teaches.
func reword(at *file.Error, src string) (string, string) {
	msg := at.Message
	if m := unknownName.FindStringSubmatch(msg); m != nil {
		return reunknown(m[1], at, src)
	}
	if m := unexpected.FindStringSubmatch(msg); m != nil {
		return fmt.Sprintf("%q does not belong here", m[1]), misplaced(m[1], at, src)
	}
	switch {
	case strings.HasPrefix(msg, "unexpected token EOF"), strings.HasPrefix(msg, "unexpected end of expression"):
		if strings.Contains(src, "if ") && !strings.Contains(src, "else") {
			return "the expression ends too early", "`if` needs its `else`: if value.ok { 1 } else { 2 }"
		}
		return "the expression ends too early", "a value, an operator or a closing bracket is missing"
	case strings.HasPrefix(msg, "literal not terminated"):
		return "a quote is opened and never closed", ""
	case strings.HasPrefix(msg, "expected bool, but got"):
		return "the expression must be true or false" + strings.TrimPrefix(msg, "expected bool"), "compare with something, such as value.amount > 100"
	case strings.HasPrefix(msg, "$env"):
		return msg, "the names are " + strings.Join(names, ", ")
	case strings.HasPrefix(msg, "a map key must be"):
		return msg, `merge(value, {"name": 1}) gives an object with more members`
	case strings.HasPrefix(msg, "cannot redeclare"):
		return msg + ": the name is taken", "give the variable another name"
	case strings.HasPrefix(msg, "invalid integer literal"):
		return "the number is beyond 64 bits", "write it with a decimal point: it is compared as a floating-point number then"
	case strings.Contains(msg, "exceeds maximum allowed nodes"):
		return fmt.Sprintf("the expression is too large: it has more than %d parts", maxNodes), "spread it over several steps"
	case strings.Contains(msg, "mismatched types"):
		return strings.ReplaceAll(msg, "unknown", "any"), mismatch(msg)
	}
	return msg, ""
}

func reunknown(name string, at *file.Error, src string) (string, string) {
	known := names
	runes := []rune(src)
	called := at.To < len(runes) && runes[at.To] == '('
	if called {
		known = functionNames()
	}
	msg := fmt.Sprintf("unknown name %q", name)
	near := diag.Nearest(name, known)
	if near == "" {
		near = diag.Nearest(strings.ToLower(name), known)
	}
	switch {
	case near != "":
		return msg, fmt.Sprintf("did you mean %q?", near)
	case called:
		return fmt.Sprintf("unknown function %q", name), "https://expr-lang.org/docs/language-definition lists the functions"
	default:
		return msg, fmt.Sprintf("a field of the record is value.%s; the names are %s", name, strings.Join(names, ", "))
	}
}

// misplaced gives a hint for words that other languages have.
func misplaced(token string, at *file.Error, src string) string {
	switch strings.ToLower(token) {
	case "=":
		return "`==` compares"
	case "like":
		return "text is compared by `contains`, `startsWith`, `endsWith` and `matches` (a regular expression)"
	case "between":
		return "write value.x >= 1 and value.x <= 2"
	case "is":
		return "`==` compares: value.x == nil"
	case "and", "or", "not", "in":
		if token != strings.ToLower(token) {
			return fmt.Sprintf("write %q in small letters", strings.ToLower(token))
		}
	case "<>":
		return "`!=` is not equal"
	case ">":
		if before := []rune(src); at.From > 0 && at.From <= len(before) && before[at.From-1] == '<' {
			return "`!=` is not equal"
		}
	}
	return ""
}

func mismatch(msg string) string {
	switch {
	case strings.Contains(msg, "operation: and "), strings.Contains(msg, "operation: && "), strings.Contains(msg, "operation: or "), strings.Contains(msg, "operation: || "):
		return "each side must be true or false, such as value.amount > 100"
	case strings.Contains(msg, "operation: + "):
		return "string(x) makes text of anything; int(x) and float(x) make numbers of text"
	case strings.Contains(msg, "time.Time"):
		return `times are compared with times, such as date("2026-01-31") or now() - duration("1h")`
	}
	return ""
}

var (
	wrongKind   = regexp.MustCompile(`^interface conversion: interface \{\} is (.+), not (.+)$`)
	goName      = regexp.MustCompile(`\bmap\[string\](?:interface \{\}|any)|\[\](?:interface \{\}|any)|\b(?:int64|float64)\b|<nil>`)
	plainerName = map[string]string{"int64": "int", "float64": "float", "<nil>": "null"}
)

// runtimeError takes the snippet off the VM's message and says what was missing.
func runtimeError(err error) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return err
	}
	for _, ours := range []error{errSteps, errBytes, errTime, errText} {
		if errors.Is(err, ours) {
			return ours
		}
	}
	msg := at.Message
	if kind, ok := strings.CutPrefix(msg, "invalid operation: bool("); ok {
		msg = fmt.Sprintf("the condition gives %s, not true or false", strings.TrimSuffix(kind, ")"))
	}
	if m := wrongKind.FindStringSubmatch(msg); m != nil {
		if m[1] == "nil" {
			m[1] = "null"
		}
		msg = fmt.Sprintf("%s is needed, not %s", m[2], m[1])
	}
	msg = goName.ReplaceAllStringFunc(msg, func(s string) string {
		switch {
		case strings.HasPrefix(s, "map"):
			return "object"
		case strings.HasPrefix(s, "[]"):
			return "list"
		}
		return plainerName[s]
	})
	if strings.Contains(msg, "null") || strings.Contains(msg, "nil") {
		msg += " (a field that the expression reads is missing or null; `??` gives a default)"
	}
	return errors.New(msg)
}
