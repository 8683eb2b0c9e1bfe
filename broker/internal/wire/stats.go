package wire

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/leatstream/leat/internal/obs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// keys is more than the largest API key that is counted by itself.
const keys = 128

// stats is what a server counts.
type stats struct {
	accepted, refused, acceptFailed atomic.Int64
	broken                          atomic.Int64
	received, sent                  atomic.Int64 // bytes, frames with their lengths

	seconds [keys]obs.Histogram // by API, from the whole request to the response in the socket
}

func (s *stats) answered(p *pending) {
	if !p.reply.Empty {
		s.sent.Add(int64(p.reply.Size()) + frameLength)
	}
	if key := p.call.Key; key >= 0 && key < keys {
		s.seconds[key].Since(p.began)
	}
}

// WriteMetrics writes what was counted.
func (s *Server) WriteMetrics(w *obs.Writer) {
	s.mu.Lock()
	open := map[string]int64{}
	for l := range s.listeners {
		open[l.Addr().String()] = 0
	}
	for c := range s.conns {
		open[c.door.Listener]++
	}
	s.mu.Unlock()
	w.Gauge("leat_connections", "Open connections by listener; an empty one is the door inside this process.")
	for _, listener := range slices.Sorted(maps.Keys(open)) {
		w.Int(open[listener], "listener", listener)
	}
	for _, c := range []struct {
		name, help string
		value      *atomic.Int64
	}{
		{"leat_connections_accepted_total", "Connections that were accepted.", &s.stats.accepted},
		{"leat_connections_refused_total", "Connections that were refused because max.connections or max.connections.per.ip was reached.", &s.stats.refused},
		{"leat_connections_broken_total", "Connections that were closed because of what their client sent or did not take.", &s.stats.broken},
		{"leat_accept_failures_total", "Failures to accept a connection, such as for want of file descriptors.", &s.stats.acceptFailed},
		{"leat_received_bytes_total", "Bytes of requests.", &s.stats.received},
		{"leat_sent_bytes_total", "Bytes of responses.", &s.stats.sent},
	} {
		w.Counter(c.name, c.help)
		w.Int(c.value.Load())
	}
	w.Counter("leat_panics_total", "Panics that ended one request or one piece of work. Each has its stack in the log.")
	w.Int(obs.Panics())
	w.Gauge("leat_request_memory_bytes", "Memory that requests hold of the budget for them, while they are read and while they are served.")
	w.Int(s.reading.used.Load(), "stage", "read")
	w.Int(s.decoding.used.Load(), "stage", "serve")
	w.Gauge("leat_request_memory_limit_bytes", "The budget for the memory of requests.")
	w.Int(s.reading.size, "stage", "read")
	w.Int(s.decoding.size, "stage", "serve")
	w.Histogram("leat_request_seconds", "Time from a whole request to its response in the socket, waiting of fetches and joins included.")
	for key := range s.stats.seconds {
		if h := &s.stats.seconds[key]; h.Count() > 0 {
			w.Observed(h, obs.Seconds, "api", kmsg.NameForKey(int16(key)))
		}
	}
}
