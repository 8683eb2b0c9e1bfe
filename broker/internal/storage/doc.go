// Package storage keeps record batches in files and knows when they are durable.
//
// Owns: a log directory ([Dir]: lock, group commit, offline state) and the logs in it ([Log]: one partition; segments,
// sparse offset and time index, roll, recovery, deletion of the oldest, compaction, scrubbing, snapshots that stand for the oldest).
//
// Promises: what WhenDurable reported survives power loss; a torn tail is cut off at the next open and kept aside, a
// damaged range is an error of that range only, never deleted; a directory whose fsync failed once is offline until
// restart, because nothing can be said about its pages any more; a log that was never appended to has no files; the start
// offset never goes back; deleted files give their space back at once, and readers that hold a chunk may finish.
//
// Must not know: topics, leaders, replicas, protocol structs, configuration names.
//
// Called by: replica (partitions) and quorum (the metadata log).
// Goroutines and locks: a Log has one mutex, held for the write of an append but never for a sync. Syncs run on at most
// syncWorkers goroutines of the Dir, one in flight per log: everything appended meanwhile shares the next one. One more
// goroutine has the system write segments while they grow. Deletion and compaction hold mutexes of their own, taken before
// that one, so that appends and reads go on while files change. Segments that nobody uses hold neither a descriptor nor
// index entries: what is open is bounded by the Dir, and whoever needs one more has another give back.
//
// Tested by: models against a slice and against the last value of every key; power loss at every file operation on a
// crashable file system, and random histories with power losses (-crash-seeds N); torn tails and files cut at every byte,
// bit flips, missing and stale files; EIO at every sync, disks that are full, descriptors that run out.
//
// Formats: docs/formats/segment.md, docs/formats/marks.md, docs/formats/wal.md, docs/formats/snapshot.md,
// docs/formats/record-batch.md.
package storage
