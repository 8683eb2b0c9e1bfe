package task

import (
	"encoding/json"

	"github.com/leatstream/leat/internal/kafka"
)

// noteMax bounds the note that is committed with an offset, in bytes. Kafka keeps 4096 (offset.metadata.max.bytes).
const noteMax = 4000

// parseNote reads what encodeNote wrote. Somebody else's note, beside an offset that was set by hand say, says nothing.
func parseNote(note string) kafka.Written {
	w := kafka.NotWritten()
	if note == "" || json.Unmarshal([]byte(note), &w) != nil {
		return kafka.NotWritten()
	}
	return w
}

// encodeNote gives the note for w. One that is too long for the broker says nothing: then a task that is killed writes
// some records twice.
func encodeNote(w kafka.Written) string {
	raw, err := json.Marshal(w)
	if err != nil || len(raw) > noteMax {
		raw, _ = json.Marshal(kafka.NotWritten()) // numbers can always be encoded
	}
	return string(raw)
}
