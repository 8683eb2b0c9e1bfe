package bench

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/ksuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Load is a run that is to be measured.
type Load struct {
	Kind       string            `json:"kind"` // produce, consume, e2e or raw
	Address    string            `json:"-"`    // where it runs, as a person names it
	Client     []kgo.Opt         `json:"-"`    // how clients get there
	Partitions int               `json:"partitions"`
	Replicas   int               `json:"replicas"` // -1: what the cluster is set to
	Config     map[string]string `json:"topic_config"`
	Size       int               `json:"size"`    // bytes of a value
	Payload    string            `json:"payload"` // one of Payloads
	Records    int64             `json:"records"`
	Limit      time.Duration     `json:"limit_ns"` // how long writing may take; how long e2e takes
	Batch      int               `json:"batch"`    // bytes
	Linger     time.Duration     `json:"linger_ns"`
	Acks       int16             `json:"acks"` // -1: all
	Idempotent bool              `json:"idempotent"`
	Codec      string            `json:"compression"`
	Producers  int               `json:"producers"` // clients; raw: connections
	Consumers  int               `json:"consumers"`
	InFlight   int               `json:"in_flight"` // requests a connection, where the client lets one choose
	Rate       float64           `json:"rate"`      // records a second (e2e)
	Warm       time.Duration     `json:"warm_up_ns"`
	Passes     int               `json:"passes"` // how often raw reads everything
	Check      bool              `json:"check"`
	PIDs       []int             `json:"-"` // processes of the broker
	// Progress hears what goes on a few times a second: what, how much of it is done (0 to 1), and the records so far.
	Progress func(stage string, done float64, records int64) `json:"-"`
}

// run is a Load that runs.
type run struct {
	*Load
	topic    string
	cl       *kgo.Client
	leaders  []string // addresses, by partition
	written  tally
	read     tally
	disorder atomic.Int64
	errors   atomic.Int64
	throttle throttle
	mu       sync.Mutex
	first    error
}

const askTimeout = 30 * time.Second

// Run runs a load. The error is that it could not be run; what went wrong in it is in the result.
func Run(ctx context.Context, l *Load) (*Result, error) {
	r := &run{Load: l, topic: "leat-bench-" + ksuid.New().String()}
	if _, err := processorTime(l.PIDs); err != nil {
		return nil, err
	}
	var err error
	if r.cl, err = r.client(kgo.MetadataMinAge(50 * time.Millisecond)); err != nil {
		return nil, err
	}
	defer r.cl.Close()
	defer r.deleteTopic()
	if err := r.createTopic(ctx); err != nil {
		return nil, err
	}
	kinds := map[string]func(context.Context) ([]Measure, error){"produce": r.produce, "consume": r.consume, "e2e": r.e2e, "raw": r.raw}
	measures, err := kinds[l.Kind](ctx)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	out := &Result{Address: l.Address, Measures: measures, Records: r.written.records.Load(), Errors: r.errors.Load(), Checked: l.Check}
	out.Throttles, out.Throttled = r.throttle.times.Load(), time.Duration(r.throttle.total.Load())
	if r.first != nil {
		out.FirstError = r.first.Error()
	}
	if l.Check {
		out.Wrong = compare(&r.written, &r.read, r.disorder.Load())
	}
	return out, nil
}

// client opens a client of this run.
func (r *run) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(slices.Concat(r.Client, []kgo.Opt{kgo.WithHooks(&r.throttle)}, opts)...)
}

// fail notes an error of a record or a request.
func (r *run) fail(err error) {
	r.errors.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == nil {
		r.first = err
	}
}

// createTopic makes the topic and waits until every partition has a leader that answers.
func (r *run) createTopic(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	adm := kadm.NewClient(r.cl)
	config := map[string]*string{}
	for k, v := range r.Config {
		config[k] = &v
	}
	resp, err := adm.CreateTopic(ctx, int32(r.Partitions), int16(r.Replicas), config, r.topic)
	if err != nil {
		return fmt.Errorf("create topic %s: %w %s", r.topic, err, resp.ErrMessage)
	}
	for {
		ends, err := adm.ListEndOffsets(ctx, r.topic)
		if err == nil && ends.Error() == nil && len(ends[r.topic]) == r.Partitions {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the partitions of topic %s have no leaders: %w", r.topic, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
	return r.findLeaders(ctx, adm)
}

func (r *run) findLeaders(ctx context.Context, adm *kadm.Client) error {
	md, err := adm.Metadata(ctx, r.topic)
	if err != nil {
		return err
	}
	addresses := map[int32]string{}
	for _, b := range md.Brokers {
		addresses[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	r.leaders = make([]string, r.Partitions)
	for p := range r.leaders {
		r.leaders[p] = addresses[md.Topics[r.topic].Partitions[int32(p)].Leader]
	}
	return nil
}

// deleteTopic is done in any case, also when the run was interrupted.
func (r *run) deleteTopic() {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	_, _ = kadm.NewClient(r.cl).DeleteTopics(ctx, r.topic) // it may not have come to be
}

// watch calls Progress until stop is called.
func (r *run) watch(stage string, done func() (part float64, records int64)) (stop func()) {
	if r.Progress == nil {
		return func() {}
	}
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				part, records := done()
				r.Progress(stage, min(part, 1), records)
			}
		}
	}()
	return func() { close(quit); <-gone }
}
