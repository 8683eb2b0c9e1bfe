// Package host starts connectors' processes and ends them.
//
// Owns: finding a plugin, starting it with a clean environment in a process group of its own, the handshake, its log,
// noticing that it hangs, killing all of it.
//
// Promises: a plugin that is missing, exits, prints rubbish, speaks another protocol or does not answer is an error that
// names it and says what it did; nothing of it is left after Kill, which works while it starts as well; it dies when this
// process dies (the pipe of plugin.proto, and the kernel's help on Linux); its log shows no secret.
//
// Must not know: topics, records, positions.
//
// Called by: worker, connect. Goroutines and locks: one a plugin for its log, go-plugin's own.
//
// Tested by: hostile plugins in connect's tests.
package host
