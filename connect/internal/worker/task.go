package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/connect/internal/host"
	"github.com/leatstream/leat/connect/internal/spec"
	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/internal/kafka"
)

// State of a task, for people.
type State string

// The states.
const (
	Starting State = "starting"
	Running  State = "running"
	Backoff  State = "backoff"
	Failed   State = "failed"
	Stopped  State = "stopped"
)

// Times of supervision.
const (
	pingEvery    = 2 * time.Second
	pingPatience = 10 * time.Second
	healthy      = 10 * time.Second // running so long, the next restart is at once again
	backoffFirst = 500 * time.Millisecond
	backoffMax   = 30 * time.Second
	drainTime    = 1500 * time.Millisecond
	killTime     = 1800 * time.Millisecond // after the end was asked for
	openPatience = 60 * time.Second        // for a process to take its task
	ackPatience  = 60 * time.Second        // for a sink to answer for what it was given
)

var errOpen = fmt.Errorf("the plugin hangs: it did not open within %s", openPatience)

var errLate = errors.New("the plugin did not end in time")

// Status is a task as people see it.
type Status struct {
	PID         int
	State       State
	Records     int64
	Bytes       int64
	DeadLetters int64
	Restarts    int
	Lag         int64
	Drained     bool
	LastError   string // the last there was; it may be over
}

// Task runs one connector.
type Task struct {
	Spec *spec.Connector

	argv   []string
	client *kafka.Client
	out    *os.File
	log    *slog.Logger

	records, bytes, dead atomic.Int64
	letterbox            atomic.Bool // the dead-letter topic is there

	mu     sync.Mutex
	status Status
	epoch  int64
}

// New prepares a task whose plugin is started by argv.
func New(c *spec.Connector, argv []string, client *kafka.Client, out *os.File, log *slog.Logger) *Task {
	return &Task{Spec: c, argv: argv, client: client, out: out, log: log.With("connector", c.Name), status: Status{State: Starting}, epoch: time.Now().UnixNano()}
}

// Status tells how the task is.
func (t *Task) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.status
	s.Records, s.Bytes, s.DeadLetters = t.records.Load(), t.bytes.Load(), t.dead.Load()
	return s
}

func (t *Task) update(change func(*Status)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.status)
}

// fatal ends a task until a person changes something.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// retryAfter asks not to start again before some time.
type retryAfter struct {
	error
	wait time.Duration
}

func (r retryAfter) Unwrap() error { return r.error }

// Run runs the task until ctx ends or it fails for good.
func (t *Task) Run(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		began := time.Now()
		err := t.session(ctx)
		if ctx.Err() != nil {
			t.update(func(s *Status) { s.State, s.PID = Stopped, 0 })
			return nil //nolint:nilerr // stopped as asked
		}
		var end fatal
		if errors.As(err, &end) {
			reason := t.Spec.Redact(end.Error())
			t.update(func(s *Status) { s.State, s.PID, s.LastError = Failed, 0, reason })
			t.log.Error("connector stopped", "error", reason)
			return fmt.Errorf("%s %s: %s", t.Spec.Kind, t.Spec.Name, reason)
		}
		if time.Since(began) > healthy {
			attempt = 0
		}
		wait := t.pause(attempt, err)
		reason := t.Spec.Redact(err.Error())
		t.update(func(s *Status) {
			s.State, s.PID, s.LastError, s.Restarts, s.Drained = Backoff, 0, reason, s.Restarts+1, false
		})
		t.log.Warn("connector interrupted, starting again", "error", reason, "after", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// broke words what a plugin may not do.
func (t *Task) broke(format string, args ...any) error {
	return fmt.Errorf("plugin %s broke the protocol: %w", t.Spec.Plugin, fmt.Errorf(format, args...))
}

// pause is how long to wait: the first time not at all, then longer and longer, never all at the same moment; not less
// than the plugin asked for.
func (t *Task) pause(attempt int, err error) time.Duration {
	var asked retryAfter
	errors.As(err, &asked) // else zero
	if attempt == 0 {
		return asked.wait
	}
	d := min(backoffFirst<<min(attempt-1, 10), backoffMax)
	return max(asked.wait, d/2+rand.N(d/2))
}

// session is one life of the process.
func (t *Task) session(ctx context.Context) error {
	t.update(func(s *Status) { s.State = Starting })
	p, err := host.Start(ctx, t.argv, t.out, t.log, t.Spec.Redact)
	if err != nil {
		return err
	}
	defer p.Kill()
	t.mu.Lock()
	t.epoch++
	epoch := t.epoch
	t.status.PID = p.PID
	t.mu.Unlock()
	life, end := context.WithCancelCause(context.WithoutCancel(ctx)) // the process is drained after ctx ended
	defer end(nil)
	late := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(killTime):
			end(errLate)
			p.Kill()
		case <-life.Done():
		}
	})
	defer func() { late() }()
	go func() {
		if err := p.Hangs(life, pingEvery, pingPatience); err != nil {
			end(err)
			p.Kill()
		}
	}()
	if err := t.validate(life, p); err != nil {
		return err
	}
	if t.Spec.Kind == spec.Source {
		err = t.source(ctx, life, p, epoch)
	} else {
		err = t.sink(ctx, life, p, epoch)
	}
	if cause := context.Cause(life); cause != nil {
		return cause
	}
	return err
}

func (t *Task) role() proto.Role {
	if t.Spec.Kind == spec.Source {
		return proto.Role_ROLE_SOURCE
	}
	return proto.Role_ROLE_SINK
}

func (t *Task) validate(ctx context.Context, p *host.Plugin) error {
	ctx, cancel := context.WithTimeoutCause(ctx, openPatience, errOpen)
	defer cancel()
	resp, err := p.Validate(ctx, &proto.ConfigRequest{Role: t.role(), Config: t.Spec.Config})
	if err != nil {
		return t.died(ctx, err)
	}
	for _, problem := range resp.GetProblems() {
		return fatal{fmt.Errorf("plugin %s: config %s: %s (%s)", t.Spec.Plugin, problem.GetPath(), problem.GetMessage(), problem.GetHint())}
	}
	return nil
}

// open hands the task to the process.
func (t *Task) open(ctx context.Context, p *host.Plugin, epoch int64, positions []*proto.Position) error {
	ctx, cancel := context.WithTimeoutCause(ctx, openPatience, errOpen)
	defer cancel()
	resp, err := p.Open(ctx, &proto.OpenRequest{Role: t.role(), Connector: t.Spec.Name, Epoch: epoch, Config: t.Spec.Config, Positions: positions})
	if err != nil {
		return t.died(ctx, err)
	}
	if f := resp.GetFailure(); f != nil {
		return t.failure(f)
	}
	t.update(func(s *Status) { s.State = Running })
	return nil
}

// died words the end of a process, or of the stream to it.
func (t *Task) died(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause // we have ended it ourselves
	}
	return fmt.Errorf("plugin %s ended unexpectedly: %w", t.Spec.Plugin, err)
}

// failure turns a plugin's last words into an error of the right class.
func (t *Task) failure(f *proto.Failure) error {
	err := fmt.Errorf("plugin %s: %s", t.Spec.Plugin, f.GetMessage())
	if f.GetHint() != "" {
		err = fmt.Errorf("%w (%s)", err, f.GetHint())
	}
	switch {
	case f.GetClass() == proto.Class_CLASS_FATAL:
		return fatal{err}
	case f.GetRetryAfterMs() > 0:
		return retryAfter{err, time.Duration(f.GetRetryAfterMs()) * time.Millisecond}
	}
	return err
}
