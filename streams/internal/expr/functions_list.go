package expr

import (
	"fmt"
	"reflect"
)

// listFunctions work on lists.
var listFunctions = []function{
	{"uniq", uniq, []any{new(func(any) []any)}},
}

// uniq keeps the first of equal elements. Unlike expr-lang's it takes as many steps as there are elements.
func uniq(args ...any) (any, error) {
	list := reflect.ValueOf(args[0])
	if k := list.Kind(); k != reflect.Slice && k != reflect.Array {
		return nil, fmt.Errorf("uniq needs a list, not %s", kindName(args[0]))
	}
	seen := map[any]bool{}
	out := []any{}
	for i := range list.Len() {
		el := list.Index(i).Interface()
		id, err := identity(el)
		if err != nil {
			return nil, err
		}
		if !seen[id] {
			seen[id] = true
			out = append(out, el)
		}
	}
	return out, nil
}

// composite is a list or an object, as the text that equal ones share.
type composite string

// identity is equal for equal values; 1 and 1.0 are.
func identity(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string:
		return v, nil
	case int:
		return int64(v), nil
	case int64:
		return v, nil
	case float64:
		if n := int64(v); float64(n) == v {
			return n, nil
		}
		return v, nil
	}
	b, err := AppendJSON(nil, v)
	return composite(b), err
}
