// Package quorum makes the controller's decisions durable in one order.
//
// Owns: the metadata log, and when one of its entries counts as committed.
//
// Promises: an entry is applied only after it is durable, all of it or nothing; entries are applied in the order of
// their offsets, the same after a restart; Propose returns after its entry was applied here.
//
// Must not know: what an entry means (meta's records are bytes to it), protocol structs.
//
// Called by: meta's Store, through meta.Log; opened by broker. Local is the quorum of one node. Goroutines and locks:
// Local has none of its own; one mutex makes proposals one after the other, the sync's goroutine wakes the proposer.
//
// Tested by: power loss at every file operation on a crashable file system, a replay against what was applied.
//
// Format: docs/formats/metadata-log.md.
package quorum
