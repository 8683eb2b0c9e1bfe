// Package quorum makes the controller's decisions durable in one order.
//
// Owns: the metadata log, when one of its entries counts as committed, and its snapshots.
//
// Promises: an entry is applied only after it is durable, all of it or nothing; entries are applied in the order of
// their offsets, the same after a restart; Propose returns after its entry was applied here. A start costs the newest
// snapshot and the log after it; a damaged one is named and the one before it taken, and where that is not possible either
// nothing starts. What is less than there was never starts.
//
// Must not know: what an entry means (meta's records are bytes to it), protocol structs.
//
// Called by: meta's Store, through meta.Log; opened by broker. Local is the quorum of one node. Goroutines and locks:
// one mutex makes proposals one after the other, the sync's goroutine wakes the proposer; a snapshot is taken under the mutex
// and written by a goroutine of its own, one at a time.
//
// Tested by: power loss at every file operation on a crashable file system, a replay against what was applied, every bit of
// the log and every byte of a snapshot damaged, disks that are full.
//
// Formats: docs/formats/metadata-log.md, docs/formats/snapshot.md.
package quorum
