package diag

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Pos is a place in a user's file. Line and Col count from 1, Col in runes; 0 means unknown.
type Pos struct {
	File string
	Line int
	Col  int
}

// String gives file:line:col, leaving out what is unknown.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	default:
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
	}
}

// Problem is one mistake in a user's file.
type Problem struct {
	Code    string // stable and machine-readable, such as "yaml.unknown-key"
	Pos     Pos
	Width   int    // runes to underline, at least 1
	Message string // what is wrong, in one line
	Hint    string // what to write instead; may be several lines
	Source  string // the offending line as the user wrote it; empty when unknown
}

// Error renders one problem as a compiler would.
func (p Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s [%s]", p.Pos, p.Message, p.Code)
	if p.Source != "" {
		gutter := fmt.Sprintf("%5d | ", p.Pos.Line)
		fmt.Fprintf(&b, "\n%s%s", gutter, p.Source)
		if p.Pos.Col > 0 {
			b.WriteString("\n" + strings.Repeat(" ", len(gutter)-2) + "| ")
			b.WriteString(indentLike(p.Source, p.Pos.Col-1))
			b.WriteString(strings.Repeat("^", p.caretWidth()))
		}
	}
	for line := range strings.Lines(p.Hint) {
		fmt.Fprintf(&b, "\n  hint: %s", strings.TrimRight(line, "\n"))
	}
	return b.String()
}

func (p Problem) caretWidth() int {
	room := utf8.RuneCountInString(p.Source) - (p.Pos.Col - 1)
	return max(1, min(p.Width, room))
}

// indentLike keeps tabs so that the caret stands under its rune on every terminal.
func indentLike(line string, runes int) string {
	var b strings.Builder
	for _, r := range line {
		if runes == 0 {
			break
		}
		runes--
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	b.WriteString(strings.Repeat(" ", runes))
	return b.String()
}

// List collects problems so that a user sees all of them at once.
type List struct {
	problems []Problem
}

// Add puts p on the list. The same message at the same place is kept once.
func (l *List) Add(p Problem) {
	for _, q := range l.problems {
		if q.Pos == p.Pos && q.Message == p.Message {
			return
		}
	}
	l.problems = append(l.problems, p)
}

// Len is the number of problems found so far.
func (l *List) Len() int { return len(l.problems) }

// Problems returns the problems by file, line and column.
func (l *List) Problems() []Problem {
	slices.SortStableFunc(l.problems, func(a, b Problem) int {
		if c := strings.Compare(a.Pos.File, b.Pos.File); c != 0 {
			return c
		}
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		return a.Pos.Col - b.Pos.Col
	})
	return l.problems
}

// Err is nil when nothing is wrong, else the list itself.
func (l *List) Err() error {
	if len(l.problems) == 0 {
		return nil
	}
	return l
}

// Error renders all problems, one blank line between them, and their number.
func (l *List) Error() string {
	parts := make([]string, 0, len(l.problems)+1)
	for _, p := range l.Problems() {
		parts = append(parts, p.Error())
	}
	if n := len(l.problems); n == 1 {
		parts = append(parts, "1 problem")
	} else {
		parts = append(parts, fmt.Sprintf("%d problems", n))
	}
	return strings.Join(parts, "\n\n")
}

// Nearest returns the known word that word was probably meant to be, or "".
// A word is near when at most a third of it (and at least one letter) must change.
func Nearest(word string, known []string) string {
	best, bestDistance := "", max(1, utf8.RuneCountInString(word)/3)+1
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// Misspelt returns the known word from which word differs by two letters at most, or "": for words that may well be right
// elsewhere.
func Misspelt(word string, known []string) string {
	if near := Nearest(word, known); near != "" && distance(strings.ToLower(word), strings.ToLower(near)) <= 2 {
		return near
	}
	return ""
}

// distance is the optimal string alignment distance: Levenshtein plus swapped neighbours.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	prev2, prev, cur := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(s); i++ {
		cur[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(t)]
}
