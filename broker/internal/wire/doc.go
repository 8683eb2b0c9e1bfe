// Package wire moves requests and responses over connections.
//
// Owns: frames and their limits, the memory budget for requests, the order of responses, sending ranges of files, how many
// connections there may be, and that one beyond a quota is not read for as long as its answer said; doors: TLS, and that nothing but SASL is served before a client has proven who it is, nor after its proof has expired.
//
// Promises: a frame's memory is taken from the budget before it is read; a frame that is too large, cut short or cannot
// be decoded closes its connection, with one line in the log, and touches no other; responses leave in the order of
// their requests; a handler that panics costs its connection only; a client that makes the broker wait,
// because it does not read or has shown a wrong password, holds nothing of the budget meanwhile; answers that
// nobody reads are bounded too: beyond half a budget the clients that are owed most are disconnected.
//
// Must not know: what requests mean (api), topics, storage beyond a range of a file.
//
// Called by: broker. Goroutines and locks: one a connection, which reads, serves, and sends what is ready. An answer that
// comes later is sent by a goroutine of its own; a small one that may be is sent by who has it, as far as the socket takes
// it at once, so that nobody waits for a slow client. A request that is parked holds no goroutine, and a socket that waits
// for a request no buffer. At most pipeline requests of a connection are under way.
//
// Tested by: damaged, oversized, truncated and slow frames over real sockets; order under parking; sendfile against a copy.
package wire
