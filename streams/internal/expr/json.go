package expr

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON appends v as compact JSON: integers as integers, floating-point numbers as encoding/json writes them, text
// without HTML escapes, objects by the order of their keys, times as RFC 3339, durations as duration() reads them.
func AppendJSON(dst []byte, v any) ([]byte, error) {
	e := encoder{dst: dst, limit: len(dst) + maxText}
	err := e.value(v)
	return e.dst, err
}

// encoder appends JSON up to a limit: a value that holds the same list many times over may be much longer as text.
type encoder struct {
	dst   []byte
	limit int
	keys  []string
}

func (e *encoder) value(v any) (err error) {
	if len(e.dst) > e.limit {
		return errText
	}
	switch v := v.(type) {
	case nil:
		e.dst = append(e.dst, "null"...)
	case bool:
		e.dst = strconv.AppendBool(e.dst, v)
	case int:
		e.dst = strconv.AppendInt(e.dst, int64(v), 10)
	case int64:
		e.dst = strconv.AppendInt(e.dst, v, 10)
	case float64:
		e.dst, err = appendFloat(e.dst, v)
	case string:
		e.dst = appendString(e.dst, v)
	case time.Time:
		e.dst = appendString(e.dst, v.Format(time.RFC3339Nano))
	case time.Duration:
		e.dst = appendString(e.dst, v.String())
	case json.RawMessage:
		e.dst = append(e.dst, v...)
	case []any:
		return list(e, v)
	case map[string]any:
		return e.object(v)
	default:
		return e.reflected(v)
	}
	return err
}

func list[T any](e *encoder, v []T) error {
	e.dst = append(e.dst, '[')
	for i, el := range v {
		if i > 0 {
			e.dst = append(e.dst, ',')
		}
		if err := e.value(el); err != nil {
			return err
		}
	}
	e.dst = append(e.dst, ']')
	return nil
}

func (e *encoder) object(v map[string]any) error {
	from := len(e.keys)
	for k := range v {
		e.keys = append(e.keys, k)
	}
	mine := e.keys[from:]
	slices.Sort(mine)
	e.dst = append(e.dst, '{')
	for i, k := range mine {
		if i > 0 {
			e.dst = append(e.dst, ',')
		}
		e.dst = append(appendString(e.dst, k), ':')
		if err := e.value(v[k]); err != nil {
			return err
		}
	}
	e.dst = append(e.dst, '}')
	e.keys = e.keys[:from]
	return nil
}

// reflected appends what some functions give: lists of one type, small integers, maps by any key (groupBy).
func (e *encoder) reflected(v any) error {
	switch x := reflect.ValueOf(v); x.Kind() {
	case reflect.Slice, reflect.Array:
		all := make([]any, x.Len())
		for i := range all {
			all[i] = x.Index(i).Interface()
		}
		return list(e, all)
	case reflect.Map:
		m := make(map[string]any, x.Len())
		for i := x.MapRange(); i.Next(); {
			m[text(i.Key().Interface())] = i.Value().Interface()
		}
		return e.object(m)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return e.value(x.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.dst = strconv.AppendUint(e.dst, x.Uint(), 10)
		return nil
	case reflect.Float32:
		return e.value(x.Float())
	case reflect.String:
		return e.value(x.String())
	case reflect.Func:
		return fmt.Errorf("the result is a function: call it with ()")
	default:
		return fmt.Errorf("the result is a %T, which JSON cannot hold", v)
	}
}

// appendFloat writes f as encoding/json does: as short as it can be read back.
func appendFloat(dst []byte, f float64) ([]byte, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return dst, fmt.Errorf("the result is %v, which JSON cannot hold (a division by zero?)", f)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	if n := len(dst); format == 'e' && n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1] // e-09 becomes e-9
		dst = dst[:n-1]
	}
	return dst, nil
}

const digits = "0123456789abcdef"

// appendString quotes s as encoding/json does without HTML escapes.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && size == 1:
				dst = append(append(dst, s[from:i]...), `\ufffd`...)
				from = i + size
			case r == '\u2028' || r == '\u2029':
				dst = append(append(dst, s[from:i]...), `\u202`...)
				dst = append(dst, digits[r&0xf])
				from = i + size
			}
			i += size
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, digits[c>>4], digits[c&0xf])
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

// text is what string(v) gives, and the key that v makes: text as it is, anything else as in JSON.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case time.Duration:
		return v.String()
	}
	b, err := AppendJSON(nil, v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// AppendText appends v as string(v) gives it: text as it is, anything else as in JSON.
func AppendText(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return append(dst, v...), nil
	case time.Time, time.Duration:
		return append(dst, text(v)...), nil
	}
	return AppendJSON(dst, v)
}
