package host

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

// lineMax bounds one line of a plugin's log, in bytes.
const lineMax = 8 << 10

// newLog lets go-plugin and the plugin's own log lines end up in log.
func newLog(log *slog.Logger, ended *atomic.Bool) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: "plugin", Level: hclog.Info, JSONFormat: true, Output: &logLines{log, ended}, DisableTime: true})
}

// logLines turns hclog's JSON lines into slog records. hclog writes one line a call.
type logLines struct {
	log   *slog.Logger
	ended *atomic.Bool // nothing more is of interest
}

func (l *logLines) Write(b []byte) (int, error) {
	if l.ended.Load() {
		return len(b), nil
	}
	line := bytes.TrimSpace(b)
	if len(line) > lineMax {
		line = line[:lineMax]
	}
	var fields map[string]any
	if json.Unmarshal(line, &fields) != nil {
		l.log.Info(string(line))
		return len(b), nil //nolint:nilerr // not JSON: shown as it is
	}
	level := slog.LevelInfo
	switch fields["@level"] {
	case "warn":
		level = slog.LevelWarn
	case "error":
		level = slog.LevelError
	}
	var attrs []slog.Attr
	for k, v := range fields {
		if len(k) > 0 && k[0] != '@' {
			attrs = append(attrs, slog.Any(k, v))
		}
	}
	msg, _ := fields["@message"].(string)
	l.log.LogAttrs(context.Background(), level, msg, attrs...)
	return len(b), nil
}
