package auth

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/internal/obs"
)

// Denials are written at this rate at most, so that a client cannot fill the disk with them; what is left out is counted.
const (
	auditBurst     = 200
	auditPerSecond = 20
)

// Audit writes down who was refused what, and at level debug who was allowed.
type Audit struct {
	log *slog.Logger
	now func() time.Time

	denied, failed atomic.Int64

	mu     sync.Mutex
	room   float64 // lines that may be written now
	filled time.Time
	missed int64 // denials that were not written since the last line
}

// NewAudit writes to log.
func NewAudit(log *slog.Logger, now func() time.Time) *Audit {
	return &Audit{log: log.With("logger", "audit"), now: now, room: auditBurst, filled: now()}
}

// Denied notes a refusal.
func (a *Audit) Denied(who Principal, host string, op Operation, kind Kind, name string) {
	if a == nil {
		return
	}
	a.denied.Add(1)
	missed, ok := a.take()
	if !ok {
		return
	}
	a.leftOut(missed)
	a.log.Warn("denied", "principal", short(who.String()), "host", host, "operation", op.String(), "resource", kind.String()+":"+short(name))
}

// Failed notes that a client could not prove who it is.
func (a *Audit) Failed(host, listener string, why error) {
	if a == nil {
		return
	}
	a.failed.Add(1)
	if missed, ok := a.take(); ok {
		a.leftOut(missed)
		a.log.Warn("authentication failed", "host", host, "listener", listener, "error", why)
	}
}

func (a *Audit) leftOut(missed int64) {
	if missed > 0 {
		a.log.Warn("denials were too many to write them all", "left_out", missed)
	}
}

// WriteMetrics writes what was counted.
func (a *Audit) WriteMetrics(w *obs.Writer) {
	w.Counter("leat_denials_total", "What clients asked for and may not do, by access control lists.")
	w.Int(a.denied.Load())
	w.Counter("leat_authentication_failures_total", "Connections that did not prove who they are.")
	w.Int(a.failed.Load())
}

// nameMax bounds what a client can put into a line.
const nameMax = 256

func short(name string) string {
	if len(name) <= nameMax {
		return name
	}
	return name[:nameMax] + "…"
}

// take asks for room for a line, and tells how many had none before it.
func (a *Audit) take() (missed int64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	a.room = min(auditBurst, a.room+now.Sub(a.filled).Seconds()*auditPerSecond)
	a.filled = now
	if a.room < 1 {
		a.missed++
		return 0, false
	}
	a.room--
	missed, a.missed = a.missed, 0
	return missed, true
}

// Allowed notes that something was allowed, where somebody wants to know.
func (a *Audit) Allowed(who Principal, host string, op Operation, kind Kind, name string) {
	if a != nil && a.log.Enabled(context.Background(), slog.LevelDebug) {
		a.log.Debug("allowed", "principal", short(who.String()), "host", host, "operation", op.String(), "resource", kind.String()+":"+short(name))
	}
}
