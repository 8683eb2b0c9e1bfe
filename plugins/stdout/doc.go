// Package stdout is the sink that shows records on the user's terminal, one line each.
//
// It writes to the descriptor that the runtime hands over (sdk.SinkTask.Stdout); the process's own stdout belongs to
// the handshake.
//
// Must not know: the runtime, the broker. Called by: cmd/leat (`leat plugin serve stdout`).
// Goroutines and locks: none. Tested by: tests over the wire (sdktest).
package stdout
