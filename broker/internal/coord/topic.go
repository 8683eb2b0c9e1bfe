package coord

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/internal/obs"
	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sync/errgroup"
)

// Config is what a coordinator needs of the broker.
type Config struct {
	Meta     *meta.Store
	Broker   *meta.BrokerConfig
	Replicas *replica.Manager
	Create   func(ctx context.Context, topic string) error // makes an internal topic if it is not there
	Log      *slog.Logger
	Clock    func() time.Time
}

// shardOf is what a coordinator keeps for one partition of its topic.
type shardOf interface {
	comparable
	partition() *replica.Partition
	load() error // reads the partition, the first time
	close()
}

// topic deals names out to the partitions of an internal topic, each with a shard that is made at its first use.
type topic[S shardOf] struct {
	cfg  *Config
	name string
	make func(*replica.Partition) S

	mu     sync.Mutex
	shards map[int32]S
	closed bool
}

func (t *topic[S]) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, s := range t.shards {
		s.close()
	}
}

// ready makes the topic if needed and returns how many partitions it has.
func (t *topic[S]) ready(ctx context.Context) (int32, error) {
	found := t.cfg.Meta.Image().Topic(t.name)
	if found == nil {
		if err := t.cfg.Create(ctx, t.name); err != nil {
			return 0, err
		}
		if found = t.cfg.Meta.Image().Topic(t.name); found == nil {
			return 0, kerr.CoordinatorNotAvailable
		}
	}
	return int32(len(found.Partitions)), nil
}

// index is the partition that a name belongs to.
func (t *topic[S]) index(ctx context.Context, name string) (int32, error) {
	n, err := t.ready(ctx)
	if err != nil {
		return 0, err
	}
	return (hash(name) & 0x7fffffff) % n, nil
}

// of finds the shard that a name belongs to, and loads it.
func (t *topic[S]) of(ctx context.Context, name string) (S, error) {
	i, err := t.index(ctx, name)
	if err != nil {
		var none S
		return none, err
	}
	return t.at(i)
}

// at is the shard of one partition, loaded.
func (t *topic[S]) at(index int32) (S, error) {
	var none S
	found := t.cfg.Meta.Image().Topic(t.name)
	if found == nil {
		return none, kerr.CoordinatorNotAvailable
	}
	p := t.cfg.Replicas.Get(replica.ID{Topic: found.ID, Partition: index})
	if p == nil {
		return none, kerr.NotCoordinator
	}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return none, kerr.CoordinatorNotAvailable
	}
	var stale S
	s := t.shards[index]
	if s == none || s.partition() != p { // the first use, or the topic was made anew
		stale = s
		s = t.make(p)
		t.shards[index] = s
	}
	t.mu.Unlock()
	if stale != none {
		stale.close()
	}
	return s, t.load(s)
}

// load loads a shard. One that panics cannot be read: that is no reason for the broker not to start.
func (t *topic[S]) load(s S) (err error) {
	defer func() {
		if p := recover(); p != nil {
			obs.Panicked(t.cfg.Log, "loading a partition of "+t.name, p)
			err = kerr.CoordinatorNotAvailable
		}
	}()
	return s.load()
}

// peek is the shard of a partition if there is one, loaded or not.
func (t *topic[S]) peek(index int32) (S, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.shards[index]
	return s, ok
}

// all loads, several at a time, and returns every shard that may hold something.
func (t *topic[S]) all() ([]S, error) {
	found := t.cfg.Meta.Image().Topic(t.name)
	if found == nil {
		return nil, nil
	}
	var none S
	out := make([]S, len(found.Partitions))
	var loading errgroup.Group
	loading.SetLimit(runtime.GOMAXPROCS(0))
	for i := range out {
		loading.Go(func() error {
			s, err := t.at(int32(i))
			switch {
			case err == nil:
				out[i] = s
			case errors.Is(err, kerr.NotCoordinator):
				return nil
			}
			return err
		})
	}
	if err := loading.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(out, func(s S) bool { return s == none }), nil
}

// hash is Java's String.hashCode, by which Kafka deals names out to partitions.
func hash(s string) int32 {
	var h int32
	for _, c := range utf16(s) {
		h = 31*h + int32(c)
	}
	return h
}

func utf16(s string) []uint16 {
	var out []uint16
	for _, r := range s {
		if r >= 0x10000 {
			r -= 0x10000
			out = append(out, uint16(0xd800+r>>10), uint16(0xdc00+r&0x3ff))
			continue
		}
		out = append(out, uint16(r))
	}
	return out
}
