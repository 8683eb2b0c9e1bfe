package task

import (
	"encoding/json"

	"github.com/leatstream/leat/internal/kafka"
)

// noteMax bounds the note that is committed with an offset, in bytes. Kafka keeps 4096 (offset.metadata.max.bytes).
const noteMax = 4000

// note stands beside a committed offset.
type note struct {
	kafka.Written
	// Steps tells apart what wrote: after a change of the pipeline, or of the width of an output topic, the same input
	// gives other records in other places, and nothing of it may be skipped.
	Steps string `json:"steps"`
}

// parseNote reads what encodeNote wrote. Somebody else's note, beside an offset that was set by hand say, says nothing;
// nor does that of other steps.
func parseNote(s, steps string) kafka.Written {
	n := note{Written: kafka.NotWritten()}
	if s == "" || json.Unmarshal([]byte(s), &n) != nil || n.Steps != steps {
		return kafka.NotWritten()
	}
	return n.Written
}

// encodeNote gives the note for w. One that is too long for the broker says nothing: then a task that is killed writes
// some records twice.
func encodeNote(w kafka.Written, steps string) string {
	raw, err := json.Marshal(note{w, steps})
	if err != nil || len(raw) > noteMax {
		raw, _ = json.Marshal(note{kafka.NotWritten(), steps}) // numbers can always be encoded
	}
	return string(raw)
}
