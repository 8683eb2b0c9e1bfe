package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/leatstream/leat/internal/manifest"
	"github.com/leatstream/leat/streams"
	"golang.org/x/sync/errgroup"
)

// work is connectors and pipelines that run against one cluster.
type work struct {
	manifest *manifest.Manifest
	connect  *connect.Runtime
	streams  *streams.Runtime
	client   *kafka.Client
}

// connectConfig is what both checking and running need.
func connectConfig(m *manifest.Manifest, pluginDir string, k kafka.Config, log *slog.Logger) connect.Config {
	return connect.Config{
		Documents: m.Connectors, Kafka: k, PluginDir: pluginDir, Bundled: bundledArgv, Names: bundledNames(), Stdout: os.Stdout, Logger: log,
	}
}

// loadChecked reads the documents of paths. The error holds every mistake in them, so that nothing is started with one.
func loadChecked(ctx context.Context, paths []string, pluginDir string) (*manifest.Manifest, error) {
	var d diag.List
	m, err := manifest.Load(paths, &d)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	streams.Check(m.Pipelines, &d)
	connect.Check(ctx, connectConfig(m, pluginDir, kafka.Config{}, nil), &d)
	return m, d.Err()
}

// newWork prepares everything in m and makes the topics that it declares and that sources write to.
func newWork(ctx context.Context, m *manifest.Manifest, pluginDir string, k kafka.Config, log *slog.Logger) (*work, error) {
	client, err := kafka.New(k)
	if err != nil {
		return nil, err
	}
	w := &work{manifest: m, client: client}
	if err := w.createTopics(ctx); err != nil {
		client.Close()
		return nil, err
	}
	if w.connect, err = connect.New(connectConfig(m, pluginDir, k, log)); err == nil {
		w.streams, err = streams.New(streams.Config{Documents: m.Pipelines, Kafka: k, Logger: log})
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	return w, nil
}

func (w *work) createTopics(ctx context.Context) error {
	for _, t := range w.manifest.Topics {
		partitions := int32(-1)
		if t.Partitions > 0 {
			partitions = t.Partitions
		}
		if err := w.client.EnsureTopic(ctx, t.Name, partitions, t.Config); err != nil {
			return err
		}
	}
	written, _ := connect.Topics(w.manifest.Connectors)
	for _, topic := range written {
		if err := w.client.EnsureTopic(ctx, topic, -1, nil); err != nil {
			return err
		}
	}
	return nil
}

// run works until ctx ends, or, with untilIdle, until there is nothing left to do.
func (w *work) run(ctx context.Context, untilIdle bool, show func(final bool)) error {
	defer w.client.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	group.Go(func() error { return w.connect.Run(ctx) })
	group.Go(func() error { return w.streams.Run(ctx) })
	err := w.watch(ctx, untilIdle, show)
	show(true)
	stop()
	if waitErr := group.Wait(); err == nil {
		err = waitErr
	}
	return err
}

// Times of watching.
const (
	showEvery = 200 * time.Millisecond
	lookEvery = 50 * time.Millisecond
)

// watch shows what goes on and, with untilIdle, returns when nothing does.
func (w *work) watch(ctx context.Context, untilIdle bool, show func(final bool)) error {
	look, tick := time.NewTicker(lookEvery), time.NewTicker(showEvery)
	defer look.Stop()
	defer tick.Stop()
	before := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			show(false)
		case <-look.C:
			if !untilIdle {
				continue
			}
			if err := w.failed(); err != nil {
				return err
			}
			idle, counts := w.idle(ctx)
			if idle && counts == before { // twice in a row, with nothing moved between
				return nil
			}
			before = ""
			if idle {
				before = counts
			}
		}
	}
}

// failed is why a part of the work will never come to its end.
func (w *work) failed() error {
	var errs []error
	for _, s := range w.connect.Status() {
		if s.State == "failed" {
			errs = append(errs, fmt.Errorf("%s %s: %s", s.Kind, s.Name, s.LastError))
		}
	}
	for _, s := range w.streams.Status() {
		if s.State == "failed" {
			errs = append(errs, fmt.Errorf("pipeline %s: %s", s.Name, s.LastError))
		}
	}
	return errors.Join(errs...)
}

// idle tells whether all sources are drained and all groups have committed all that there is, with counts that change
// when anything does.
func (w *work) idle(ctx context.Context) (bool, string) {
	counts := ""
	for _, s := range w.connect.Status() {
		if s.State != "running" || !s.Drained {
			return false, ""
		}
		counts += fmt.Sprintln(s.Name, s.Records, s.DeadLetters)
	}
	groups := w.connect.Groups()
	for _, s := range w.streams.Status() {
		if s.State != "running" {
			return false, ""
		}
		groups[s.Name] = s.From
		counts += fmt.Sprintln(s.Name, s.In, s.Out)
	}
	for group, topics := range groups {
		committed, err := w.client.Admin().FetchOffsets(ctx, group)
		if err != nil {
			return false, ""
		}
		for _, topic := range topics {
			ends, err := w.client.EndOffsets(ctx, topic)
			if err != nil {
				return false, ""
			}
			for p, end := range ends {
				o, ok := committed.Lookup(topic, int32(p))
				if end > 0 && (!ok || o.At < end) {
					return false, ""
				}
				counts += fmt.Sprintln(group, topic, p, end)
			}
		}
	}
	return true, counts
}
