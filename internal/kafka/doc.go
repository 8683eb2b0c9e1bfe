// Package kafka is the one Kafka client of connect and streams: whole record batches in and out.
//
// Owns: producing batches that somebody else encoded (idempotent, in order, retried, bounded), collecting records into
// batches, consuming whole batches with or without a group, and the murmur2 partitioner.
//
// Promises: batches of a partition arrive in the order of ProduceBatch, none after one that failed; each done is called
// once; a batch is never decoded on its way; a group consumer hands out only what it is assigned, and revocation waits for
// its callback.
//
// Must not know: connectors, pipelines, brokers' insides. It works on leat's in-memory door and over TCP, against leat
// and Apache Kafka.
//
// Membership, routing, versions and connections are franz-go's kgo: the group's topics are paused there, so that kgo
// keeps the membership and this package fetches.
//
// Goroutines and locks: one a partition with batches to send, while there are any; one a group consumer that fetches.
//
// Tested by: tests against leat's broker (brokertest): order under broken connections, rebalances, splices.
package kafka
