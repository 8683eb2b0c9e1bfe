package bench

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A value begins with who wrote it, as which of its records, and when that one was due; the payload follows.
const stampLen = 4 + 8 + 8

// MinSize is the smallest value that a load can have.
const MinSize = stampLen

type stamp struct {
	producer uint32
	sequence uint64
	due      int64 // ns since 1970
}

func (s stamp) put(value []byte) {
	binary.BigEndian.PutUint32(value, s.producer)
	binary.BigEndian.PutUint64(value[4:], s.sequence)
	binary.BigEndian.PutUint64(value[12:], uint64(s.due))
}

func readStamp(value []byte) stamp {
	return stamp{binary.BigEndian.Uint32(value), binary.BigEndian.Uint64(value[4:]), int64(binary.BigEndian.Uint64(value[12:]))}
}

func (s stamp) age(now time.Time) time.Duration { return time.Duration(now.UnixNano() - s.due) }

// Payloads are the kinds of values.
var Payloads = []string{"random", "json", "zero"}

// fill makes a value of a kind. The same seed gives the same value.
func fill(value []byte, kind string, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 42))
	switch kind {
	case "random":
		for i := range value {
			value[i] = byte(rng.Uint32())
		}
	case "json":
		copy(value, object(rng, len(value)))
	}
}

// object is a JSON object of a size, as repetitive as events are.
func object(rng *rand.Rand, size int) string {
	words := strings.Fields("order payment click view cart refund eu-west us-east web mobile active pending closed")
	var b strings.Builder
	fmt.Fprintf(&b, `{"id":%d,"kind":%q,"amount":%d.%02d,"tags":"`, rng.IntN(1e6), words[rng.IntN(len(words))], rng.IntN(1000), rng.IntN(100))
	for b.Len() < size-2 {
		b.WriteString(words[rng.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.String()[:max(size-2, 0)] + `"}`
}
