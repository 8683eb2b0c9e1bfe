// Package connect runs connectors: sources that bring records in, sinks that take them out, each in a process of its own.
//
// Owns: from documents to running connectors and their status.
//
// Promises: every mistake in a document or in a plugin's settings is found by [Check] before anything runs; a connector
// that fails does not disturb the others; Run returns within two seconds after ctx ended, with no process left.
//
// Must not know: the broker's insides, pipelines, commands, what single plugins do.
//
// Called by: cmd/leat, and by programs that embed connectors.
// Goroutines and locks: a few for each connector; see internal/worker.
//
// Tested by: real plugin processes over leat's broker: round trips, kills, hostile plugins.
package connect
