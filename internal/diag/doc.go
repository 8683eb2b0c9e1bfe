// Package diag is the one form in which leat tells a user that a file of theirs is wrong.
//
// It owns: the position of a mistake (file, line, column), its code, message, hint and the
// rendering with the offending line and a caret; the nearest-word suggestion.
//
// It promises: problems are reported all at once, sorted by place, each with what to do next.
//
// It must not know: YAML, expressions, Kafka; whoever finds a mistake describes it here.
//
// Who calls it: internal/yaml, the spec packages, the expression compiler; cmd/leat prints it.
//
// Goroutines and locks: none. A List belongs to one goroutine.
//
// How it is tested: golden renderings and the suggestion table in diag_test.go.
package diag
