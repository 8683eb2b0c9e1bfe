// Package quota measures what clients use and says for how long those beyond their quota have to wait.
//
// Owns: which quota holds for a user and a client id (Kafka's precedence), what was used in the last eleven seconds, the
// wait that brings a rate back to its quota, and the bucket of tokens for changes of partitions (KIP-599).
//
// Promises: without any quota a question costs one atomic load; memory is bounded however many client ids there are: what
// was idle for a window is forgotten, and beyond maxCounters all further clients share one; who is told to wait has been
// counted, so nobody gains by asking again.
//
// Must not know: requests, connections, how a wait is carried out (api tells the client, wire stops reading).
//
// Called by: api for requests, wire for new connections, broker (following the image). Goroutines and locks: none of its
// own; one mutex around the counters, which is taken only where a quota holds.
//
// Tested by: tables of precedence, a model of the wait with an injected clock.
package quota
