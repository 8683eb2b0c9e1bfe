// Package streams runs pipelines that are declared in YAML.
//
// Owns: from documents to running pipelines and their status; conditions of pipelines for others ([Where]).
//
// Promises: every mistake in a document is found by [Check] before anything runs; Run returns when ctx ends, with
// everything committed that is written.
//
// Must not know: the broker's insides, connectors, commands.
//
// Called by: cmd/leat, and by programs that embed pipelines.
// Goroutines and locks: one for each pipeline; see internal/task.
//
// Tested by: pipelines over leat's broker; kills in the middle; the tests in the pipelines' YAML (streamstest).
package streams
