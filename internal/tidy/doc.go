// Package tidy holds the repository's few hard rules as tests.
//
// It owns: the arrows between rooms (which package may import which), the rule that
// every package carries a package comment, and the rule that files named in the docs exist.
//
// It promises: a violation fails `go test ./...` with the file, the rule and the way out.
//
// It must not know: anything about what the rooms do.
//
// How it is tested: it is itself only tests.
package tidy
