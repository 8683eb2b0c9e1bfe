// Package topology turns the steps of one pipeline into chains that records run through.
//
// Owns: the order of steps, which steps read the same value (and so share one scan of it), where records come out.
//
// Promises: a Topology is immutable and shared; a Chain belongs to one task and allocates nothing for a record that is
// filtered out or passes unchanged.
//
// Must not know: Kafka, tasks, threads, what single steps do.
//
// Called by: task, streamstest. Goroutines and locks: none.
//
// Tested by: the quickstart's pipelines, a benchmark with an allocation budget.
package topology
