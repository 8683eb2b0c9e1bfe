package main

import (
	"os"
	"slices"

	"github.com/leatstream/leat/connect/sdk"
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/plugins/file"
	"github.com/leatstream/leat/plugins/generate"
	"github.com/leatstream/leat/plugins/http"
	"github.com/leatstream/leat/plugins/stdout"
	"github.com/spf13/cobra"
)

// bundled are the plugins that come with leat. They run as processes of their own, by `leat plugin serve NAME`.
var bundled = map[string]func() sdk.Connector{
	"file": file.Connector, "generate": generate.Connector, "http": http.Connector, "stdout": stdout.Connector,
}

func bundledNames() []string {
	var names []string
	for name := range bundled {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// bundledArgv runs this program again as a plugin.
func bundledArgv(name string) ([]string, bool) {
	if bundled[name] == nil {
		return nil, false
	}
	self, err := os.Executable()
	if err != nil {
		return nil, false
	}
	return []string{self, "plugin", "serve", name}, true
}

func pluginCommand(std stdio) *cobra.Command {
	cmd := group("plugin", "list plugins, or serve one as a process")
	cmd.AddCommand(pluginList(std), pluginServe())
	return cmd
}

type pluginRow struct {
	Plugin  string `json:"plugin"`
	Source  bool   `json:"source"`
	Sink    bool   `json:"sink"`
	Summary string `json:"summary"`
	Bundled bool   `json:"bundled"`
}

func pluginList(std stdio) *cobra.Command {
	var o output
	var dir string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the plugins that sources and sinks can use",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := o.check(); err != nil {
				return err
			}
			rows, err := plugins(dir)
			if err != nil {
				return err
			}
			t := table{head: []string{"PLUGIN", "SOURCE", "SINK", "WHAT IT IS"}}
			for _, r := range rows {
				t.rows = append(t.rows, []string{r.Plugin, yesOrNo(r.Source), yesOrNo(r.Sink), r.Summary})
			}
			return o.print(std.out, rows, t)
		},
	}
	o.addTo(cmd)
	cmd.Flags().StringVar(&dir, "plugin-dir", "", "folder of further plugins")
	return cmd
}

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "-"
}

func plugins(dir string) ([]pluginRow, error) {
	rows := []pluginRow{}
	for _, name := range bundledNames() {
		c := bundled[name]()
		rows = append(rows, pluginRow{name, c.Source != nil, c.Sink != nil, c.Summary, true})
	}
	if dir == "" {
		return rows, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	for _, e := range entries {
		rows = append(rows, pluginRow{Plugin: e.Name(), Summary: "(in " + dir + ")"})
	}
	return rows, nil
}

func pluginServe() *cobra.Command {
	return &cobra.Command{
		Use:    "serve NAME",
		Short:  "be a plugin's process; leat starts these itself",
		Hidden: true,
		Args:   oneArg("a plugin", "leat plugin list"),
		RunE: func(_ *cobra.Command, args []string) error {
			c := bundled[args[0]]
			if c == nil {
				if near := diag.Nearest(args[0], bundledNames()); near != "" {
					return usageError("there is no plugin %q\n  hint: did you mean %q?", args[0], near)
				}
				return usageError("there is no plugin %q\n  hint: `leat plugin list` shows them", args[0])
			}
			sdk.Serve(c())
			return nil
		},
	}
}
