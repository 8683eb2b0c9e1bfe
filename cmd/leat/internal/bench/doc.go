// Package bench puts load on anything that speaks the Kafka protocol, and measures.
//
// Owns: four kinds of load (produce and consume by a good client, latency end to end at a fixed rate, raw requests), what
// is measured in them, and medians and ratios of runs.
//
// Promises: a run ends by itself and removes its topic, also when it is interrupted; what is counted was acknowledged; what
// is read back is compared with what was written, in number, order and checksum; latency at a rate counts from the instant
// at which a record was due, so that a stall is not hidden. Raw load costs the client next to nothing: batches are encoded
// once, fetched records are not decoded. Its connections are opened as those of the client are, through TLS and SASL too.
//
// Must not know: flags, tables, which broker is on the other side.
//
// Called by: leat bench. Goroutines and locks: those of a run end with it.
//
// Tested by: every kind of load against a broker, with a verifier that finds what is lost, doubled and out of order.
package bench
