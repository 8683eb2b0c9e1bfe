// Package spec reads `pipeline:` documents.
//
// Owns: the shape of a pipeline in YAML, beside what its steps mean.
//
// Promises: every mistake is found at once and shown at its place; a Pipeline that Parse returned is whole.
//
// Must not know: Kafka, how steps run.
//
// Called by: streams, streamstest. Tested by: tables of good and bad documents.
package spec
