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
	terminal *os.File // nil: out is none
	lines    int      // of the picture on the screen
	first    bool
	rates    map[string]*rate
}

// rate counts what went by lately.
type rate struct {
	at      time.Time
	records int64
	second  float64
}

// rateWindow is the time over which a rate is taken.
const rateWindow = time.Second

// see notes a count and gives the rate per second: of the last window, and before there is one, since the start.
func (r *rate) see(records int64) float64 {
	since := time.Since(r.at)
	if since >= rateWindow || r.second == 0 {
		r.second = float64(records-r.records) / max(since.Seconds(), 0.001)
	}
	if since >= rateWindow {
		r.at, r.records = time.Now(), records
	}
	return r.second
}

func newView(std stdio, w *work) *view {
	v := &view{out: std.err, work: w, first: true, rates: map[string]*rate{}}
	if f, ok := std.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		v.terminal = f
	}
	for _, s := range w.connect.Status() {
		v.rates[s.Name] = &rate{at: time.Now()}
	}
	for _, s := range w.streams.Status() {
		v.rates[s.Name] = &rate{at: time.Now()}
	}
	return v
}

// show draws the picture, if it is time.
func (v *view) show(final bool) {
	switch {
	case v.terminal != nil:
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
	picture := v.fit(v.picture(true))
	up := ""
	if v.lines > 0 {
		up = fmt.Sprintf("\x1b[%dA\x1b[J", v.lines)
	}
	v.lines = strings.Count(picture, "\n")
	fmt.Fprint(v.out, up+picture)
}

// fit cuts lines at the terminal's width: one that wraps would spoil the next drawing.
func (v *view) fit(picture string) string {
	width, _, err := term.GetSize(int(v.terminal.Fd()))
	if err != nil || width <= 0 {
		return picture
	}
	var b strings.Builder
	for line := range strings.Lines(picture) {
		if runes := []rune(strings.TrimSuffix(line, "\n")); len(runes) > width {
			line = string(runes[:width-1]) + "…\n"
		}
		b.WriteString(line)
	}
	return b.String()
}

// picture is a table of what runs where, with counts.
func (v *view) picture(counts bool) string {
	t := table{head: []string{"", "NAME"}}
	if counts {
		t.head = append(t.head, "RECORDS", "RATE/S", "DEAD", "STATE")
	}
	t.head = append(t.head, "RUNS IN", "FROM → TO")
	row := func(kind, name, where, way string, records, dead int64, state, last string) {
		cells := []string{kind, name}
		if counts {
			if last != "" {
				state += ": " + last
			}
			cells = append(cells, strconv.FormatInt(records, 10), fmt.Sprintf("%.0f", v.rates[name].see(records)), strconv.FormatInt(dead, 10), state)
		}
		t.rows = append(t.rows, append(cells, where, way))
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
			row(kind, s.Name, where, way, s.Records, s.DeadLetters, s.State, s.LastError)
		}
		if kind == "source" {
			for _, s := range v.work.streams.Status() {
				row("pipeline", s.Name, fmt.Sprintf("leat, pid %d", os.Getpid()), strings.Join(s.From, " ")+" → "+strings.Join(s.To, " "),
					s.In, s.DeadLetters, s.State, s.LastError)
			}
		}
	}
	var b strings.Builder
	_ = t.print(&b) // a strings.Builder does not fail
	return b.String()
}
