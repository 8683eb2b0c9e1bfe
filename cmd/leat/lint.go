package main

import (
	"fmt"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/manifest"
	"github.com/spf13/cobra"
)

func lintCommand(std stdio) *cobra.Command {
	var pluginDir string
	cmd := &cobra.Command{
		Use:   "lint FILE…",
		Short: "check files and folders of documents; nothing is started",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("lint needs a file or a folder\n  hint: leat lint pipelines/quickstart")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := load(args)
			if err != nil {
				return err
			}
			if err := check(cmd.Context(), m, pluginDir); err != nil {
				return err
			}
			fmt.Fprintf(std.err, "ok: %d files, %d topics, %d connectors, %d pipelines\n",
				len(m.Files), len(m.Topics), len(m.Connectors), len(m.Pipelines))
			return nil
		},
	}
	cmd.Flags().StringVar(&pluginDir, "plugin-dir", "", "folder of further plugins")
	return cmd
}

// load reads the documents of paths. The error holds every mistake found, for exit code 2.
func load(paths []string) (*manifest.Manifest, error) {
	var d diag.List
	m, err := manifest.Load(paths, &d)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return m, d.Err()
}
