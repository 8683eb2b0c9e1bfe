package file

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/leatstream/leat/connect/sdk"
)

// reader turns the units of one file into values.
type reader struct {
	format string
	split  splitter
	table  *csvTable // CSV
	value  []byte
}

// formatOf decides what a file holds; head is how it begins.
func formatOf(config SourceConfig, path string, head []byte) string {
	if config.Format != "auto" {
		return config.Format
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv":
		return "csv"
	case ".jsonl", ".ndjson":
		return "json"
	case ".json":
		for _, c := range head {
			if !isSpace(c) {
				if c == '[' {
					return "json-array"
				}
				break
			}
		}
		return "json"
	}
	return "lines"
}

func newReader(config SourceConfig, format string, offset int64) *reader {
	r := &reader{format: format}
	switch format {
	case "csv":
		r.split = csvSplitter{delimiter: config.Delimiter[0]}
		r.table = &csvTable{delimiter: config.Delimiter[0], infer: config.Infer}
	case "json-array":
		r.split = &arraySplitter{opened: offset > 0}
	default:
		r.split = lineSplitter{skipBlank: format == "json"}
	}
	return r
}

// record makes the value of a unit, valid until the next call. nil without an error: the unit was a header.
func (r *reader) record(unit []byte) ([]byte, error) {
	switch r.format {
	case "csv":
		if r.table.names == nil {
			if err := r.table.header(unit); err != nil {
				return nil, sdk.Fatal("file.csv-header", fmt.Errorf("the header is no CSV row: %w", err), "mend the file's first line")
			}
			return nil, nil
		}
		var err error
		r.value, err = r.table.object(r.value[:0], unit)
		return r.value, err
	case "json", "json-array":
		if !json.Valid(unit) {
			return nil, &errBadUnit{"file.not-json", "this is not JSON"}
		}
	}
	return unit, nil
}
