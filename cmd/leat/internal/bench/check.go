package bench

import (
	"fmt"
	"hash/crc32"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// tally counts records, and sums their checksums so that the order in which they come does not matter.
type tally struct {
	records, bytes, sum atomic.Int64
}

func (t *tally) add(value []byte, check bool) {
	t.records.Add(1)
	t.bytes.Add(int64(len(value)))
	if check {
		t.sum.Add(int64(crc32.Checksum(value, castagnoli)))
	}
}

func (t *tally) reset() {
	t.records.Store(0)
	t.bytes.Store(0)
	t.sum.Store(0)
}

// lane is the records of one producer in one partition, which come in order.
type lane struct {
	partition int32
	producer  uint32
}

// checker finds what is wrong with records that are read back. It belongs to one goroutine.
type checker struct {
	next     map[lane]uint64
	disorder *atomic.Int64
}

func newChecker(disorder *atomic.Int64) *checker {
	return &checker{next: map[lane]uint64{}, disorder: disorder}
}

func (c *checker) see(r *kgo.Record) {
	if len(r.Value) < stampLen {
		return
	}
	s := readStamp(r.Value)
	l := lane{r.Partition, s.producer}
	if s.sequence < c.next[l] {
		c.disorder.Add(1)
	}
	c.next[l] = max(c.next[l], s.sequence+1)
}

// compare says what differs between what was acknowledged and what came back.
func compare(written, read *tally, disorder int64) []string {
	var wrong []string
	if w, r := written.records.Load(), read.records.Load(); w != r {
		wrong = append(wrong, fmt.Sprintf("%d records were acknowledged, %d came back", w, r))
	} else if written.sum.Load() != read.sum.Load() {
		wrong = append(wrong, "the checksums of what was written and what came back differ")
	}
	if disorder > 0 {
		wrong = append(wrong, fmt.Sprintf("%d records came twice or out of order", disorder))
	}
	return wrong
}
