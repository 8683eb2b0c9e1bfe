// Package operator holds the steps of pipelines, one file each.
//
// Owns: what each kind of step means: parsing its YAML, checking it, and doing its work on a record.
//
// Promises: adding a step is one file that registers itself and one story in testdata; a step that fails says which
// expression failed and why, and changes nothing; a record that no step changed keeps its original bytes.
//
// Must not know: topics as such, Kafka, tasks, threads.
//
// Called by: topology. Goroutines and locks: none. A parsed step is immutable; what an instance remembers belongs to one
// task.
//
// Tested by: stories in testdata/<kind>.txt: a step in YAML, records in, records or errors out.
package operator
