package api

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/leatstream/leat/broker/internal/replica"
)

// wordless is an error that cannot be told.
type wordless struct{}

func (wordless) Error() string { panic("no words") }

// TestPanicsOffTheConnection: answers that are made on goroutines of timers and syncs. A fetch that finds no
// metadata panics, and an error that has no words.
func TestPanicsOffTheConnection(t *testing.T) {
	quiet := &API{Log: slog.New(slog.DiscardHandler)}
	for name, answer := range map[string]func(reply func(Reply, error)){
		"a fetch that was parked": func(reply func(Reply, error)) {
			f := &fetching{api: quiet, call: &Call{}, req: &fetchRequest{}, wanted: []*wantedPartition{{}}, reply: reply, news: true, trying: true}
			f.try(new([]fetched))
		},
		"the last answer of a produce": func(reply func(Reply, error)) {
			p := &producing{api: quiet, call: &Call{}, reply: reply, acks: -1, left: 1, topics: []producedTopic{{partitions: []produced{{err: wordless{}}}}}}
			p.done(nil, replica.Result{}, nil)
		},
	} {
		var got error
		answers := 0
		answer(func(_ Reply, err error) { got, answers = err, answers+1 })
		if answers != 1 || !errors.Is(got, ErrPanic) {
			t.Errorf("%s: %d answers, %v", name, answers, got)
		}
	}
}
