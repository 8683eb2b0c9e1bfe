package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/leatstream/leat/connect/internal/host"
	"github.com/leatstream/leat/connect/internal/spec"
	"github.com/leatstream/leat/connect/internal/worker"
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/leatstream/leat/internal/yaml"
	"golang.org/x/sync/errgroup"
)

// Config says what to run and where.
type Config struct {
	Documents []*yaml.Node // `source:` and `sink:` documents
	Kafka     kafka.Config
	PluginDir string // of third-party plugins: executables named as the plugin; empty: none

	// Bundled gives the command line of a plugin that comes with the program, and Names lists those.
	Bundled func(name string) (argv []string, ok bool)
	Names   []string

	Stdout *os.File // where plugins print what a user asked them to print; nil: os.Stdout
	Logger *slog.Logger
}

func (c *Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

func (c *Config) stdout() *os.File {
	if c.Stdout == nil {
		return os.Stdout
	}
	return c.Stdout
}

func (c *Config) finder() *host.Finder {
	return &host.Finder{Bundled: c.Bundled, Names: c.Names, Dir: c.PluginDir}
}

// planned is a connector with the command line of its plugin.
type planned struct {
	*spec.Connector
	argv []string
}

// parse reads the documents and finds the plugins.
func parse(cfg *Config, d *diag.List) []planned {
	var out []planned
	seen := map[string]*yaml.Node{}
	finder := cfg.finder()
	for _, n := range cfg.Documents {
		c := spec.Parse(n, d)
		if c == nil {
			continue
		}
		if first := seen[c.Name]; first != nil {
			d.Add(yaml.Problem(n.Get(string(c.Kind)), "connector.twice", fmt.Sprintf("there is a connector %q already, at %s:%d", c.Name, first.Pos.File, first.Pos.Line),
				"positions and groups are kept by the name: it must be its own"))
			continue
		}
		seen[c.Name] = n
		argv, err := finder.Find(c.Plugin)
		if err != nil {
			var missing *host.NotFound
			hint := ""
			if errors.As(err, &missing) {
				hint = missing.Hint
			}
			d.Add(yaml.Problem(n.Get("plugin"), "connector.plugin", err.Error(), hint))
			continue
		}
		out = append(out, planned{c, argv})
	}
	return out
}

// Check finds every mistake in the documents, those in the plugins' settings too, which it asks the plugins for.
func Check(ctx context.Context, cfg Config, d *diag.List) {
	for _, c := range parse(&cfg, d) {
		checkConfig(ctx, &cfg, c, d)
	}
}

// Topics are what sources write to and sinks read from.
func Topics(documents []*yaml.Node) (written, read []string) {
	var d diag.List // mistakes are Check's
	for _, n := range documents {
		if c := spec.Parse(n, &d); c != nil {
			if c.To != "" {
				written = append(written, c.To)
			}
			read = append(read, c.From...)
		}
	}
	return written, read
}

// Runtime runs connectors.
type Runtime struct {
	client *kafka.Client
	tasks  []*worker.Task
}

// New reads the documents. A *diag.List as error holds their mistakes. No process is started before Run.
func New(cfg Config) (*Runtime, error) {
	var d diag.List
	connectors := parse(&cfg, &d)
	if err := d.Err(); err != nil {
		return nil, err
	}
	client, err := kafka.New(cfg.Kafka)
	if err != nil {
		return nil, err
	}
	r := &Runtime{client: client}
	for _, c := range connectors {
		r.tasks = append(r.tasks, worker.New(c.Connector, c.argv, client, cfg.stdout(), cfg.logger()))
	}
	return r, nil
}

// Run runs the connectors until ctx ends. One that fails for good does not end the others; its error is returned in the end.
func (r *Runtime) Run(ctx context.Context) error {
	defer r.client.Close()
	var group errgroup.Group
	for _, t := range r.tasks {
		group.Go(func() error { return t.Run(ctx) })
	}
	return group.Wait()
}

// Status is one connector as people see it.
type Status struct {
	Name        string
	Kind        string // source or sink
	Plugin      string
	PID         int // 0: no process at the moment
	State       string
	Records     int64 // since the start
	Bytes       int64
	DeadLetters int64
	Restarts    int
	Lag         int64 // sinks: records that are not acknowledged yet
	Drained     bool  // a source has read all there is, a sink has written all it was given
	LastError   string
	Topics      []string // written or read
}

// Status tells how each connector is, in the order of the documents.
func (r *Runtime) Status() []Status {
	out := make([]Status, 0, len(r.tasks))
	for _, t := range r.tasks {
		s := t.Status()
		topics := t.Spec.From
		if t.Spec.Kind == spec.Source {
			topics = []string{t.Spec.To}
		}
		out = append(out, Status{
			Name: t.Spec.Name, Kind: string(t.Spec.Kind), Plugin: t.Spec.Plugin, PID: s.PID, State: string(s.State), Records: s.Records, Bytes: s.Bytes,
			DeadLetters: s.DeadLetters, Restarts: s.Restarts, Lag: s.Lag, Drained: s.Drained, LastError: s.LastError, Topics: topics,
		})
	}
	return out
}

// Groups are the consumer groups of sinks, with the topics they read.
func (r *Runtime) Groups() map[string][]string {
	out := map[string][]string{}
	for _, t := range r.tasks {
		if t.Spec.Kind == spec.Sink {
			out["connect-"+t.Spec.Name] = t.Spec.From
		}
	}
	return out
}
