// Package meta knows what the cluster consists of: topics, partitions, brokers, configurations, quotas, producer ids, and who
// may do what (the words for that are of package auth).
//
// Owns: the image (immutable, behind one atomic pointer), the records that change it and their encoding, the decisions
// of the controller as pure functions image → records, and the one table of configurations by Kafka's names.
//
// Promises: an image never changes once it was seen; a decision either becomes durable and visible as a whole or not
// at all; every subscriber has seen an image before anybody else does; replaying the same records gives the same image, and
// so does its snapshot.
//
// Must not know: protocol structs, files, sockets, partitions' contents.
//
// Called by: api and coord (reading images, proposing), broker (opening the store, following changes), quorum (encoding
// of records is opaque to it). Goroutines and locks: Store has one mutex around decide-and-propose; readers take none.
// Subscribers run on the goroutine that applies, and must not propose.
//
// Tested by: a model that compares an image with its own snapshot after histories of every kind of record, a fuzz target on
// the decoder.
//
// Format: docs/formats/metadata-log.md.
package meta
