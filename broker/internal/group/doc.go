// Package group is Kafka's consumer groups as state machines: (state, event, now) → (state, effects).
//
// [Group] is a classic group: its members meet, a leader among them assigns. [Consumer] is a group of the consumer protocol
// (KIP-848): the broker assigns, and each member moves towards its target by itself. Either becomes the other while members
// are in: a classic group when a member of the new protocol joins it, a consumer group when the last such member goes.
//
// Owns: members, generations and epochs, the vote on a protocol, the server-side assignors, who may have a partition now,
// static members (KIP-345, KIP-814), member ids that must be known (KIP-394), time-outs, what a commit must prove.
//
// Promises: no clock, goroutine, lock or file: the same events give the same effects. Every join and sync is answered
// exactly once, at the latest when its rebalance times out. Two members never share a generation's answer of the leader.
// In a consumer group no partition is another's before its owner has given it up or is out, epochs only grow, and members
// that call and revoke get all partitions that they subscribe to.
//
// Must not know: logs, records, connections. Classic subscriptions and assignments are bytes, but where classic consumers
// are members of a consumer group. Topics are what the event's [Topics] says.
//
// Called by: coord, which holds a lock, has the clock, persists and answers.
//
// Tested by: scenes of Kafka's rules (testdata), and models with random members, topics and time (rapid).
//
// Source: Kafka's GroupMetadataManager, ClassicGroup, CurrentAssignmentBuilder; KIP-848.
package group
