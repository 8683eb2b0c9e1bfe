// Package yaml reads the YAML that users write and remembers where everything stood.
//
// It owns: the only import of gopkg.in/yaml.v3 in the repository; the Node tree with
// file, line and column; strict decoding into tagged structs; expressions in YAML.
//
// It promises: unknown and duplicate keys are problems with the nearest right name; a wrong
// type is a problem at its place; an expression that YAML has silently changed (a comment,
// a tag, a flow map cut in two) is refused with the line as it should be written.
//
// It must not know: what the documents mean. Rooms decode their own documents.
//
// Who calls it: internal/manifest, the spec packages of connect and streams, cmd/leat.
//
// Goroutines and locks: none. Nodes are read-only after Parse.
//
// How it is tested: tables of good and damaged documents, golden messages, a fuzz target
// that demands no panic and positions inside the file.
package yaml
