package auth

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestAuditIsBoundedAndSaysWhatItLeavesOut(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(0, 0)
	a := NewAudit(slog.New(slog.NewTextHandler(&b, nil)), func() time.Time { return now })
	a.Allowed(Principal{"User", "a"}, "h", Read, Topic, "t")
	if b.Len() > 0 {
		t.Errorf("an allowance at level info: %s", b.String())
	}
	for range 10 * auditBurst {
		a.Denied(Principal{"User", "a"}, "1.1.1.1", Write, Topic, "t")
	}
	if n := strings.Count(b.String(), "\n"); n != auditBurst {
		t.Errorf("%d lines", n)
	}
	if first, _, _ := strings.Cut(b.String(), "\n"); !strings.HasSuffix(first, `level=WARN msg=denied logger=audit principal=User:a host=1.1.1.1 operation=WRITE resource=TOPIC:t`) {
		t.Error(first)
	}
	b.Reset()
	b.Reset()
	now = now.Add(time.Second)
	for range 10 * auditBurst {
		a.Denied(Principal{}, "1.1.1.1", Write, Topic, "t")
	}
	if n := strings.Count(b.String(), "\n"); n != auditPerSecond+1 || !strings.Contains(b.String(), "left_out=1800") || !strings.Contains(b.String(), "User:ANONYMOUS") {
		t.Errorf("%d lines: %s", n, b.String())
	}
}

// TestAClientWritesShortLines: names come from clients, and may be as long as a request.
func TestAClientWritesShortLines(t *testing.T) {
	var b bytes.Buffer
	a := NewAudit(slog.New(slog.NewTextHandler(&b, nil)), time.Now)
	a.Denied(Principal{"User", strings.Repeat("u", 1<<20)}, "1.1.1.1", Write, Topic, strings.Repeat("t", 1<<20))
	a.Failed("1.1.1.1", "l", NewSession(&Gate{}, time.Now).Handshake(strings.Repeat("m", 1<<14), false))
	if b.Len() > 2000 {
		t.Errorf("two lines of %d bytes", b.Len())
	}
}
