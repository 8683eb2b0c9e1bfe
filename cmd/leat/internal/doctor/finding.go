package doctor

import (
	"fmt"
	"slices"
)

// Level says how bad a finding is.
type Level string

// The levels, the worst first.
const (
	Bad  Level = "bad"  // loses data, or keeps clients from working
	Warn Level = "warn" // may do so
	Note Level = "note" // worth knowing
)

// Finding is something that was found.
type Finding struct {
	Level Level  `json:"level"`
	What  string `json:"what"`
	Where string `json:"where"`
	Why   string `json:"why,omitempty"` // it matters
	Do    string `json:"do,omitempty"`
}

// Report is all findings of a run, and what was looked at.
type Report struct {
	Looked   []string  `json:"looked_at"`
	Findings []Finding `json:"findings"`
}

func (r *Report) looked(format string, args ...any) {
	r.Looked = append(r.Looked, fmt.Sprintf(format, args...))
}

func (r *Report) add(level Level, where, what, why, do string) {
	r.Findings = append(r.Findings, Finding{level, what, where, why, do})
}

// Sort puts the worst first.
func (r *Report) Sort() {
	order := []Level{Bad, Warn, Note}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return slices.Index(order, a.Level) - slices.Index(order, b.Level) })
}

// Healthy tells whether nothing is bad.
func (r *Report) Healthy() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Level == Bad })
}
