// Package manifest turns the files and folders that a user names into the documents of each room.
//
// It owns: which files of a folder count (*.yaml, *.yml, not below it), what the first key of a
// document means (topic, source, sink, pipeline), names, and the topic document.
//
// It promises: every mistake at once as diag problems; two documents of one kind never share a name.
//
// It must not know: what stands inside a source, sink or pipeline; connect and streams read their own.
//
// Who calls it: cmd/leat (dev, run, lint, test), the test of the pipelines folder.
//
// Goroutines and locks: none.
//
// How it is tested: folders in temporary directories, good and bad.
package manifest
