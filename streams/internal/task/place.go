package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
)

// noteMax bounds the note that is committed with an offset, in bytes. Kafka keeps 4096 (offset.metadata.max.bytes).
const noteMax = 4000

// place says what a task has written, so that the next one does not write it again. Its JSON is committed with the input
// offset: docs/formats/pipeline-note.md.
type place struct {
	// Producer is the id in the batches of the task. -1: not known.
	Producer int64 `json:"producer"`
	// Ends are offsets in output partitions: what the task wrote for records before the input offset is below.
	Ends map[string]map[int32]int64 `json:"ends,omitempty"`
	// Skips are how many of the next records for an output partition are there already.
	Skips map[string]map[int32]int64 `json:"skips,omitempty"`
}

// recoverPlace reads the note of an earlier task and counts what that task wrote after it, in the output topics that exist.
func recoverPlace(ctx context.Context, client *kafka.Client, note string, id int64, topics []string) (place, error) {
	old := place{Producer: -1}
	if note != "" && json.Unmarshal([]byte(note), &old) != nil {
		old = place{Producer: -1} // somebody else's note: an offset that was set by hand, say
	}
	now := place{Producer: id, Ends: map[string]map[int32]int64{}, Skips: old.Skips}
	if now.Skips == nil {
		now.Skips = map[string]map[int32]int64{}
	}
	for _, topic := range topics {
		ends, err := client.EndOffsets(ctx, topic)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue // dead letters, before there are any
		}
		if err != nil {
			return now, err
		}
		for i, end := range ends {
			index := int32(i)
			now.wrote(topic, index, end)
			if from := old.Ends[topic][index]; old.Producer >= 0 && old.Ends != nil && from < end {
				n, err := written(ctx, client, topic, index, from, old.Producer)
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

// written counts the records that a producer wrote from offset on.
func written(ctx context.Context, client *kafka.Client, topic string, index int32, offset, producer int64) (n int64, err error) {
	_, err = client.ReadAll(ctx, topic, index, offset, func(f kafka.Fetched) error {
		for rest := f.Batches; len(rest) > 0; {
			h, err := batch.ReadHeader(rest)
			if err != nil {
				return err
			}
			if h.ProducerID == producer && h.BaseOffset >= offset {
				n += int64(h.Count)
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

func (p *place) wrote(topic string, index int32, next int64) {
	if p.Ends[topic] == nil {
		p.Ends[topic] = map[int32]int64{}
	}
	p.Ends[topic][index] = next
}

func (p *place) add(topic string, index int32, n int64) {
	if p.Skips[topic] == nil {
		p.Skips[topic] = map[int32]int64{}
	}
	p.Skips[topic][index] += n
}

// skip tells whether the next record for a partition is there already.
func (p *place) skip(topic string, index int32) bool {
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

// encode is the note. One that is too long for the broker leaves the ends out: then a task that is killed writes some
// records twice.
func (p *place) encode() string {
	raw, err := json.Marshal(p)
	if err != nil || len(raw) > noteMax {
		raw, _ = json.Marshal(place{Producer: -1}) // numbers can always be encoded
	}
	return string(raw)
}
