// Package txn is Kafka's transaction coordinator for one transactional id as a state machine:
// (state, event, now) → (next state, answer).
//
// Owns: the states of a transaction, who the producer of a transactional id is, epochs that fence (KIP-360, KIP-588), one
// epoch a transaction and retries that are recognized (KIP-890), producer ids that are changed when epochs run out,
// time-outs and expiry.
//
// Promises: no clock, goroutine, lock or file; a [Txn] is never changed, an event returns the next one. The next state is
// made durable before the answer leaves. Epochs of a producer id never go back, and an outcome that was decided stays.
//
// Must not know: what a partition holds, records, connections.
//
// Called by: coord, which has the clock, makes states durable and writes markers.
//
// Tested by: stories, and a model (rapid) in which zombies send late requests and the coordinator forgets what it did
// not write.
//
// Source: Kafka's TransactionCoordinator and TransactionMetadata; KIP-98, KIP-360, KIP-890, KIP-1228.
package txn
