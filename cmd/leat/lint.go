package main

import (
	"fmt"

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
			m, err := loadChecked(cmd.Context(), args, pluginDir)
			if err != nil {
				return err
			}
			fmt.Fprintf(std.err, "ok: %s, %s, %s, %s\n",
				counted(len(m.Files), "file"), counted(len(m.Topics), "topic"), counted(len(m.Connectors), "connector"), counted(len(m.Pipelines), "pipeline"))
			return nil
		},
	}
	cmd.Flags().StringVar(&pluginDir, "plugin-dir", "", "folder of further plugins")
	return cmd
}
