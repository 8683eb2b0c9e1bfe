package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
)

// view shows the work: on a terminal as a picture that is drawn again and again, elsewhere once at the start, when every
// process is there, and once at the end.
type view struct {
	out      io.Writer
	work     *work
	terminal bool
	began    time.Time
	lines    int // of the picture on the screen
	first    bool
}

func newView(std stdio, w *work) *view {
	f, ok := std.err.(*os.File)
	return &view{out: std.err, work: w, terminal: ok && term.IsTerminal(int(f.Fd())), began: time.Now(), first: true}
}

// show draws the picture, if it is time.
func (v *view) show(final bool) {
	switch {
	case v.terminal:
		v.draw()
	case final:
		fmt.Fprint(v.out, v.picture(true))
	case v.first && v.started():
		v.first = false
		fmt.Fprint(v.out, v.picture(false))
	}
}

// started tells whether every connector has its process.
func (v *view) started() bool {
	for _, s := range v.work.connect.Status() {
		if s.PID == 0 {
			return false
		}
	}
	return true
}

func (v *view) draw() {
	picture := v.picture(true)
	up := ""
	if v.lines > 0 {
		up = fmt.Sprintf("\x1b[%dA\x1b[J", v.lines)
	}
	v.lines = strings.Count(picture, "\n")
	fmt.Fprint(v.out, up+picture)
}

// picture is a table of what runs where, with counts.
func (v *view) picture(counts bool) string {
	t := table{head: []string{"", "NAME", "RUNS IN", "FROM → TO"}}
	if counts {
		t.head = append(t.head, "RECORDS", "RATE/S", "DEAD LETTERS", "STATE")
	}
	seconds := max(time.Since(v.began).Seconds(), 0.001)
	row := func(records, dead int64, state, last string, cells ...string) {
		if counts {
			if last != "" {
				state += ": " + last
			}
			cells = append(cells, strconv.FormatInt(records, 10), fmt.Sprintf("%.0f", float64(records)/seconds), strconv.FormatInt(dead, 10), state)
		}
		t.rows = append(t.rows, cells)
	}
	for _, kind := range []string{"source", "sink"} {
		for _, s := range v.work.connect.Status() {
			if s.Kind != kind {
				continue
			}
			where := "-"
			if s.PID > 0 {
				where = fmt.Sprintf("%s, pid %d", s.Plugin, s.PID)
			}
			way := s.Plugin + " → " + strings.Join(s.Topics, " ")
			if kind == "sink" {
				way = strings.Join(s.Topics, " ") + " → " + s.Plugin
			}
			row(s.Records, s.DeadLetters, s.State, s.LastError, kind, s.Name, where, way)
		}
		if kind == "source" {
			for _, s := range v.work.streams.Status() {
				row(s.In, s.DeadLetters, s.State, s.LastError, "pipeline", s.Name, fmt.Sprintf("leat, pid %d", os.Getpid()),
					strings.Join(s.From, " ")+" → "+strings.Join(s.To, " "))
			}
		}
	}
	var b strings.Builder
	_ = t.print(&b) // a strings.Builder does not fail
	return b.String()
}
