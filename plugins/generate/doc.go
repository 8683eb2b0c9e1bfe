// Package generate is the connector that makes records up: from a template, at a rate, the same ones for the same
// seed.
//
// Record n depends on seed and n alone, so the position is a number and a restart goes on with the record that
// would have come.
//
// Must not know: the runtime, the broker. Called by: cmd/leat (`leat plugin serve generate`).
// Goroutines and locks: none. Tested by: tests over the wire (sdktest).
package generate
