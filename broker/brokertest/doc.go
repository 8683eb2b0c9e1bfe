// Package brokertest runs brokers inside tests.
//
// Owns: starting, restarting and killing brokers for the time of one test, and Kafka clients that end with it; transactions whose
// outcome is known, and the judgement of what readers saw of them.
//
// Promises: Start returns when clients are served; everything is stopped when the test ends; a test that says so works
// on a file system in memory whose power can be cut; a port given is nobody else's, also while the broker is away.
//
// Must not know: anything about a broker but its public face.
//
// Called by: tests of every room that needs a broker. Goroutines and locks: one goroutine a broker; a Cluster is used
// from the test's goroutine, its addresses and connections from any.
//
// Tested by: the tests of package broker, which are played with it; planted anomalies, which the judgement must find.
package brokertest
