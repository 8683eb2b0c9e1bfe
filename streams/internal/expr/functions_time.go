package expr

import (
	"fmt"
	"time"

	"github.com/leatstream/leat/internal/yaml"
)

// timeFunctions work on times. Times are UTC unless an expression says otherwise.
var timeFunctions = []function{
	{"wall_now", func(...any) (any, error) { return time.Now().UTC(), nil }, []any{new(func() time.Time)}},
	{"duration", func(args ...any) (any, error) {
		s, err := arg[string]("duration", args, 0)
		if err != nil {
			return nil, err
		}
		d, err := yaml.ParseDuration(s)
		if err != nil {
			return nil, fmt.Errorf(`duration: %q is not one; such are "90s", "1h30m", "7d"`, s)
		}
		return d, nil
	}, []any{new(func(string) time.Duration)}},
	{"parse_time", parseTime, []any{new(func(any) time.Time), new(func(any, string) time.Time)}},
	{"format_time", func(args ...any) (any, error) {
		t, err := arg[time.Time]("format_time", args, 0)
		if err != nil {
			return nil, err
		}
		layout, err := arg[string]("format_time", args, 1)
		return t.Format(layout), err
	}, []any{new(func(time.Time, string) string)}},
}

// parseTime reads RFC 3339, milliseconds since 1970 (as Kafka counts), or a layout in Go's form.
func parseTime(args ...any) (any, error) {
	switch v := args[0].(type) {
	case time.Time:
		return v, nil
	case int64:
		return time.UnixMilli(v).UTC(), nil
	case int:
		return time.UnixMilli(int64(v)).UTC(), nil
	case float64:
		return time.UnixMicro(int64(v * 1000)).UTC(), nil
	case string:
		layout := time.RFC3339
		if len(args) == 2 {
			var err error
			if layout, err = arg[string]("parse_time", args, 1); err != nil {
				return nil, err
			}
		}
		t, err := time.Parse(layout, v)
		if err != nil {
			return nil, fmt.Errorf(`parse_time: %q is not a time like %q`, v, layout)
		}
		return t, nil
	}
	return nil, fmt.Errorf("parse_time needs a string or milliseconds, not %s", kindName(args[0]))
}
