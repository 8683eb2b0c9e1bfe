// Package replica is one node's copy of partitions.
//
// Owns: which partitions are open here, the check of what producers send and its compression as the topic wants it, the
// high watermark, and who waits for it.
//
// Promises: a batch of acks=all is answered when it is durable and below the high watermark; the high watermark never
// covers what a power loss could take back (unless flush.messages leaves that to the operating system, as Kafka does);
// every callback is called exactly once, with no lock held.
//
// Must not know: protocol structs, connections, names of topics beyond messages, configuration tables.
//
// Called by: api (produce, fetch, list offsets), coord (internal topics), broker (opening and deleting).
// Goroutines and locks: a Partition has one mutex, never held while it calls the log or a callback; callbacks come from
// the caller's goroutine or from the one that syncs the log. Who waits is told by Tell on the goroutine that appended, or by
// a goroutine each where others wait for that one.
//
// Tested by: tests on a crashable file system and with a failing one.
package replica
