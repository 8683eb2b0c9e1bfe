package expr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/builtin"
	"github.com/leatstream/leat/internal/yaml"
)

// epoch is a time to take the type of.
var epoch time.Time

// stepFunction counts the runs of predicates' bodies. Its name cannot be written by a user.
const stepFunction = "\x00step"

type stepType = func(args ...any) (any, error)

var errSteps = errors.New("the expression takes too many steps")

// nowFunction is replaced by the evaluator: now() is the record's time, so that a replay gives the same results.
const nowFunction = "now"

func functions() []expr.Option {
	return []expr.Option{
		expr.DisableBuiltin("now"),
		expr.DisableBuiltin("duration"),
		expr.DisableBuiltin("toJSON"),
		expr.Function("wall_now", func(...any) (any, error) { return time.Now(), nil }, new(func() time.Time)),
		expr.Function("duration", func(args ...any) (any, error) { return yaml.ParseDuration(args[0].(string)) }, new(func(string) time.Duration)),
		expr.Function("toJSON", func(args ...any) (any, error) {
			b, err := AppendJSON(nil, args[0])
			return string(b), err
		}, new(func(any) string)),
		expr.Function("merge", func(args ...any) (any, error) {
			out := map[string]any{}
			for _, a := range args {
				m, ok := a.(map[string]any)
				if !ok {
					return nil, fmt.Errorf("merge: %T is not an object", a)
				}
				for k, v := range m {
					out[k] = v
				}
			}
			return out, nil
		}, new(func(...any) map[string]any)),
		expr.Function("omit", func(args ...any) (any, error) { return choose(args, false) }, new(func(any, ...string) map[string]any)),
		expr.Function("pick", func(args ...any) (any, error) { return choose(args, true) }, new(func(any, ...string) map[string]any)),
	}
}

// choose keeps (or leaves out) the named members of an object.
func choose(args []any, keep bool) (any, error) {
	m, ok := args[0].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%T is not an object", args[0])
	}
	named := map[string]bool{}
	for _, a := range args[1:] {
		named[a.(string)] = true
	}
	out := map[string]any{}
	for k, v := range m {
		if named[k] == keep {
			out[k] = v
		}
	}
	return out, nil
}

func functionNames() []string {
	out := []string{"now", "wall_now", "merge", "omit", "pick"}
	for _, f := range builtin.Builtins {
		out = append(out, f.Name)
	}
	return out
}

// AppendJSON appends v as compact JSON: integers as integers, without HTML escapes, objects by key.
func AppendJSON(dst []byte, v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return dst, err
	}
	return append(dst, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...), nil
}
