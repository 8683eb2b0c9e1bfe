package auth

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestAuditLines(t *testing.T) {
	var b bytes.Buffer
	a := NewAudit(slog.New(slog.NewTextHandler(&b, nil)))
	a.Allowed(Principal{"User", "a"}, "h", Read, Topic, "t")
	if b.Len() > 0 {
		t.Errorf("an allowance at level info: %s", b.String())
	}
	a.Denied(Principal{"User", "a"}, "1.1.1.1", Write, Topic, "t")
	if !strings.HasSuffix(b.String(), "level=WARN msg=denied logger=audit principal=User:a host=1.1.1.1 operation=WRITE resource=TOPIC:t\n") {
		t.Error(b.String())
	}
	b.Reset()
	a.Denied(Principal{}, "1.1.1.1", Write, Topic, "a\nlevel=ERROR \x1b[31m")
	if strings.Count(b.String(), "\n") != 1 || strings.Contains(b.String(), "\x1b") || !strings.Contains(b.String(), "User:ANONYMOUS") {
		t.Errorf("a client has written more than its name: %q", b.String())
	}
}

// TestAClientWritesShortLines: names come from clients, and may be as long as a request.
func TestAClientWritesShortLines(t *testing.T) {
	var b bytes.Buffer
	a := NewAudit(slog.New(slog.NewTextHandler(&b, nil)))
	a.Denied(Principal{"User", strings.Repeat("u", 1<<20)}, "1.1.1.1", Write, Topic, strings.Repeat("t", 1<<20))
	a.Failed("1.1.1.1", "l", NewSession(&Gate{}, time.Now).Handshake(strings.Repeat("m", 1<<14), false))
	if b.Len() > 2000 {
		t.Errorf("two lines of %d bytes", b.Len())
	}
}
