package yaml

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/leatstream/leat/internal/diag"
)

// Decode fills the struct that into points to from the Map n. Problems go to d; fields that are wrong keep their value.
//
// A field takes part by its tag `yaml:"name"` or `yaml:"name,required"`; `yaml:"-"` and untagged fields do not,
// except that an untagged embedded struct lends its fields. Kinds: string, bool, integers, floats, time.Duration
// (Go's form, and days and weeks: 7d, 2w), Bytes (64KiB, 10MB, 512), slices, maps with string keys, pointers, structs,
// *Node (as it stands) and any (string, bool, int64, float64, []any, map[string]any).
// A single value is accepted where a list is expected.
func Decode(n *Node, into any, d *diag.List) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		panic("yaml.Decode needs a pointer")
	}
	decode(n, v.Elem(), d)
}

// Bytes is a size in bytes that users write as 64KiB, 10MB or a plain number.
type Bytes int64

var (
	nodeType     = reflect.TypeFor[*Node]()
	durationType = reflect.TypeFor[time.Duration]()
	bytesType    = reflect.TypeFor[Bytes]()
)

func decode(n *Node, v reflect.Value, d *diag.List) {
	switch {
	case v.Type() == nodeType:
		v.Set(reflect.ValueOf(n))
		return
	case n.IsNull():
		return
	case v.Type() == durationType:
		decodeParsed(n, v, d, "a duration such as 500ms, 30s, 5m, 2h, 7d or 2w", ParseDuration)
		return
	case v.Type() == bytesType:
		decodeParsed(n, v, d, "a size such as 512, 64KiB or 10MB", parseBytes)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		decode(n, v.Elem(), d)
	case reflect.Interface:
		v.Set(reflect.ValueOf(n.Any()))
	case reflect.Struct:
		decodeStruct(n, v, d)
	case reflect.Slice:
		decodeSlice(n, v, d)
	case reflect.Map:
		decodeMap(n, v, d)
	default:
		decodeScalar(n, v, d)
	}
}

type field struct {
	name     string
	required bool
	index    []int
}

func fieldsOf(t reflect.Type) []field {
	var fields []field
	for _, sf := range reflect.VisibleFields(t) {
		tag := sf.Tag.Get("yaml")
		if tag == "" || tag == "-" || !sf.IsExported() {
			continue
		}
		name, opt, _ := strings.Cut(tag, ",")
		fields = append(fields, field{name: name, required: opt == "required", index: sf.Index})
	}
	return fields
}

func decodeStruct(n *Node, v reflect.Value, d *diag.List) {
	if n.Kind != Map {
		wrongType(n, d, Map.String())
		return
	}
	fields := fieldsOf(v.Type())
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.name
	}
	for i, key := range n.Keys {
		f := findField(fields, key.Value)
		if f == nil {
			d.Add(UnknownKey(key, known))
			continue
		}
		decode(n.Vals[i], v.FieldByIndex(f.index), d)
	}
	for _, f := range fields {
		if f.required && n.Get(f.name).IsNull() {
			at := n
			if k := n.FirstKey(); k != nil {
				at = k
			}
			d.Add(Problem(at, "yaml.missing-key", fmt.Sprintf("key %q is missing", f.name), fmt.Sprintf("add `%s: …`", f.name)))
		}
	}
}

func findField(fields []field, name string) *field {
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}

// UnknownKey is the problem of a key that nobody knows, with the nearest right one.
func UnknownKey(key *Node, known []string) diag.Problem {
	hint := "known keys: " + strings.Join(known, ", ")
	if near := diag.Nearest(key.Value, known); near != "" {
		hint = fmt.Sprintf("did you mean %q? (%s)", near, hint)
	}
	return Problem(key, "yaml.unknown-key", fmt.Sprintf("unknown key %q", key.Value), hint)
}

func decodeSlice(n *Node, v reflect.Value, d *diag.List) {
	items := n.Items
	switch n.Kind {
	case Scalar:
		items = []*Node{n}
	case Map:
		if k := v.Type().Elem().Kind(); k != reflect.Struct && k != reflect.Map && v.Type().Elem() != nodeType {
			wrongType(n, d, List.String())
			return
		}
		items = []*Node{n}
	case List:
	}
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		decode(item, out.Index(i), d)
	}
	v.Set(out)
}

func decodeMap(n *Node, v reflect.Value, d *diag.List) {
	if n.Kind != Map {
		wrongType(n, d, Map.String())
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), len(n.Keys))
	for i, key := range n.Keys {
		elem := reflect.New(v.Type().Elem()).Elem()
		decode(n.Vals[i], elem, d)
		out.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), elem)
	}
	v.Set(out)
}

func decodeParsed[T ~int64](n *Node, v reflect.Value, d *diag.List, want string, parse func(string) (T, error)) {
	if n.Kind != Scalar {
		wrongType(n, d, want)
		return
	}
	x, err := parse(n.Value)
	if err != nil {
		wrongType(n, d, want)
		return
	}
	v.SetInt(int64(x))
}

func decodeScalar(n *Node, v reflect.Value, d *diag.List) {
	if n.Kind != Scalar {
		wrongType(n, d, describe(v.Kind()))
		return
	}
	ok := false
	switch v.Kind() {
	case reflect.String:
		v.SetString(n.Value)
		ok = true
	case reflect.Bool:
		ok = n.Tag == "!!bool"
		v.SetBool(ok && strings.EqualFold(n.Value, "true"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		x, err := strconv.ParseInt(n.Value, 10, 64)
		if ok = err == nil && n.Tag == "!!int" && !v.OverflowInt(x); ok {
			v.SetInt(x)
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		x, err := strconv.ParseUint(n.Value, 10, 64)
		if ok = err == nil && n.Tag == "!!int" && !v.OverflowUint(x); ok {
			v.SetUint(x)
		}
	case reflect.Float32, reflect.Float64:
		x, err := strconv.ParseFloat(n.Value, 64)
		if ok = err == nil && !math.IsNaN(x) && !math.IsInf(x, 0) && (n.Tag == "!!int" || n.Tag == "!!float"); ok {
			v.SetFloat(x)
		}
	default:
		panic("yaml.Decode cannot fill " + v.Type().String())
	}
	if !ok {
		wrongType(n, d, describe(v.Kind()))
	}
}

func describe(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}

func wrongType(n *Node, d *diag.List, want string) {
	got := n.Kind.String()
	if n.Kind == Scalar {
		got = strconv.Quote(n.Value)
	}
	d.Add(Problem(n, "yaml.wrong-type", fmt.Sprintf("expected %s, found %s", want, got), ""))
}

// ParseDuration reads Go's durations and, besides, days and weeks: 7d, 2w, 1d12h.
func ParseDuration(s string) (time.Duration, error) {
	var extra time.Duration
	rest := s
	for _, u := range []struct {
		suffix string
		unit   time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		num, after, found := strings.Cut(rest, u.suffix)
		if !found {
			continue
		}
		x, err := strconv.ParseInt(num, 10, 64)
		if err != nil || x < 0 || x > int64(math.MaxInt64/u.unit) {
			return 0, fmt.Errorf("bad duration %q", s)
		}
		extra += time.Duration(x) * u.unit
		rest = after
	}
	if rest == "" && rest != s {
		return extra, nil
	}
	t, err := time.ParseDuration(rest)
	if err != nil {
		return 0, fmt.Errorf("bad duration %q", s)
	}
	return extra + t, nil
}

func parseBytes(s string) (Bytes, error) {
	units := []struct {
		suffix string
		unit   int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1}}
	for _, u := range units {
		num, found := strings.CutSuffix(s, u.suffix)
		if !found {
			continue
		}
		x, err := strconv.ParseInt(strings.TrimSpace(num), 10, 64)
		if err != nil || x < 0 || x > math.MaxInt64/u.unit {
			return 0, fmt.Errorf("bad size %q", s)
		}
		return Bytes(x * u.unit), nil
	}
	return 0, fmt.Errorf("bad size %q", s)
}

// Any gives the node as plain Go values: string, bool, int64, float64, nil, []any, map[string]any.
func (n *Node) Any() any {
	switch n.Kind {
	case Map:
		m := make(map[string]any, len(n.Keys))
		for i, k := range n.Keys {
			m[k.Value] = n.Vals[i].Any()
		}
		return m
	case List:
		l := make([]any, len(n.Items))
		for i, item := range n.Items {
			l[i] = item.Any()
		}
		return l
	case Scalar:
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int":
		if x, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return x
		}
	case "!!float":
		if x, err := strconv.ParseFloat(n.Value, 64); err == nil {
			return x
		}
	}
	return n.Value
}
