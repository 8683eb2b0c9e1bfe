package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Written says what a writer has put into output partitions, so that its successor after a kill does not do it again: it
// finds the records by the producer id in their batches. Its JSON is kept beside the writer's place in its input
// (docs/formats/written.md, docs/adr/0005).
type Written struct {
	// Producer is the id in the batches of the writer. -1: not known.
	Producer int64 `json:"producer"`
	// Ends are offsets in output partitions: what was written for input before the place is below.
	Ends map[string]map[int32]int64 `json:"ends,omitempty"`
	// Skips are how many of the next records for an output partition are there already.
	Skips map[string]map[int32]int64 `json:"skips,omitempty"`
}

// NotWritten is a Written that says nothing.
func NotWritten() Written { return Written{Producer: -1} }

// Recover makes the Written of a new writer with producer id: it counts what the old one wrote after its ends, in the
// topics that exist. When the input of the old one will not come again, replays is false, and nothing is skipped.
func (c *Client) Recover(ctx context.Context, old Written, replays bool, id int64, topics []string) (Written, error) {
	now := Written{Producer: id, Ends: map[string]map[int32]int64{}, Skips: old.Skips}
	if now.Skips == nil || !replays {
		now.Skips = map[string]map[int32]int64{}
	}
	for _, topic := range topics {
		ends, err := c.EndOffsets(ctx, topic)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue // dead letters, before there are any
		}
		if err != nil {
			return now, err
		}
		for i, end := range ends {
			index := int32(i)
			now.Wrote(topic, index, end)
			if from := old.Ends[topic][index]; replays && old.Producer >= 0 && old.Ends != nil && from < end {
				n, err := c.countBy(ctx, topic, index, from, old.Producer)
				if err != nil {
					return now, err
				}
				if n > 0 {
					now.add(topic, index, n)
				}
			}
		}
	}
	return now, nil
}

// countBy counts the records that a producer wrote from offset on.
func (c *Client) countBy(ctx context.Context, topic string, index int32, offset, producer int64) (n int64, err error) {
	n, err = c.countFrom(ctx, topic, index, offset, producer)
	if errors.Is(err, kerr.OffsetOutOfRange) { // retention was faster
		starts, err := c.StartOffsets(ctx, topic)
		if err != nil {
			return 0, err
		}
		return c.countFrom(ctx, topic, index, starts[index], producer)
	}
	return n, err
}

func (c *Client) countFrom(ctx context.Context, topic string, index int32, offset, producer int64) (n int64, err error) {
	last := int32(-1)
	_, err = c.ReadAll(ctx, topic, index, offset, func(f Fetched) error {
		for rest := f.Batches; len(rest) > 0; {
			h, err := batch.ReadHeader(rest)
			if err != nil {
				return err
			}
			// A batch whose answer was lost is there twice where the broker does not look at sequences. It counts once.
			if h.ProducerID == producer && h.BaseOffset >= offset && h.BaseSequence != last {
				n += int64(h.Count)
				last = h.BaseSequence
			}
			rest = rest[h.Size():]
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("looking for what was written already: %w", err)
	}
	return n, nil
}

// Wrote notes that a batch of this writer ends at next.
func (p *Written) Wrote(topic string, index int32, next int64) {
	if p.Ends[topic] == nil {
		p.Ends[topic] = map[int32]int64{}
	}
	p.Ends[topic][index] = next
}

func (p *Written) add(topic string, index int32, n int64) {
	if p.Skips[topic] == nil {
		p.Skips[topic] = map[int32]int64{}
	}
	p.Skips[topic][index] += n
}

// Skip tells whether the next record for a partition is there already, and counts it off.
func (p *Written) Skip(topic string, index int32) bool {
	n := p.Skips[topic][index]
	if n == 0 {
		return false
	}
	if n == 1 {
		delete(p.Skips[topic], index)
		if len(p.Skips[topic]) == 0 {
			delete(p.Skips, topic)
		}
		return true
	}
	p.Skips[topic][index] = n - 1
	return true
}

// Skipping tells whether any record for a partition is to be skipped.
func (p *Written) Skipping(topic string, index int32) bool { return p.Skips[topic][index] > 0 }
