package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/obs"
	"github.com/spf13/cobra"
)

// brokerFlags say where a broker keeps its data and where clients find it.
type brokerFlags struct {
	config   string // a leat.yaml or a server.properties; of `leat serve` only
	metrics  string // where Prometheus reads; of `leat serve` only
	data     string
	listen   []string
	set      []string
	insecure bool
	verbose  bool
	level    slog.LevelVar // of all that is logged
}

func (f *brokerFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.data, "data", ".leat", "where everything is kept")
	cmd.Flags().StringSliceVar(&f.listen, "listen", []string{defaultBroker}, "where Kafka clients connect, HOST:PORT")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "a broker configuration by Kafka's name, KEY=VALUE")
	cmd.Flags().BoolVar(&f.insecure, "insecure", false, "let other machines connect, though nobody has to authenticate")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "log what is done, not only what goes wrong")
}

func (f *brokerFlags) logger(std stdio) *slog.Logger {
	f.level.Set(slog.LevelWarn)
	if f.verbose {
		f.level.Set(slog.LevelInfo)
	}
	return slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: &f.level}))
}

// properties reads --set.
func (f *brokerFlags) properties() ([]property, error) {
	var out []property
	for _, kv := range f.set {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, usageError("--set %s: want KEY=VALUE", kv)
		}
		out = append(out, property{k, v, diag.Pos{File: "--set"}})
	}
	return out, nil
}

// start runs a broker until ctx ends and returns when it serves. wait gives what it ended with. ctx.Err(): it ended before.
func (f *brokerFlags) start(ctx context.Context, std stdio, cfg broker.Config) (b *broker.Broker, wait func() error, err error) {
	cfg.Logger, cfg.LogLevel = f.logger(std), &f.level
	b, err = broker.New(cfg)
	if err != nil {
		return nil, nil, brokerError(err)
	}
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	wait = func() error { return brokerError(<-done) }
	select {
	case <-b.Ready():
		return b, wait, nil
	case err := <-done:
		done <- err
	}
	select {
	case <-b.Ready(): // and it has ended already
		return b, wait, nil
	default:
		if err := wait(); err != nil {
			return nil, nil, err
		}
		return nil, nil, ctx.Err()
	}
}

// brokerError gives what keeps a broker from starting its exit code.
func brokerError(err error) error {
	var config *broker.ConfigError
	if errors.As(err, &config) {
		return &exitError{exitUsage, err}
	}
	return err
}

func serveCommand(std stdio) *cobra.Command {
	var f brokerFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "run the broker by itself: Kafka clients connect to it",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			began := time.Now()
			obs.KeepMemoryBelowLimit()
			defer runtime.KeepAlive(obs.RoomForGarbage())
			cfg, err := f.read(os.Environ(), cmd.Flags().Changed)
			if err != nil {
				return err
			}
			l, err := listenMetrics(f.metrics, cfg.Insecure)
			if err != nil {
				return err
			}
			ctx, stop := context.WithCancel(cmd.Context())
			defer stop()
			b, wait, err := f.start(ctx, std, cfg)
			if err != nil {
				if l != nil {
					l.Close()
				}
				if errors.Is(err, ctx.Err()) { // stopped before there was anything to stop
					return nil
				}
				return err
			}
			fmt.Fprintf(std.err, "leat serves Kafka clients on %s, data in %s (started in %d ms)\n", strings.Join(b.Addrs(), " and "), cfg.DataDir, time.Since(began).Milliseconds())
			fmt.Fprintf(std.err, "  try: leat topic create topic1 · echo hello | leat produce topic1 · leat consume topic1\n")
			if l != nil {
				fmt.Fprintf(std.err, "  metrics: http://%s/metrics\n", l.Addr())
				defer serveMetrics(ctx, l, b, f.logger(std))()
			}
			err = wait()
			stop()
			return err
		},
	}
	f.addTo(cmd)
	cmd.Flags().StringVar(&f.metrics, "metrics", defaultMetrics, "where Prometheus reads metrics, HOST:PORT; '' for nowhere")
	cmd.Flags().StringVar(&f.config, "config", "", "a leat.yaml or a server.properties of Kafka; KAFKA_* variables count more, flags most")
	return cmd
}
