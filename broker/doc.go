// Package broker is a partitioned, durable log that speaks the Kafka protocol, to be run by itself or embedded.
//
// Owns: the life of a node (New, Run, Shutdown), its configuration, its addresses, the in-memory door (DialContext), and
// carrying decisions of meta out on the partitions of replica.
//
// Promises: New touches nothing; Run answers its first client within milliseconds, listens on loopback unless told
// otherwise, and returns after everything acknowledged is on disk; whoever embeds it needs nothing but a Kafka client
// with DialContext as its dialer. What is wrong before the start is one sentence with the way out: a *ConfigError for
// what the user wrote, a *StartError for what the machine has.
//
// Must not know: what records mean; connect and streams, which are clients like any other.
//
// Called by: cmd/leat, brokertest, programs that embed it. Goroutines and locks: Run waits on the one goroutine that it
// is called on; connections are wire's; carrying out decisions happens on the goroutine that applies them.
//
// Tested by: stories in testdata that real clients play against a whole broker; restarts and power loss on a crashable
// file system.
package broker
