// Package task runs a pipeline: one task for each input partition that its group assigns.
//
// Owns: reading whole batches, running records through the chain, routing what comes out, dead letters, committing.
//
// Promises: an input offset is committed only after everything that came of the records before it is durable. What was
// written after the last commit is recognized when a task starts again, by the producer id in its batches, and is not
// written twice (docs/adr/0005): a pipeline that is killed and started again neither loses, doubles nor reorders.
// A record that no step changed is copied byte for byte.
//
// Must not know: YAML, expressions; how steps work.
//
// Called by: streams. Goroutines and locks: one runner a pipeline; the partitions of one poll are worked on by up to
// Workers goroutines, and one lock makes revocation wait for the end of a round.
//
// Tested by: pipelines over leat's broker, killed at random places in the middle of rounds.
package task
