package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/internal/obs"
)

// maintainer looks after what lies in the partitions of a node: it deletes what retention no longer covers, compacts,
// and looks for rot.
type maintainer struct {
	replicas *replica.Manager
	meta     *meta.Store
	config   *meta.BrokerConfig
	logger   *slog.Logger
	works    []*maintenance

	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

// maintain starts a maintainer, which works until it is closed.
func maintain(replicas *replica.Manager, store *meta.Store, config *meta.BrokerConfig, logger *slog.Logger) *maintainer {
	m := &maintainer{replicas: replicas, meta: store, config: config, logger: logger}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.running.Go(m.watch)
	m.running.Go(func() { replicas.Recover(m.ctx) })
	m.every("log.retention.check.interval.ms", "retention", (*replica.Partition).Retain)
	if config.Bool("log.cleaner.enable") {
		m.every("log.cleaner.backoff.ms", "compaction", m.compact)
	}
	if config.Int("log.scrub.interval.ms") > 0 {
		m.every("log.scrub.interval.ms", "scrub", func(p *replica.Partition, _ time.Time) error {
			return p.Scrub(m.pace("log.scrub.io.max.bytes.per.second"))
		})
	}
	return m
}

// watchEvery is how often the data directory is looked at.
const watchEvery = 5 * time.Second

// watch logs what was found damaged, each place once, and that the directory is offline.
func (m *maintainer) watch() {
	for told, offline := 0, false; ; {
		all := m.replicas.Damage()
		for _, damage := range all[told:] {
			m.logger.Error("damage was found; leat doctor says more", "error", damage)
		}
		told = len(all)
		if err := m.replicas.Check(); err != nil && !offline {
			offline = true
			m.logger.Error("nothing is read or written until the next start", "error", err)
		}
		if !m.sleep(watchEvery) {
			return
		}
	}
}

func (m *maintainer) compact(p *replica.Partition, now time.Time) error {
	return p.Compact(int(m.config.Int("log.cleaner.dedupe.buffer.size")), m.pace("log.cleaner.io.max.bytes.per.second"), now)
}

// pace keeps work from taking more of the disk than a configuration says, in bytes a second.
func (m *maintainer) pace(config string) func(bytes int) error {
	return func(bytes int) error {
		wait := time.Duration(float64(bytes) / m.config.Float(config) * float64(time.Second))
		if wait > 0 {
			m.sleep(wait)
		}
		return m.ctx.Err()
	}
}

// maintenance is one kind of work, and what was counted of it.
type maintenance struct {
	name     string
	rounds   obs.Histogram // ns that a round over all partitions took
	failures atomic.Int64
}

func (m *maintainer) writeMetrics(w *obs.Writer) {
	w.Histogram("leat_maintenance_seconds", "Time of a round over all partitions: retention deletes what is too old or too much, compaction what a later record stands for, scrub looks for rot.")
	for _, x := range m.works {
		w.Observed(&x.rounds, obs.Seconds, "work", x.name)
	}
	w.Counter("leat_maintenance_failures_total", "Partitions on which a round failed. The next one tries again.")
	for _, x := range m.works {
		w.Int(x.failures.Load(), "work", x.name)
	}
}

// every does work on each partition, one after the other, and rests before each round as long as a configuration says.
func (m *maintainer) every(rest, name string, work func(*replica.Partition, time.Time) error) {
	x := &maintenance{name: name}
	m.works = append(m.works, x)
	m.running.Go(func() {
		for m.sleep(m.config.Millis(rest)) {
			began := time.Now()
			m.replicas.Each(func(id replica.ID, p *replica.Partition) bool {
				if err := m.guard(work, p); err != nil && m.ctx.Err() == nil && !errors.Is(err, replica.ErrGone) {
					x.failures.Add(1)
					m.logger.Error(name+" failed and is tried again", "partition", m.name(id), "error", err)
				}
				return m.ctx.Err() == nil
			})
			x.rounds.Since(began)
		}
	})
}

// guard makes an error of a panic: the work on one partition must not end that on others.
func (m *maintainer) guard(work func(*replica.Partition, time.Time) error, p *replica.Partition) (err error) {
	defer func() {
		if e := recover(); e != nil {
			obs.Panicked(m.logger, "maintenance", e)
			err = fmt.Errorf("it panicked: %v", e)
		}
	}()
	return work(p, time.Now())
}

// name is how Kafka's tools call a partition.
func (m *maintainer) name(id replica.ID) string {
	if t := m.meta.Image().TopicByID(id.Topic); t != nil {
		return fmt.Sprintf("%s-%d", t.Name, id.Partition)
	}
	return fmt.Sprintf("%x-%d", id.Topic, id.Partition)
}

// sleep waits, and tells whether there is more to do afterwards.
func (m *maintainer) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-m.ctx.Done():
		return false
	}
}

// close waits for the work under way.
func (m *maintainer) close() {
	m.stop()
	m.running.Wait()
}
