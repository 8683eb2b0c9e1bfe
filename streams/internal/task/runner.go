package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/internal/batch"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/leatstream/leat/streams/internal/spec"
	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sync/errgroup"
)

// State of a runner, for people.
type State string

// The states.
const (
	Starting State = "starting"
	Waiting  State = "waiting" // for an input topic
	Running  State = "running"
	Retrying State = "retrying"
	Failed   State = "failed"
	Stopped  State = "stopped"
)

// Counts are what a runner has done since it started.
type Counts struct{ In, Out, Dropped, DeadLetters, Lag int64 }

// Runner runs one pipeline.
type Runner struct {
	Pipeline *spec.Pipeline

	client  *kafka.Client
	workers int
	log     *slog.Logger

	in, out, dropped, dead atomic.Int64
	mu                     sync.Mutex // of what Status reads
	state                  State
	last                   string
	lags                   map[partition]int64

	round      sync.Mutex // held while records are worked on: partitions are given up between rounds
	tasks      map[partition]*task
	consumer   *kafka.Consumer
	producer   *kafka.Producer
	partitions map[string]int32 // of output topics; does not change in a session
	limits     map[string]int   // max.message.bytes of output topics
	steps      string           // tells apart what notes speak of
	letters    letters
}

type partition struct {
	topic string
	index int32
}

// New prepares a runner. Nothing happens before Run.
func New(p *spec.Pipeline, client *kafka.Client, workers int, log *slog.Logger) *Runner {
	return &Runner{
		Pipeline: p, client: client, workers: workers, log: log.With("pipeline", p.Name), state: Starting,
		lags: map[partition]int64{},
	}
}

// Status tells how the runner is.
func (r *Runner) Status() (State, Counts, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := Counts{In: r.in.Load(), Out: r.out.Load(), Dropped: r.dropped.Load(), DeadLetters: r.dead.Load()}
	for _, lag := range r.lags {
		c.Lag += lag
	}
	return r.state, c, r.last
}

func (r *Runner) set(s State, last string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = s
	if last != "" {
		r.last = last
	}
}

// errStop ends a pipeline whose on_error is stop.
var errStop = errors.New("a record could not be handled and on_error is stop")

// Run works until ctx ends. Troubles with the cluster are waited out.
func (r *Runner) Run(ctx context.Context) error {
	defer func() {
		if state, _, _ := r.Status(); state != Failed {
			r.set(Stopped, "")
		}
	}()
	for attempt := 0; ; attempt++ {
		began := time.Now()
		err := r.session(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errStop):
			r.set(Failed, err.Error())
			r.log.Error("pipeline stopped", "error", err)
			return err
		}
		r.set(Retrying, err.Error())
		r.log.Warn("pipeline interrupted, starting again", "error", err)
		if time.Since(began) > time.Minute {
			attempt = 0
		}
		select {
		case <-time.After(min(50*time.Millisecond<<min(attempt, 8), 10*time.Second)):
		case <-ctx.Done():
			return nil
		}
	}
}

// session is one membership in the group, from joining to the first trouble.
func (r *Runner) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := r.prepare(ctx); err != nil {
		return err
	}
	var err error
	if r.producer, err = r.client.NewProducer(kafka.ProducerOptions{}); err != nil {
		return err
	}
	defer r.producer.Close()
	r.tasks = map[partition]*task{}
	r.round.Lock() // the first assignment waits until there is a consumer
	r.consumer, err = r.client.NewConsumer(kafka.ConsumerOptions{
		Group: r.Pipeline.Name, Topics: r.Pipeline.From,
		Start:    kafka.Start{Latest: r.Pipeline.Start.Latest, Time: r.Pipeline.Start.Time},
		Assigned: r.assigned, Revoked: r.revoked,
	})
	r.round.Unlock()
	if err != nil {
		return err
	}
	defer func() {
		r.consumer.Close()
		r.endTasks()
	}()
	r.mu.Lock()
	r.state, r.last = Running, ""
	r.mu.Unlock()
	for {
		got, err := r.consumer.Poll(ctx)
		if err != nil {
			return err
		}
		if err := r.handle(ctx, got); err != nil {
			return err
		}
	}
}

// prepare waits for the input topics and makes the output topics, with as many partitions as the largest input has.
func (r *Runner) prepare(ctx context.Context) error {
	width := int32(1)
	for _, topic := range r.Pipeline.From {
		n, err := r.input(ctx, topic)
		if err != nil {
			return fmt.Errorf("input: %w", err)
		}
		width = max(width, n)
	}
	r.partitions, r.limits, r.letters.partitions = map[string]int32{}, map[string]int{}, 0
	for _, topic := range r.Pipeline.Topology.Topics() {
		if err := r.client.EnsureTopic(ctx, topic, width, nil); err != nil {
			return err
		}
		n, err := r.client.Partitions(ctx, topic)
		if err != nil {
			return err
		}
		r.partitions[topic] = n
		r.limits[topic] = r.limit(ctx, topic)
	}
	r.steps = r.Pipeline.Fingerprint(r.partitions)
	return nil
}

// limit is how large a batch for topic may be. Who may not read configurations is taken to have the default.
func (r *Runner) limit(ctx context.Context, topic string) int {
	n, err := r.client.MaxMessageBytes(ctx, topic)
	if err != nil {
		r.log.Debug("cannot read max.message.bytes, taking the default", "topic", topic, "error", err)
		return kafka.DefaultMaxMessageBytes
	}
	return n
}

// input waits until a topic is there: whoever writes it may be about to make it.
func (r *Runner) input(ctx context.Context, topic string) (int32, error) {
	for {
		n, err := r.client.Partitions(ctx, topic)
		if !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return n, err
		}
		r.set(Waiting, "for topic "+topic)
		select {
		case <-time.After(topicEvery):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// topicEvery is how often a topic that is not there is looked for.
const topicEvery = 50 * time.Millisecond

// assigned starts tasks. It runs between rounds.
func (r *Runner) assigned(ctx context.Context, next map[string]map[int32]int64) error {
	r.round.Lock()
	defer r.round.Unlock()
	notes, err := r.client.Notes(ctx, r.Pipeline.Name)
	if err != nil {
		return err
	}
	for topic, ps := range next {
		for index, offset := range ps {
			t, err := r.newTask(ctx, partition{topic, index}, offset, notes[topic][index])
			if err != nil {
				return err
			}
			r.tasks[t.partition] = t
		}
	}
	return nil
}

// revoked ends tasks. It waits for the end of the round, which committed what they did.
func (r *Runner) revoked(_ context.Context, parts map[string][]int32, _ bool) {
	r.round.Lock()
	defer r.round.Unlock()
	for topic, ps := range parts {
		for _, index := range ps {
			r.end(partition{topic, index})
		}
	}
}

func (r *Runner) end(p partition) {
	if t := r.tasks[p]; t != nil {
		t.producer.Close()
		delete(r.tasks, p)
	}
	r.mu.Lock()
	delete(r.lags, p)
	r.mu.Unlock()
}

func (r *Runner) endTasks() {
	r.round.Lock()
	defer r.round.Unlock()
	for p := range r.tasks {
		r.end(p)
	}
}

// handle is one round: everything that a poll brought is worked on, made durable, and committed.
func (r *Runner) handle(ctx context.Context, got []kafka.Fetched) error {
	r.round.Lock()
	defer r.round.Unlock()
	ctx, cancel := graceful(ctx)
	defer cancel()
	work := map[*task][]kafka.Fetched{}
	for _, f := range got {
		if t := r.tasks[partition{f.Topic, f.Partition}]; t != nil && r.consumer.Current(f) {
			work[t] = append(work[t], f)
		}
	}
	if len(work) == 0 {
		return nil
	}
	if err := r.announce(ctx, work); err != nil {
		return err
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(r.workers)
	for t, fetched := range work {
		group.Go(func() error {
			for _, f := range fetched {
				if err := t.process(gctx, f); err != nil {
					return err
				}
			}
			return t.settle(gctx)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return r.commit(ctx, work)
}

// graceful ends some time after ctx, so that what was begun can be committed.
func graceful(ctx context.Context) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(graceTime, cancel) })
	return later, func() { stop(); cancel() }
}

// graceTime is how long a round may go on after its runner was stopped.
const graceTime = 700 * time.Millisecond

// announce commits the producer ids of new tasks before they write anything, at the offset where they begin.
func (r *Runner) announce(ctx context.Context, work map[*task][]kafka.Fetched) error {
	fresh := map[*task][]kafka.Fetched{}
	for t := range work {
		if !t.announced {
			fresh[t] = nil
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := r.commit(ctx, fresh); err != nil {
		return err
	}
	for t := range fresh {
		t.announced = true
	}
	return nil
}

func (r *Runner) commit(ctx context.Context, work map[*task][]kafka.Fetched) error {
	next, notes := map[string]map[int32]int64{}, map[string]map[int32]string{}
	for t := range work {
		if next[t.topic] == nil {
			next[t.topic], notes[t.topic] = map[int32]int64{}, map[int32]string{}
		}
		next[t.topic][t.index] = t.next
		notes[t.topic][t.index] = t.note()
	}
	if err := r.consumer.CommitNotes(ctx, next, notes); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for t, fetched := range work {
		for _, f := range fetched {
			r.lags[t.partition] = max(f.HighWatermark-t.next, 0)
		}
	}
	return nil
}

// scratch is what records are read with.
type scratch = batch.Scratch
