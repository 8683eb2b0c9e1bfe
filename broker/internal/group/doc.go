// Package group is Kafka's classic consumer group as a state machine: (state, event, now) → (state, effects).
//
// Owns: members, generations, the vote on a protocol, static members (KIP-345, KIP-814), member ids that must be known
// (KIP-394), time-outs, what a commit must prove.
//
// Promises: no clock, goroutine, lock or file: the same events give the same effects. Every join and sync is answered
// exactly once, at the latest when its rebalance times out. Two members never share a generation's answer of the leader.
//
// Must not know: partitions, records, connections. Subscriptions and assignments are bytes.
//
// Called by: coord, which holds a lock, has the clock, persists and answers.
//
// Tested by: a model with random members and time (rapid), and scenes of Kafka's rules.
//
// Source: Kafka's GroupMetadataManager and ClassicGroup.
package group
