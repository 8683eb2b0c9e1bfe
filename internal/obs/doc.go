// Package obs is how a process is observed: counters that cost an atomic add, Prometheus' text format, and the HTTP server
// that gives both away.
//
// It owns: Histogram, the Writer of the text format, the paths /metrics, /healthz and /readyz, the metrics of the Go
// runtime and of the process (prometheus/client_golang with a registry of its own), loggers that do not repeat themselves
// without end, what is said of a panic, the memory limit of the process and when its garbage is collected.
//
// It promises: observing a value takes two atomic adds and no memory; a scrape is written as it goes, so that what it
// takes does not grow with the number of partitions or groups; label values can be any text.
//
// It must not know: what is measured. Rooms count by themselves, and write when they are asked.
//
// Who calls it: the rooms of the broker, cmd/leat.
//
// Goroutines and locks: a Histogram may be observed and written from any goroutine; a Writer belongs to one.
//
// How it is tested: what is written is read back by Prometheus' own parser; a real client scrapes the server.
package obs
