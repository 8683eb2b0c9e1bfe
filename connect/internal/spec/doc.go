// Package spec reads `source:` and `sink:` documents.
//
// Owns: the shape of a connector in YAML, the references ${env:X}, ${file:PATH} and ${dir} in its config, and which values
// are secret because they came from outside the file.
//
// Promises: every mistake is found at once and shown at its place; secrets are only in the config that goes to the plugin.
//
// Must not know: plugins, processes, Kafka.
//
// Called by: connect. Tested by: tables of good and bad documents.
package spec
