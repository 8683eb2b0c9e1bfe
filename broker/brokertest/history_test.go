package brokertest

import (
	"strings"
	"testing"
)

// TestTransactionsAreJudged plants each anomaly that chaos must find.
func TestTransactionsAreJudged(t *testing.T) {
	deeds := []Deed{
		{map[int32][]string{0: {"1/0/0", "1/0/1"}, 1: {"1/0/2"}}, Committed},
		{map[int32][]string{0: {"1/1/0"}}, Aborted},
		{map[int32][]string{0: {"2/0/0"}, 1: {"2/0/1"}}, Unknown},
	}
	for name, tc := range map[string]struct {
		zero, one string // partitions
		wrong     int
	}{
		"as told":              {"1/0/0 1/0/1", "1/0/2", 0},
		"unknown, committed":   {"1/0/0 2/0/0 1/0/1", "2/0/1 1/0/2", 0},
		"committed, torn":      {"1/0/0 1/0/1", "", 1},
		"committed, lost":      {"", "", 1},
		"aborted, visible":     {"1/0/0 1/0/1 1/1/0", "1/0/2", 1},
		"unknown, torn":        {"1/0/0 1/0/1", "1/0/2 2/0/1", 1},
		"duplicated":           {"1/0/0 1/0/1 1/0/1", "1/0/2", 1},
		"reordered":            {"1/0/1 1/0/0", "1/0/2", 1},
		"in another partition": {"1/0/0 1/0/1 1/0/2", "", 2}, // torn, and a record of no transaction
	} {
		seen := map[int32][]Saw{}
		for p, values := range []string{tc.zero, tc.one} {
			for i, v := range strings.Fields(values) {
				seen[int32(p)] = append(seen[int32(p)], Saw{int64(i), v})
			}
		}
		if wrong := JudgeDeeds(deeds, seen); len(wrong) != tc.wrong {
			t.Errorf("%s: %q", name, wrong)
		}
	}
	for name, tc := range map[string]struct {
		values string
		wrong  int
	}{"exact": {"0 1 2", 0}, "lost": {"0 2", 2}, "twice": {"0 1 1 2", 2}, "late": {"0 2 1", 1}, "tail lost": {"0 1", 1}} {
		var seen []Saw
		for i, v := range strings.Fields(tc.values) {
			seen = append(seen, Saw{int64(i), v})
		}
		if wrong := JudgeCopies(map[int32]int64{0: 3}, map[int32][]Saw{0: seen}); len(wrong) != tc.wrong {
			t.Errorf("copies, %s: %q", name, wrong)
		}
	}
	late := Sight{"out": {0: {{0, "a"}, {3, "b"}}}}
	for name, tc := range map[string]struct {
		early []Saw
		wrong int
	}{"less": {[]Saw{{0, "a"}}, 0}, "all": {[]Saw{{0, "a"}, {3, "b"}}, 0}, "more": {[]Saw{{0, "a"}, {3, "b"}, {5, "c"}}, 1}, "other": {[]Saw{{0, "a"}, {2, "x"}}, 1}, "a gap": {[]Saw{{3, "b"}}, 1}} {
		if wrong := JudgeSight(Sight{"out": {0: tc.early}}, late); len(wrong) != tc.wrong {
			t.Errorf("a reader who saw %s: %q", name, wrong)
		}
	}
}
