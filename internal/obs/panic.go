package obs

import (
	"log/slog"
	"runtime/debug"
	"sync/atomic"
)

var panics atomic.Int64

// Panicked notes a panic that was recovered, with its stack: what names the work that ended by it. log may be nil, then
// the process's own is used.
func Panicked(log *slog.Logger, what string, e any, attrs ...any) {
	panics.Add(1)
	if log == nil {
		log = slog.Default()
	}
	log.Error(what+" panicked", append(attrs, "panic", e, "stack", string(debug.Stack()))...)
}

// Panics is how many were noted in this process.
func Panics() int64 { return panics.Load() }
