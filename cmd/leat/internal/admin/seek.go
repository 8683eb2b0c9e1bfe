package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Kind is what a Target is counted from.
type Kind int

// The kinds of targets.
const (
	ToStart   Kind = iota // the first record that there is
	ToEnd                 // behind the last one
	ToOffset              // N
	ToTime                // the first record at or after At
	ToShift               // N records on from where one is, back if negative
	ToCurrent             // where one is
)

// Target is a place in a partition.
type Target struct {
	Kind Kind
	N    int64
	At   time.Time
}

// Move is one partition's offset before and after.
type Move struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"` // -1: nothing committed
	To        int64  `json:"to"`
}

// Seek plans where a group's offsets in parts would go. They stay within what the partitions hold.
func Seek(ctx context.Context, cl *kgo.Client, group string, parts Partitions, target Target) ([]Move, error) {
	committed, err := kadm.NewClient(cl).FetchOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	return plan(ctx, cl, parts, target, func(topic string, p int32, start, end int64) (from, here int64) {
		if c, ok := committed.Lookup(topic, p); ok && c.At >= 0 {
			return c.At, c.At
		}
		if target.Kind == ToCurrent {
			return -1, end
		}
		return -1, start
	})
}

// Before plans what lies before target: moves go from where the partitions start to where they would. ToShift counts from
// the start, back from the end if negative.
func Before(ctx context.Context, cl *kgo.Client, parts Partitions, target Target) ([]Move, error) {
	return plan(ctx, cl, parts, target, func(_ string, _ int32, start, end int64) (from, here int64) {
		if target.N < 0 {
			return start, end
		}
		return start, start
	})
}

// plan places a target in each of parts. where says what goes into a move's From, and where one is.
func plan(ctx context.Context, cl *kgo.Client, parts Partitions, target Target, where func(topic string, p int32, start, end int64) (from, here int64)) ([]Move, error) {
	adm := kadm.NewClient(cl)
	topics := slices.Collect(maps.Keys(parts))
	starts, ends, err := bounds(ctx, adm, topics...)
	if err != nil {
		return nil, err
	}
	var timed kadm.ListedOffsets
	if target.Kind == ToTime {
		if timed, err = adm.ListOffsetsAfterMilli(ctx, target.At.UnixMilli(), topics...); err != nil {
			return nil, err
		}
	}
	var moves []Move
	var failed []error
	parts.Each(func(t string, p int32) {
		start, _ := starts.Lookup(t, p)
		end, ok := ends.Lookup(t, p)
		at, _ := timed.Lookup(t, p)
		if err := firstErr(start.Err, end.Err, at.Err); !ok || err != nil {
			failed = append(failed, fmt.Errorf("topic %s partition %d: %w", t, p, firstErr(err, errNoPartition)))
			return
		}
		from, here := where(t, p, start.Offset, end.Offset)
		moves = append(moves, Move{t, p, from, target.place(here, start.Offset, end.Offset, at.Offset)})
	})
	return moves, errors.Join(failed...)
}

var errNoPartition = errors.New("there is no such partition")

// firstErr is the first error that is one.
func firstErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// place is the arithmetic of a target in a partition that holds [start, end), for one who is at here; timed is the first
// offset at the target's time.
func (t Target) place(here, start, end, timed int64) int64 {
	to := here
	switch t.Kind {
	case ToStart:
		to = start
	case ToEnd:
		to = end
	case ToOffset:
		to = t.N
	case ToTime:
		to = timed
	case ToShift:
		to = here + t.N
	case ToCurrent:
	}
	return min(max(to, start), end)
}

// Commit makes moves true. The group must have no members.
func Commit(ctx context.Context, cl *kgo.Client, group string, moves []Move) error {
	offsets := kadm.Offsets{}
	for _, m := range moves {
		offsets.AddOffset(m.Topic, m.Partition, m.To, -1)
	}
	return kadm.NewClient(cl).CommitAllOffsets(ctx, group, offsets)
}

// Committed gives the partitions in which a group has committed.
func Committed(ctx context.Context, cl *kgo.Client, group string) (Partitions, error) {
	offsets, err := kadm.NewClient(cl).FetchOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	out := Partitions{}
	for _, o := range offsets.Sorted() {
		if o.At >= 0 {
			out[o.Topic] = append(out[o.Topic], o.Partition)
		}
	}
	return out, nil
}
