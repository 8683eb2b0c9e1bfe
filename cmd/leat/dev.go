package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/leatstream/leat/internal/kafka"
	"github.com/leatstream/leat/internal/manifest"
	"github.com/spf13/cobra"
)

// instance is the name by which groups know this process: whoever holds the data directory has it alone.
const instance = "leat"

func devCommand(std stdio) *cobra.Command {
	var f brokerFlags
	var untilIdle bool
	var pluginDir string
	cmd := &cobra.Command{
		Use:   "dev DIR|FILE…",
		Short: "run broker, connectors and pipelines in one process, on loopback",
		Args:  wantArgs("a folder or a file of documents", "leat dev pipelines/quickstart"),
		RunE: func(cmd *cobra.Command, paths []string) error {
			ctx := cmd.Context()
			m, err := loadChecked(ctx, paths, pluginDir)
			if err != nil {
				return err
			}
			return dev(ctx, std, &f, m, pluginDir, untilIdle)
		},
	}
	f.addTo(cmd)
	cmd.Flags().BoolVar(&untilIdle, "until-idle", false, "exit when all sources are drained and all sinks have written")
	cmd.Flags().StringVar(&pluginDir, "plugin-dir", "", "folder of further plugins")
	return cmd
}

func dev(ctx context.Context, std stdio, f *brokerFlags, m *manifest.Manifest, pluginDir string, untilIdle bool) error {
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx)) // the broker stops last
	defer stopServing()
	cfg, err := f.read(nil, func(string) bool { return true })
	if err != nil {
		return err
	}
	b, wait, err := f.start(serving, std, cfg)
	if err != nil {
		return err
	}
	k := kafka.Config{Brokers: []string{b.Addr()}, Dial: b.DialContext, ClientID: "leat", Logger: f.logger(std), InstanceID: instance}
	w, err := newWork(ctx, m, pluginDir, k, f.logger(std))
	if err == nil {
		fmt.Fprintf(std.err, "Kafka on %s, data in %s\n", b.Addr(), f.data)
		if !untilIdle {
			fmt.Fprintf(std.err, "%s\n", next(b.Addr(), m))
		}
		err = w.run(ctx, untilIdle, newView(std, w).show)
	}
	stopServing()
	if waitErr := wait(); err == nil {
		err = waitErr
	}
	return err
}

// next says what somebody may want to type now.
func next(addr string, m *manifest.Manifest) string {
	at := ""
	if addr != defaultBroker {
		at = " -b " + addr
	}
	lines := []string{"next:", "  leat topic list" + at}
	if len(m.Pipelines) > 0 {
		name := m.Pipelines[len(m.Pipelines)-1].Get("pipeline").Value
		lines = append(lines, "  leat group describe "+name+at)
	}
	return strings.Join(append(lines, "  Ctrl-C stops; the next start goes on from there"), "\n")
}

func runCommand(std stdio) *cobra.Command {
	var c cluster
	var data, pluginDir string
	var untilIdle, verbose bool
	cmd := &cobra.Command{
		Use:   "run DIR|FILE…",
		Short: "run connectors and pipelines against a cluster",
		Args:  wantArgs("a folder or a file of documents", "leat run pipelines/quickstart --brokers 127.0.0.1:9092"),
		RunE: func(cmd *cobra.Command, paths []string) error {
			ctx := cmd.Context()
			m, err := loadChecked(ctx, paths, pluginDir)
			if err != nil {
				return err
			}
			cl, err := c.client(ctx)
			if err != nil {
				return err
			}
			cl.Close()
			name, unlock, err := ownInstance(data)
			if err != nil {
				return err
			}
			defer unlock()
			log := (&brokerFlags{verbose: verbose}).logger(std)
			w, err := newWork(ctx, m, pluginDir, kafka.Config{Brokers: c.brokers, Security: c.secure, ClientID: "leat", Logger: log, InstanceID: name}, log)
			if err != nil {
				return err
			}
			return w.run(ctx, untilIdle, newView(std, w).show)
		},
	}
	c.addTo(cmd)
	cmd.Flags().StringVar(&data, "data", ".leat", "where this process keeps who it is")
	cmd.Flags().StringVar(&pluginDir, "plugin-dir", "", "folder of further plugins")
	cmd.Flags().BoolVar(&untilIdle, "until-idle", false, "exit when all sources are drained and all sinks have written")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "log what is done, not only what goes wrong")
	return cmd
}

// ownInstance gives the name by which groups know the process that runs on dir. Two processes need two directories.
func ownInstance(dir string) (name string, unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, err
	}
	unlock, err = lockFile(filepath.Join(dir, "run.lock"))
	if err != nil {
		return "", nil, fmt.Errorf("another `leat run` uses %s\n  hint: name another directory with --data DIR", dir)
	}
	path := filepath.Join(dir, "instance")
	if raw, err := os.ReadFile(path); err == nil && len(raw) > 0 {
		return string(raw), unlock, nil
	}
	name = "leat-" + newInstanceID()
	return name, unlock, os.WriteFile(path, []byte(name), 0o644)
}
