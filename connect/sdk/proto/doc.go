// Package proto is the door between the runtime and a connector's process: leat.plugin.v1.
//
// Owns: plugin.proto and the code generated from it, the go-plugin handshake, the names of the
// environment variables, the limits that both sides keep.
//
// Promises: what plugin.proto says is the whole contract; a plugin in any language needs no more.
//
// Must not know: connectors, topics' contents, how either side works.
//
// Called by: connect/internal/host (the client side), connect/sdk (the server side), connect/sdk/sdktest.
// Goroutines and locks: none of its own.
//
// Tested by: connect/sdk/sdktest, which speaks it with real processes; a test here holds the generated code
// to plugin.proto.
package proto

//go:generate go -C gen run .
