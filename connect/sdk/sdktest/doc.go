// Package sdktest drives a connector from the host's side, over the wire, in a process of its own: what it finds
// holds for plugins in any language.
//
// Owns: starting and killing plugin processes in tests, a source's and a sink's counterpart with its hands on credit
// and acks, the conformance suite.
//
// Promises: every wait has an end and says what it waited for; processes do not outlive their test.
//
// Must not know: the real runtime (connect), the broker. It is the second implementation of the host's side, on
// purpose: the protocol is what both agree on.
//
// Called by: tests of connectors. A connector's test package calls Main from TestMain, so that the test binary can
// be started again as the plugin:
//
//	func TestMain(m *testing.M) { sdktest.Main(m, file.Connector()) }
//
// Goroutines and locks: one receiver per stream; a lock with a condition per run.
//
// Tested by: its own tests with small connectors, and by every connector.
package sdktest
