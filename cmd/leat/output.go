package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"github.com/leatstream/leat/internal/yaml"
	"github.com/spf13/cobra"
)

// output is the -o flag of commands that answer with data.
type output struct {
	format string
}

func (o *output) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", "table", "table, json or yaml")
	oneOf(cmd, "output", "table", "json", "yaml")
}

func (o *output) check() error {
	switch o.format {
	case "table", "json", "yaml":
		return nil
	default:
		return usageError("-o %s is not a format\n  hint: table, json or yaml", o.format)
	}
}

// table is an answer for people: a header row and cells.
type table struct {
	head []string
	rows [][]string
}

// print writes data as JSON or YAML, or its table, to w.
func (o *output) print(w io.Writer, data any, t table) error {
	switch o.format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(data)
	case "yaml":
		return yaml.Encode(w, data)
	default:
		return t.print(w)
	}
}

// visible writes what a terminal would obey instead of show as an escape: names of groups and clients are anybody's.
func visible(cell string) string {
	if utf8.ValidString(cell) && !strings.ContainsFunc(cell, unicode.IsControl) {
		return cell
	}
	quoted := strconv.Quote(cell)
	return quoted[1 : len(quoted)-1]
}

func (t table) print(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(tab, "\t")
			}
			fmt.Fprint(tab, visible(cell))
		}
		fmt.Fprintln(tab)
	}
	return tab.Flush()
}

// counted is a number of things in words.
func counted[N int | int32 | int64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
