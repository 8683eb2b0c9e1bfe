// Package batch knows Kafka's record batch v2 as bytes.
//
// Owns: reading and patching the 61-byte header, CRC-32C, walking records, building batches, compressing them anew.
// It lives outside broker/ because three rooms handle the same bytes: the log, the plugin SDK and streams (docs/adr/0001).
//
// Promises: nothing here trusts its input: lengths are checked before they are used, decompression is bounded by
// [Limits], and by [Within] for all batches that a process looks into for others; a damaged batch is an error, never a panic. Walk and the Builder allocate nothing per record once
// their scratch memory has grown.
//
// Must not know: topics, partitions, files, sockets, protocol structs.
//
// Called by: broker/internal/{storage,replica,api,coord,quorum}, internal/kafka, connect/sdk, connect, streams.
// Goroutines and locks: none; a Builder and a Scratch belong to one goroutine, codecs' shared state is in sync.Pools.
// [Within] waits for memory.
//
// Tested by: round trips against kmsg's reader, a fuzz target with an allocation bound, allocation budgets.
//
// Format: docs/formats/record-batch.md; source: Kafka's DefaultRecordBatch, KIP-98.
package batch
