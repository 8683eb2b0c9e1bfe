package streams

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/streams/internal/spec"
	"github.com/leatstream/leat/streams/internal/task"
	"golang.org/x/sync/errgroup"
)

// Config says what to run and where.
type Config struct {
	Documents []*yaml.Node // `pipeline:` documents
	Kafka     kafka.Config
	Workers   int // partitions of a pipeline that are worked on at once; 0: one a core
	Logger    *slog.Logger
}

// Check finds every mistake in documents.
func Check(documents []*yaml.Node, d *diag.List) {
	parse(documents, d)
}

func parse(documents []*yaml.Node, d *diag.List) []*spec.Pipeline {
	var out []*spec.Pipeline
	seen := map[string]*yaml.Node{}
	for _, n := range documents {
		p := spec.Parse(n, d)
		if p == nil {
			continue
		}
		if first := seen[p.Name]; first != nil {
			d.Add(yaml.Problem(n.Get("pipeline"), "pipeline.twice", fmt.Sprintf("there is a pipeline %q already, at %s:%d", p.Name, first.Pos.File, first.Pos.Line),
				"a pipeline is a consumer group: its name must be its own"))
			continue
		}
		seen[p.Name] = n
		out = append(out, p)
	}
	return out
}

// Runtime runs pipelines.
type Runtime struct {
	client  *kafka.Client
	runners []*task.Runner
}

// New checks the documents. A *diag.List as error holds their mistakes. Nothing runs before Run.
func New(cfg Config) (*Runtime, error) {
	var d diag.List
	pipelines := parse(cfg.Documents, &d)
	if err := d.Err(); err != nil {
		return nil, err
	}
	client, err := kafka.New(cfg.Kafka)
	if err != nil {
		return nil, err
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	workers := cfg.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	r := &Runtime{client: client}
	for _, p := range pipelines {
		r.runners = append(r.runners, task.New(p, client, workers, log))
	}
	return r, nil
}

// Run runs the pipelines until ctx ends. A pipeline that stops because of a record does not end the others.
func (r *Runtime) Run(ctx context.Context) error {
	defer r.client.Close()
	var group errgroup.Group
	for _, runner := range r.runners {
		group.Go(func() error { return runner.Run(ctx) })
	}
	return group.Wait()
}

// Status is one pipeline as people see it.
type Status struct {
	Name        string
	State       string
	In          int64 // records since the start
	Out         int64
	Dropped     int64
	DeadLetters int64
	Lag         int64
	LastError   string
	From, To    []string
}

// Status tells how each pipeline is, in the order of the documents.
func (r *Runtime) Status() []Status {
	out := make([]Status, 0, len(r.runners))
	for _, runner := range r.runners {
		state, c, last := runner.Status()
		out = append(out, Status{
			Name: runner.Pipeline.Name, State: string(state), In: c.In, Out: c.Out, Dropped: c.Dropped, DeadLetters: c.DeadLetters,
			Lag: c.Lag, LastError: last, From: runner.Pipeline.From, To: runner.Pipeline.Topology.Topics(),
		})
	}
	return out
}
