package admin

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TopicID is an id as Kafka's tools print it.
func TopicID(id kadm.TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Partitions are some partitions of some topics.
type Partitions map[string][]int32

// Each does something for each partition, in order.
func (p Partitions) Each(do func(topic string, partition int32)) {
	for _, t := range slices.Sorted(maps.Keys(p)) {
		for _, n := range slices.Sorted(slices.Values(p[t])) {
			do(t, n)
		}
	}
}

// Whole gives all partitions of topics, where a topic has none named, and checks those that are named.
func Whole(ctx context.Context, cl *kgo.Client, parts Partitions) (Partitions, error) {
	topics := slices.Sorted(maps.Keys(parts))
	details, err := kadm.NewClient(cl).ListTopics(ctx, topics...)
	if err != nil {
		return nil, err
	}
	out := Partitions{}
	for _, t := range topics {
		d := details[t]
		if d.Err != nil {
			return nil, &TopicError{t, d.Err}
		}
		all := slices.Sorted(maps.Keys(d.Partitions))
		if out[t] = parts[t]; len(out[t]) == 0 {
			out[t] = all
		}
		for _, p := range out[t] {
			if !slices.Contains(all, p) {
				return nil, fmt.Errorf("topic %s has no partition %d: it has %d", t, p, len(all))
			}
		}
	}
	return out, nil
}

// TopicError is what is wrong with one topic.
type TopicError struct {
	Topic string
	Err   error
}

func (e *TopicError) Error() string { return "topic " + e.Topic + ": " + e.Err.Error() }
func (e *TopicError) Unwrap() error { return e.Err }
