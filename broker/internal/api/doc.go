// Package api answers Kafka's requests: one file per API, NN_name.go, registered by one line of its own.
//
// Owns: which APIs and versions are served ([Versions] of the table is what ApiVersions advertises), decoding and
// encoding of messages (franz-go's kmsg; Produce and Fetch by hand), fetch sessions, the throttle time of answers, the
// one table from errors of the rooms below to Kafka's codes (errcode.go).
//
// Promises: a request that cannot be decoded is an error that closes its connection and nothing else; reply is called
// exactly once for each request; no handler blocks for another client: what must wait is parked.
//
// Must not know: sockets, frames, files. wire calls it, broker wires it to the rooms below.
//
// Goroutines and locks: Serve runs on the goroutine that read the request, requests of a connection one after the other.
// A parked call is finished by whoever has the answer: a fetch by the request that appended what it waits for, else on a
// goroutine of its own. All parked fetches share one timer. Fetch sessions have a mutex for the cache and one each.
//
// Tested by: stories through a running broker (broker/testdata), a walk over every key and version with damaged bytes
// and a bound on allocation, a model of fetch sessions.
//
// Source: Kafka's message definitions; KIP-227 (sessions), KIP-511 (ApiVersions), KIP-482 (flexible versions).
package api
