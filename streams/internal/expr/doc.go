// Package expr reads JSON records and evaluates expressions over them.
//
// Owns: the one-pass JSON scanner that fills typed slots, the expressions' environment and functions, their budgets,
// JSON output, and errors of expressions with their place in the user's file.
//
// Promises: a record is accepted exactly if encoding/json accepts it, and values mean the same, except that integers
// stay int64; nothing is decoded into maps unless an expression uses the whole value or an object or list in it; the last
// of duplicate keys counts; an expression can use up its budget but not the process.
//
// Must not know: operators, topics, Kafka.
//
// Called by: operator, topology. Goroutines and locks: none; a [View] and an [Evaluator] belong to one task.
//
// Tested by: fuzzing against encoding/json, fast evaluation against expr-lang's VM, allocation budgets.
//
// Expressions are expr-lang's (github.com/expr-lang/expr). A path that is missing is nil, at any depth.
package expr
