// Package http is the connector between HTTP and topics.
//
// The source is a webhook: it answers 202 only after the record is durable in the topic, so a sender that repeats
// until it sees 202 loses nothing. The sink posts each record and tells by the answer whether the record is at fault,
// the moment, or the configuration.
//
// Must not know: the runtime, the broker. Called by: cmd/leat (`leat plugin serve http`).
// Goroutines and locks: net/http's goroutine per request and one that delivers its records, both bounded by
// max_requests; the claim has its own lock.
// Tested by: tests over the wire (sdktest) against net/http and httptest.
package http
