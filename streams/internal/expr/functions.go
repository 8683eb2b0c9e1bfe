package expr

import (
	"fmt"
	"slices"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/builtin"
)

// epoch is a time to take the type of.
var epoch time.Time

// nowFunction is replaced by the evaluator: now() is the record's time, so that a replay gives the same results.
const nowFunction = "now"

// function is one that expr-lang does not have, or does otherwise than records need.
type function struct {
	name  string
	fn    func(args ...any) (any, error)
	types []any
}

// functions are ours, over expr-lang's built-in ones.
func functions() []expr.Option {
	opts := append(budgetFunctions(), expr.DisableBuiltin(nowFunction))
	for _, f := range slices.Concat(textFunctions, jsonFunctions, timeFunctions, listFunctions) {
		opts = append(opts, expr.Function(f.name, f.fn, f.types...))
	}
	return opts
}

// functionNames are all that a user can call.
func functionNames() []string {
	out := []string{nowFunction}
	for _, f := range slices.Concat(textFunctions, jsonFunctions, timeFunctions, listFunctions) {
		if f.name[0] != hidden[0] {
			out = append(out, f.name)
		}
	}
	for _, f := range builtin.Builtins {
		out = append(out, f.Name)
	}
	return out
}

// arg is argument i as a T. name is the function that wants it.
func arg[T any](name string, args []any, i int) (T, error) {
	v, ok := args[i].(T)
	if !ok {
		return v, fmt.Errorf("%s needs a %s, not %s", name, kindName(v), kindName(args[i]))
	}
	return v, nil
}

// kindName is the word for what v is, in messages.
func kindName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "bool"
	case string:
		return "string"
	case int, int64:
		return "int"
	case float64:
		return "float"
	case map[string]any:
		return "object"
	case []any, []string, []int:
		return "list"
	case time.Time:
		return "time"
	case time.Duration:
		return "duration"
	}
	return fmt.Sprintf("%T", v)
}
