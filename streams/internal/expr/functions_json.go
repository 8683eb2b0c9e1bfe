package expr

import (
	"fmt"
	"maps"
	"slices"
)

// jsonFunctions work on objects. keys, values and toPairs go by the order of the names: expr-lang's go by chance, and a
// replay would give other results.
var jsonFunctions = []function{
	{"toJSON", func(args ...any) (any, error) {
		b, err := AppendJSON(nil, args[0])
		return string(b), err
	}, []any{new(func(any) string)}},
	{"fromJSON", func(args ...any) (any, error) {
		s, err := arg[string]("fromJSON", args, 0)
		if err != nil {
			return nil, err
		}
		v := View{}
		v.Reset([]byte(s), NewPaths())
		if err := v.Scan(); err != nil {
			return nil, fmt.Errorf("fromJSON: %w", err)
		}
		return decode([]byte(s))
	}, []any{new(func(string) any)}},
	{"merge", merge, []any{new(func(...any) map[string]any)}},
	{"omit", func(args ...any) (any, error) { return choose("omit", args, false) }, []any{new(func(any, ...string) map[string]any)}},
	{"pick", func(args ...any) (any, error) { return choose("pick", args, true) }, []any{new(func(any, ...string) map[string]any)}},
	{"keys", func(args ...any) (any, error) {
		m, err := arg[map[string]any]("keys", args, 0)
		out := make([]any, 0, len(m))
		for _, k := range slices.Sorted(maps.Keys(m)) {
			out = append(out, k)
		}
		return out, err
	}, []any{new(func(any) []any)}},
	{"values", func(args ...any) (any, error) {
		m, err := arg[map[string]any]("values", args, 0)
		out := make([]any, 0, len(m))
		for _, k := range slices.Sorted(maps.Keys(m)) {
			out = append(out, m[k])
		}
		return out, err
	}, []any{new(func(any) []any)}},
	{"toPairs", func(args ...any) (any, error) {
		m, err := arg[map[string]any]("toPairs", args, 0)
		out := make([]any, 0, len(m))
		for _, k := range slices.Sorted(maps.Keys(m)) {
			out = append(out, []any{k, m[k]})
		}
		return out, err
	}, []any{new(func(any) []any)}},
}

// merge joins objects; the last of a name counts.
func merge(args ...any) (any, error) {
	out := map[string]any{}
	for i := range args {
		m, err := arg[map[string]any]("merge", args, i)
		if err != nil {
			return nil, err
		}
		maps.Copy(out, m)
	}
	return out, nil
}

// choose keeps (or leaves out) the named members of an object.
func choose(name string, args []any, keep bool) (any, error) {
	m, err := arg[map[string]any](name, args, 0)
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for i := range args[1:] {
		s, err := arg[string](name, args, i+1)
		if err != nil {
			return nil, err
		}
		named[s] = true
	}
	out := map[string]any{}
	for k, v := range m {
		if named[k] == keep {
			out[k] = v
		}
	}
	return out, nil
}
