package auth

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/leatstream/leat/internal/obs"
)

// Audit writes down who was refused what, and at level debug who was allowed.
type Audit struct {
	log            *slog.Logger
	denied, failed atomic.Int64
}

// NewAudit writes to log, which must leave out what comes too often (obs.Sparse): clients decide how much there is.
func NewAudit(log *slog.Logger) *Audit { return &Audit{log: log.With("logger", "audit")} }

// Denied notes a refusal.
func (a *Audit) Denied(who Principal, host string, op Operation, kind Kind, name string) {
	if a == nil {
		return
	}
	a.denied.Add(1)
	a.log.Warn("denied", "principal", short(who.String()), "host", host, "operation", op.String(), "resource", kind.String()+":"+short(name))
}

// Failed notes that a client could not prove who it is.
func (a *Audit) Failed(host, listener string, why error) {
	if a == nil {
		return
	}
	a.failed.Add(1)
	a.log.Warn("authentication failed", "host", host, "listener", listener, "error", why)
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

// Allowed notes that something was allowed, where somebody wants to know.
func (a *Audit) Allowed(who Principal, host string, op Operation, kind Kind, name string) {
	if a != nil && a.log.Enabled(context.Background(), slog.LevelDebug) {
		a.log.Debug("allowed", "principal", short(who.String()), "host", host, "operation", op.String(), "resource", kind.String()+":"+short(name))
	}
}
