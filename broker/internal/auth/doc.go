// Package auth decides who a client is and what it may do.
//
// Owns: principals, the words of access control (operations and kinds of resources, with Kafka's numbers), the decision by
// ACLs, SASL (mechanisms, the session of a connection), TLS configurations that follow their files, names of certificates,
// and the audit log.
//
// Promises: one decision a resource and request, in one place, without allocating; what no ACL allows is denied where ACLs
// are in force. A session that has failed stays so; no mechanism tells whether a user exists, and none works without what
// it checks against. A broken certificate file never replaces one that works.
//
// Must not know: sockets, protocol structs, partitions, where credentials are kept.
//
// Called by: meta (its words), api (decisions, sessions), wire (sessions, TLS), broker (making them). Goroutines and locks:
// none of its own; authorizers, mechanisms and TLS are safe for concurrent use, a session belongs to its connection.
//
// Tested by: tables of rules and decisions, a naive model, exchanges of SASL with real clients' libraries and with damage,
// handshakes of TLS over sockets.
package auth
