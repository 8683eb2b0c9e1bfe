package diag

import "testing"

func TestProblemRendersCaretUnderTheMistake(t *testing.T) {
	var l List
	l.Add(Problem{Code: "b", Pos: Pos{"f.yaml", 9, 1}, Message: "second"})
	l.Add(Problem{
		Code: "yaml.unknown-key", Pos: Pos{"f.yaml", 3, 3}, Width: 6, Source: "\t fliter: true",
		Message: `unknown key "fliter"`, Hint: `did you mean "filter"?`,
	})
	want := "f.yaml:3:3: unknown key \"fliter\" [yaml.unknown-key]\n" +
		"    3 | \t fliter: true\n" +
		"      | \t ^^^^^^\n" +
		"  hint: did you mean \"filter\"?\n\n" +
		"f.yaml:9:1: second [b]\n\n2 problems"
	if got := l.Err().Error(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestEmptyListIsNoError(t *testing.T) {
	var l List
	if err := l.Err(); err != nil {
		t.Errorf("Err() = %v, want nil", err)
	}
}

func TestCaretStaysInsideTheLine(t *testing.T) {
	p := Problem{Code: "c", Pos: Pos{"f", 1, 3}, Width: 50, Source: "abcd", Message: "m"}
	if got, want := p.Error(), "f:1:3: m [c]\n    1 | abcd\n      |   ^^"; got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"filter", "map", "set", "drop", "branch", "explode", "key", "peek"}
	for word, want := range map[string]string{
		"fliter": "filter", "Filter": "filter", "brnch": "branch", "maps": "map", "zzzzzz": "", "explod": "explode",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestMisspelt(t *testing.T) {
	known := []string{"offsets.topic.replication.factor", "connections.max.idle.ms"}
	for word, want := range map[string]string{
		"offset.topic.replication.factor": "offsets.topic.replication.factor", "confluent.topic.replication.factor": "", "connections.max.reauth.ms": "",
	} {
		if got := Misspelt(word, known); got != want {
			t.Errorf("Misspelt(%q) = %q, want %q", word, got, want)
		}
	}
}
