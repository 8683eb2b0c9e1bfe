package main

import (
	"fmt"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/manifest"
	"github.com/leatstream/leat/streams/streamstest"
	"github.com/spf13/cobra"
)

func testCommand(std stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "test DIR|FILE…",
		Short: "run the tests that pipelines carry; no broker is needed",
		Args:  wantArgs("a folder or a file of documents", "leat test pipelines/quickstart"),
		RunE: func(_ *cobra.Command, paths []string) error {
			var d diag.List
			m, err := manifest.Load(paths, &d)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			results := streamstest.Run(m.Pipelines, &d)
			if err := d.Err(); err != nil {
				return err
			}
			var failed diag.List
			bad := 0
			for _, r := range results {
				word := "ok  "
				if !r.Passed() {
					word = "FAIL"
					bad++
				}
				fmt.Fprintf(std.out, "%s  %s: %s\n", word, r.Pipeline, r.Name)
				for _, p := range r.Problems {
					failed.Add(p)
				}
			}
			if bad > 0 {
				return &exitError{exitRuntime, fmt.Errorf("%d of %d tests failed\n%w", bad, len(results), failed.Err())}
			}
			if len(results) == 0 {
				return usageError("no pipeline has tests\n  hint: a `tests:` block in the pipeline, see pipelines/quickstart/pipeline.yaml")
			}
			return nil
		},
	}
}
