// Package coord runs consumer groups over the partitions of __consumer_offsets, and transactions over those of
// __transaction_state.
//
// Owns: which partition a group or a transactional id belongs to, loading it, the committed offsets, the records of all
// three in Kafka's own formats, the markers that end transactions, producer ids, timers, and answering when what must be
// durable is.
//
// Promises: a commit, a new assignment or a transaction's next state is answered after it is durable; a decided
// transaction gets all its markers, over restarts too; after a crash everything is as it was last answered; the topics are
// made at the first use.
//
// Must not know: sockets, request messages. It turns group's effects and txn's states into records and answers.
//
// Called by: api. Goroutines and locks: one mutex a partition of the topics, held while its log is read the first time
// and never while answering; one timer a group, armed for its next deadline, and one a partition of transactions; two
// goroutines that read all groups and all transactions at the start, several partitions at a time, because sessions and open
// transactions have to end in time; the one of groups then looks for old offsets now and again.
//
// Tested by: restarts and power loss here, real clients through the broker.
//
// Format: kmsg's OffsetCommitKey/Value, GroupMetadataKey/Value and TxnMetadataKey/Value, which are Kafka's;
// consumer_record.go has those of consumer groups.
package coord
