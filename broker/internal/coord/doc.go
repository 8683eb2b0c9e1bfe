// Package coord runs consumer groups over the partitions of __consumer_offsets.
//
// Owns: which partition a group belongs to, loading it, the committed offsets, the records of groups and offsets in
// Kafka's own formats, timers, and answering when what must be durable is.
//
// Promises: a commit or a new assignment is answered after it is durable; after a crash every group is as it was last
// answered; the topic is made at the first use.
//
// Must not know: sockets, request messages. It turns group's effects into records and answers.
//
// Called by: api. Goroutines and locks: one mutex a partition of the topic, held while its log is read the first time
// and never while answering; one timer a group, armed for its next deadline.
//
// Tested by: restarts and power loss here, real clients through the broker.
//
// Format: kmsg's OffsetCommitKey/Value and GroupMetadataKey/Value, which are Kafka's.
package coord
