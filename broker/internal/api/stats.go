package api

import (
	"sync/atomic"

	"github.com/leatstream/leat/internal/obs"
	"github.com/twmb/franz-go/pkg/kerr"
)

// told counts the errors that clients of this process were told, by code.
var told [256]atomic.Int64

// WriteMetrics writes what was counted.
func WriteMetrics(w *obs.Writer) {
	w.Counter("leat_errors_total", "Errors that clients were told, each partition's or group's counted by itself.")
	for i := range told {
		if n := told[i].Load(); n > 0 {
			w.Int(n, "error", errorName(int16(int8(uint8(i)))))
		}
	}
}

// errorName is Kafka's name of a code.
func errorName(code int16) string {
	if e := kerr.TypedErrorForCode(code); e != nil {
		return e.Message
	}
	return "UNKNOWN_SERVER_ERROR"
}
