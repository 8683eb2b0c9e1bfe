package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/kafka"
)

// PositionsTopic holds how far sources have come: docs/formats/written.md.
const PositionsTopic = "__leat_positions"

// position is what is stored for one claim of a source.
type position struct {
	Position []byte        `json:"position,omitempty"`
	Replays  bool          `json:"replays,omitempty"`
	Way      string        `json:"way,omitempty"` // by which settings records found their partitions
	Written  kafka.Written `json:"written"`
}

func positionKey(connector, claim string) []byte { return []byte(connector + "\x00" + claim) }

// loadPositions reads the positions of a connector, by claim.
func loadPositions(ctx context.Context, client *kafka.Client, connector string) (map[string]position, error) {
	if err := client.EnsureTopic(ctx, PositionsTopic, 1, map[string]string{"cleanup.policy": "compact"}); err != nil {
		return nil, err
	}
	out := map[string]position{}
	var s batch.Scratch
	_, err := client.ReadAll(ctx, PositionsTopic, 0, 0, func(f kafka.Fetched) error {
		return f.Each(&s, func(_ batch.Header, r *batch.Record) error {
			claim, ok := strings.CutPrefix(string(r.Key), connector+"\x00")
			if !ok {
				return nil
			}
			if r.Value == nil {
				delete(out, claim)
				return nil
			}
			var p position
			if err := json.Unmarshal(r.Value, &p); err != nil {
				return fmt.Errorf("position of %s in %s: %w", claim, PositionsTopic, err)
			}
			out[claim] = p
			return nil
		})
	})
	return out, err
}

// store makes positions durable; nil removes one.
func (s *sourceRun) store(ctx context.Context, positions map[string]*position) error {
	answers := make(chan error, len(positions))
	for claim, p := range positions {
		var value []byte
		if p != nil {
			var err error
			if value, err = json.Marshal(p); err != nil {
				return err
			}
		}
		if err := s.positions.Add(ctx, PositionsTopic, 0, time.Now().UnixMilli(), positionKey(s.task.Spec.Name, claim), value, nil,
			func(err error) { answers <- err }); err != nil {
			return err
		}
	}
	if err := s.positions.Flush(ctx); err != nil {
		return err
	}
	for range positions {
		select {
		case err := <-answers:
			if err != nil {
				return fmt.Errorf("storing positions: %w", err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
