package sdk

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leatstream/leat/internal/diag"
)

// value sets dst, of the field's kind, from raw.
func (d *decoder) value(f *field, raw any, dst reflect.Value, at string) {
	switch f.kind {
	case kindStruct:
		tree, ok := raw.(map[string]any)
		if !ok {
			d.mismatch(f, raw, at)
			return
		}
		d.fields(f.sub, tree, dst, at)
	case kindList:
		items, ok := raw.([]any)
		if !ok {
			d.mismatch(f, raw, at)
			return
		}
		list := reflect.MakeSlice(dst.Type(), len(items), len(items))
		for i, item := range items {
			d.value(f.elem, item, list.Index(i), fmt.Sprintf("%s[%d]", at, i))
		}
		dst.Set(list)
	case kindMap:
		tree, ok := raw.(map[string]any)
		if !ok {
			d.mismatch(f, raw, at)
			return
		}
		m := reflect.MakeMapWithSize(dst.Type(), len(tree))
		for key := range sorted(tree) {
			v := reflect.New(dst.Type().Elem()).Elem()
			d.value(f.elem, tree[key], v, join(at, key))
			m.SetMapIndex(reflect.ValueOf(key).Convert(dst.Type().Key()), v)
		}
		dst.Set(m)
	default:
		d.scalar(f, raw, dst, at)
	}
}

func (d *decoder) scalar(f *field, raw any, dst reflect.Value, at string) {
	text, quoted := raw.(string)
	number, isNumber := raw.(json.Number)
	if isNumber {
		text = number.String()
	}
	var magnitude float64
	var err error
	switch f.kind {
	case kindString, kindSecret:
		if !quoted {
			d.mismatch(f, raw, at)
			return
		}
		dst.SetString(text)
		if len(f.enum) > 0 && !slices.Contains(f.enum, text) {
			hint := "one of: " + strings.Join(f.enum, ", ")
			if near := diag.Nearest(text, f.enum); near != "" {
				hint = fmt.Sprintf("did you mean %s? (%s)", near, hint)
			}
			d.add(at, "config.enum", hint, "%s cannot be %q", f.name, text)
		}
		return
	case kindBool:
		b, ok := raw.(bool)
		if !ok {
			d.mismatch(f, raw, at)
			return
		}
		dst.SetBool(b)
		return
	case kindInt:
		var n int64
		if n, err = strconv.ParseInt(text, 10, 64); err == nil && isNumber && !dst.OverflowInt(n) {
			dst.SetInt(n)
			magnitude = float64(n)
			break
		}
		d.mismatch(f, raw, at)
		return
	case kindFloat:
		if magnitude, err = strconv.ParseFloat(text, 64); err != nil || !isNumber {
			d.mismatch(f, raw, at)
			return
		}
		dst.SetFloat(magnitude)
	case kindDuration, kindSize:
		n, parse := int64(0), parseSize
		if f.kind == kindDuration {
			parse = parseDuration
		}
		if n, err = parse(text); err != nil || (!quoted && !isNumber) {
			d.mismatch(f, raw, at)
			return
		}
		dst.SetInt(n)
		magnitude = float64(n)
	}
	if f.min != nil && magnitude < *f.min || f.max != nil && magnitude > *f.max {
		d.add(at, "config.range", f.rangeLine(), "%s cannot be %v", f.name, raw)
	}
}

func (d *decoder) mismatch(f *field, raw any, at string) {
	shown := fmt.Sprintf("%v", raw)
	if f.kind == kindSecret {
		shown = "this"
	} else if _, ok := raw.(string); ok {
		shown = strconv.Quote(shown)
	}
	d.add(at, "config.type", f.exampleLine(), "%s must be %s, not %s", f.name, f.kind, shown)
}

// parseDuration reads Go's durations, and days ("7d"), in nanoseconds. A bare 0 is fine.
func parseDuration(s string) (int64, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseInt(days, 10, 32); err == nil {
			return n * int64(24*time.Hour), nil
		}
	}
	v, err := time.ParseDuration(s)
	return int64(v), err
}

var units = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

func parseSize(s string) (int64, error) {
	unit := int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, err
	}
	if n < 0 || n > (1<<62)/unit {
		return 0, fmt.Errorf("%d is out of range", n)
	}
	return n * unit, nil
}

func sorted(tree map[string]any) iter.Seq[string] {
	return slices.Values(slices.Sorted(maps.Keys(tree)))
}
