// Package file is the connector between files and topics.
//
// The source follows files that match a glob: JSON lines, CSV, plain lines, JSON arrays. It goes on after a restart
// where the durable records ended, byte for byte, and lives through rotation by rename and by truncation. A claim is
// one file (its inode); the position is a byte offset with a fingerprint of the file's head.
//
// The sink appends one line per record. A positions file beside the output says up to which byte the output is
// whole, and which offset comes next per partition (docs/formats/sink-positions.md): after a crash the output is
// cut back to that byte and goes on with that offset, so that no record is in the file twice or not at all.
//
// Must not know: topics' meaning, the runtime, the broker.
// Called by: cmd/leat (`leat plugin serve file`). Goroutines and locks: none; the SDK calls one method at a time.
// Tested by: tests that write, rotate, truncate and kill, over the wire (sdktest), and by tests of each reader.
package file
