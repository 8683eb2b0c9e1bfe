package sdk

import "github.com/leatstream/leat/internal/batch"

// Record is one record of a topic.
type Record struct {
	Key       []byte // nil: none
	Value     []byte // nil: a tombstone
	Headers   []Header
	Timestamp int64 // ms since 1970; a source may leave it 0, meaning now

	// What a sink is told beyond that; sources leave it alone.
	Topic     string
	Partition int32
	Offset    int64
}

// Header is one header of a record; a nil Value is Kafka's null.
type Header = batch.HeaderKV
