// Package apitest is an api.API over real rooms and a file system of the test's choice, without sockets.
//
// Owns: the wiring of storage, meta, replica and coord for tests of api and wire; requests and answers by kmsg.
//
// Promises: what it starts ends with the test.
//
// Must not know: the broker around the rooms (brokertest runs a whole one).
//
// Called by: tests of api and wire. Goroutines and locks: none of its own.
//
// Tested by: its use.
package apitest
