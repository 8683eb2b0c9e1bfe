// Package auth decides who a client is and what it may do.
//
// Owns: principals, the words of access control (operations and kinds of resources, with Kafka's numbers), and the
// decision.
//
// Promises: one decision a resource and request, in one place; what no rule allows is denied where rules are in force.
//
// Must not know: sockets, protocol structs, partitions.
//
// Called by: api. Goroutines and locks: none of its own; an Authorizer is safe for concurrent use.
//
// Tested by: tables of rules and decisions.
package auth
