package host

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// lineMax bounds one line of a plugin's log, in bytes.
const lineMax = 8 << 10

// newLog lets go-plugin and the plugin's own log lines end up in log.
func newLog(log *slog.Logger, redact func(string) string) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: "plugin", Level: hclog.Debug, JSONFormat: true, Output: &logLines{log, redact}, DisableTime: true})
}

// logLines turns hclog's JSON lines into slog records, without secrets. hclog writes one line a call.
type logLines struct {
	log    *slog.Logger
	redact func(string) string
}

func (l *logLines) Write(b []byte) (int, error) {
	line := bytes.TrimSpace(b)
	var fields map[string]any
	if len(line) > lineMax || json.Unmarshal(line, &fields) != nil {
		l.log.Info(l.redact(string(line[:min(len(line), lineMax)])))
		return len(b), nil //nolint:nilerr // not JSON: shown as it is
	}
	level := slog.LevelInfo
	switch fields["@level"] {
	case "debug", "trace":
		level = slog.LevelDebug
	case "warn":
		level = slog.LevelWarn
	case "error":
		level = slog.LevelError
	}
	if fields["@module"] == "plugin" {
		level = slog.LevelDebug // go-plugin's own talk: what matters of it comes back as an error
	}
	var attrs []slog.Attr
	for k, v := range fields {
		if len(k) == 0 || k[0] == '@' {
			continue
		}
		if s, ok := v.(string); ok {
			attrs = append(attrs, slog.String(k, l.redact(s)))
		} else if raw, err := json.Marshal(v); err == nil {
			attrs = append(attrs, slog.String(k, l.redact(string(raw))))
		}
	}
	msg, _ := fields["@message"].(string)
	l.log.LogAttrs(context.Background(), level, l.redact(msg), attrs...)
	return len(b), nil
}
