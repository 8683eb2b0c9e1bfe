// Package worker moves records between a connector's process and the log.
//
// Owns: the life of one task (start, run, restart with backoff), credit, the order of acknowledgement, positions, dead
// letters of both directions.
//
// Promises: a source is acknowledged after its records are durable and then its position; what was written before a kill
// is recognized and not written again (docs/adr/0005). A sink's offsets are committed after it acknowledged them; a
// transient error repeats that claim and never loses it, a poisonous record goes to the dead-letter topic, a fatal one
// stops the connector and says why. A process that dies is running again at once, and less and less soon if it keeps
// dying; other connectors do not notice.
//
// Must not know: YAML, other connectors.
//
// Called by: connect. Goroutines and locks: one a task, one that receives from the process, one that pings it.
//
// Tested by: connect's tests, with real processes that are killed and hostile ones.
package worker
