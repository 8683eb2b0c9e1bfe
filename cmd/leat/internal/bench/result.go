package bench

import (
	"slices"
	"time"
)

// Better says which way a measure is good.
type Better string

// The ways.
const (
	More Better = "more"
	Less Better = "less"
)

// Measure is one figure of a run.
type Measure struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"`
	Value  float64 `json:"value"`
	Better Better  `json:"better"`
}

// Result is what one run gave.
type Result struct {
	Address    string    `json:"address"`
	Measures   []Measure `json:"measures"`
	Records    int64     `json:"records"`
	Errors     int64     `json:"errors"`
	FirstError string    `json:"first_error,omitempty"`
	Wrong      []string  `json:"wrong,omitempty"` // what the check of what was read back found
	Checked    bool      `json:"checked"`
	// How often a quota made clients wait, and how long, all of them together.
	Throttles int64         `json:"throttles,omitempty"`
	Throttled time.Duration `json:"throttled_ns,omitempty"`
}

// OK tells whether the figures may be believed.
func (r *Result) OK() bool { return r.Errors == 0 && len(r.Wrong) == 0 }

// Row is a measure over several runs, on one address or on two.
type Row struct {
	Measure
	Compared float64 `json:"compared,omitempty"` // the same on the other address
	Ratio    float64 `json:"ratio,omitempty"`    // Value / Compared
}

// Medians folds runs into one row a measure. others are the runs on the address that is compared with; there may be none.
func Medians(runs, others []*Result) []Row {
	var rows []Row
	for _, m := range runs[0].Measures {
		row := Row{Measure: m}
		row.Value = median(m.Name, runs)
		if len(others) > 0 {
			row.Compared = median(m.Name, others)
			if row.Compared > 0 {
				row.Ratio = row.Value / row.Compared
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func median(name string, runs []*Result) float64 {
	var values []float64
	for _, r := range runs {
		for _, m := range r.Measures {
			if m.Name == name {
				values = append(values, m.Value)
			}
		}
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
