// Package doctor looks at a broker from outside and says what is wrong with it and what to do.
//
// Owns: the checks of the machine, of a data directory, of a broker's configuration and of a running cluster, and the words
// in which they report.
//
// Promises: it changes nothing. Each Finding has what, where, why it matters and what to do. Bad findings lose data or
// block; Warn ones may.
//
// Must not know: the insides of the broker. It reads a directory through broker.Inspect, and a cluster as a Kafka client.
//
// Called by: cmd/leat. Tested by: directories and clusters with one thing wrong each.
package doctor
