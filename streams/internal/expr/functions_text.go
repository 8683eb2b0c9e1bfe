package expr

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/vm/runtime"
)

// sliceFunction is what x[from:to] becomes: of a text it counts characters, as len does.
const sliceFunction = hidden + "slice"

// textFunctions work on text. replace, repeat and join refuse what would be too long before they make it.
var textFunctions = []function{
	{"string", func(args ...any) (any, error) {
		b, err := AppendText(nil, args[0])
		return string(b), err
	}, []any{new(func(any) string)}},
	{sliceFunction, slice, []any{new(func(any, any, any) any)}},
	{"replace", replace, []any{new(func(string, string, string) string), new(func(string, string, string, int) string)}},
	{"repeat", repeat, []any{new(func(string, int) string)}},
	{"join", join, []any{new(func([]any, string) string), new(func([]any) string), new(func([]string, string) string), new(func([]string) string)}},
	{"indexOf", func(args ...any) (any, error) { return find("indexOf", strings.Index, args) }, []any{new(func(string, string) int)}},
	{"lastIndexOf", func(args ...any) (any, error) { return find("lastIndexOf", strings.LastIndex, args) }, []any{new(func(string, string) int)}},
	{"hash", func(args ...any) (any, error) {
		b, err := AppendText(nil, args[0])
		sum := sha256.Sum256(b)
		return hex.EncodeToString(sum[:]), err
	}, []any{new(func(any) string)}},
	{"mask", mask, []any{new(func(string, int) string), new(func(string) string)}},
	{"regex_extract", extract, []any{new(func(string, string) any), new(func(string, string, int) any)}},
}

// slice is x[from:to]; nil stands for a bound that is left out.
func slice(args ...any) (any, error) {
	s, isText := args[0].(string)
	if !isText {
		if args[0] == nil {
			return nil, fmt.Errorf("null has no parts")
		}
		if args[1] == nil {
			args[1] = 0
		}
		if args[2] == nil {
			args[2] = runtime.Len(args[0])
		}
		return runtime.Slice(args[0], args[1], args[2]), nil
	}
	n := utf8.RuneCountInString(s)
	from, to := 0, n
	if args[1] != nil {
		from = bound(runtime.ToInt(args[1]), n)
	}
	if args[2] != nil {
		to = bound(runtime.ToInt(args[2]), n)
	}
	if n == len(s) {
		return s[min(from, to):to], nil
	}
	r := []rune(s)
	return string(r[min(from, to):to]), nil
}

// bound counts negative places from the end, and keeps to what is there.
func bound(i, n int) int {
	if i < 0 {
		i += n
	}
	return min(max(i, 0), n)
}

func texts(name string, args []any) (out [3]string, err error) {
	for i := range min(len(args), len(out)) {
		if out[i], err = arg[string](name, args, i); err != nil {
			return out, err
		}
	}
	return out, nil
}

func replace(args ...any) (any, error) {
	s, err := texts("replace", args)
	if err != nil {
		return nil, err
	}
	times := strings.Count(s[0], s[1])
	if len(args) > 3 {
		if n := runtime.ToInt(args[3]); n >= 0 {
			times = min(times, n)
		}
	}
	if len(s[0])+times*(len(s[2])-len(s[1])) > maxText {
		return nil, errText
	}
	return strings.Replace(s[0], s[1], s[2], times), nil
}

func repeat(args ...any) (any, error) {
	s, err := arg[string]("repeat", args, 0)
	if err != nil {
		return nil, err
	}
	n := runtime.ToInt(args[1])
	if n < 0 {
		return nil, fmt.Errorf("repeat needs a number of times, not %d", n)
	}
	if len(s) > 0 && n > maxText/len(s) {
		return nil, errText
	}
	return strings.Repeat(s, n), nil
}

func join(args ...any) (any, error) {
	glue := ""
	if len(args) == 2 {
		var err error
		if glue, err = arg[string]("join", args, 1); err != nil {
			return nil, err
		}
	}
	parts, ok := args[0].([]string)
	if !ok {
		all, err := arg[[]any]("join", args, 0)
		if err != nil {
			return nil, err
		}
		for i, el := range all {
			s, ok := el.(string)
			if !ok {
				return nil, fmt.Errorf("join needs a list of strings, but element %d is a %s: map(list, string(#)) makes them strings", i, kindName(el))
			}
			parts = append(parts, s)
		}
	}
	size := len(glue) * len(parts)
	for _, p := range parts {
		size += len(p)
	}
	if size > maxText {
		return nil, errText
	}
	return strings.Join(parts, glue), nil
}

// find counts in characters.
func find(name string, index func(s, substr string) int, args []any) (any, error) {
	s, err := texts(name, args)
	if err != nil {
		return nil, err
	}
	i := index(s[0], s[1])
	if i < 0 {
		return i, nil
	}
	return utf8.RuneCountInString(s[0][:i]), nil
}

// mask replaces all but the last n characters by *; without n, all.
func mask(args ...any) (any, error) {
	s, err := arg[string]("mask", args, 0)
	if err != nil {
		return nil, err
	}
	keep := 0
	if len(args) == 2 {
		keep = max(runtime.ToInt(args[1]), 0)
	}
	r := []rune(s)
	for i := range max(len(r)-keep, 0) {
		r[i] = '*'
	}
	return string(r), nil
}

// extract gives the first group of a regular expression's first match (the whole match, if it has no groups, or the
// numbered one); null if nothing matches.
func extract(args ...any) (any, error) {
	s, err := texts("regex_extract", args[:2])
	if err != nil {
		return nil, err
	}
	re, err := regexp.Compile(s[1])
	if err != nil {
		return nil, fmt.Errorf("regex_extract: %w", err)
	}
	group := min(re.NumSubexp(), 1)
	if len(args) == 3 {
		if group = runtime.ToInt(args[2]); group < 0 || group > re.NumSubexp() {
			return nil, fmt.Errorf("regex_extract: the expression has %d groups, so there is no group %d", re.NumSubexp(), group)
		}
	}
	m := re.FindStringSubmatchIndex(s[0])
	if m == nil || m[2*group] < 0 {
		return nil, nil //nolint:nilnil // null is the result
	}
	return s[0][m[2*group]:m[2*group+1]], nil
}
