package connect

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/leatstream/leat/internal/batch"
	"github.com/twmb/franz-go/pkg/kadm"
)

const tails = 97

// flights is a CSV of rows from…to-1.
func flights(from, to int) string {
	var b strings.Builder
	b.WriteString("tailnum,n\n")
	for n := from; n < to; n++ {
		fmt.Fprintf(&b, "N%d,%d\n", n%tails, n)
	}
	return b.String()
}

func quickstart(w *world, follow bool) string {
	return fmt.Sprintf(`source: flights
plugin: file
config: {path: "${dir}/in-*.csv", follow: %t}
to: {topic: flights, key: value.tailnum}
---
sink: archive
plugin: file
config: {path: "%s"}
from: flights
`, follow, filepath.Join(w.dir, "out.jsonl"))
}

// order finds records of a key that come in another order than in their file, which has step rows.
type order struct {
	step int
	last map[string]int
}

func (o *order) check(w *world, v value) {
	w.t.Helper()
	key := fmt.Sprintf("%s of file %d", v.Tailnum, v.N/o.step)
	if last, ok := o.last[key]; ok && v.N < last {
		w.t.Errorf("%s: %d after %d", key, v.N, last)
	}
	o.last[key] = v.N
}

// checkTopic demands that each row is in the topic once, the rows of a key in one partition and in order.
func checkTopic(w *world, rows, step int) {
	w.t.Helper()
	seen, home, order := make([]int, rows), map[string]int32{}, &order{step, map[string]int{}}
	w.records("flights", func(p int32, r *batch.Record) {
		v := parseValue(w.t, r.Value)
		if string(r.Key) != v.Tailnum {
			w.t.Fatalf("key %q of %+v", r.Key, v)
		}
		if at, ok := home[v.Tailnum]; ok && at != p {
			w.t.Fatalf("%s in partitions %d and %d", v.Tailnum, at, p)
		}
		home[v.Tailnum] = p
		order.check(w, v)
		seen[v.N]++
	})
	exact(w, "topic", seen)
}

// checkFile demands the same of the sink's file.
func checkFile(w *world, rows, step int) {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.dir, "out.jsonl"))
	if err != nil {
		w.t.Fatal(err)
	}
	seen, order := make([]int, rows), &order{step, map[string]int{}}
	for line := range bytes.Lines(raw) {
		v := parseValue(w.t, line)
		order.check(w, v)
		seen[v.N]++
	}
	exact(w, "file", seen)
}

func exact(w *world, where string, seen []int) {
	w.t.Helper()
	lost, twice := 0, 0
	for _, n := range seen {
		if n == 0 {
			lost++
		}
		if n > 1 {
			twice++
		}
	}
	if lost+twice > 0 {
		w.t.Errorf("%s: of %d rows, %d are missing and %d are there more than once", where, len(seen), lost, twice)
	}
}

func TestRoundTripFromFileToFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("flights", 3)
	const rows = 20_000
	w.write("in-1.csv", flights(0, rows))
	r := w.start(quickstart(w, true))
	r.wait("flights", "source drained", drained)
	s := r.wait("archive", "sink drained", func(s Status) bool { return s.Drained && s.Records == rows })
	if s.Lag != 0 || s.State != "running" || s.PID == 0 {
		t.Errorf("status %+v", s)
	}
	checkTopic(w, rows, rows)
	checkFile(w, rows, rows)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Status() {
		if s.State != "stopped" || s.PID != 0 {
			t.Errorf("after the stop: %+v", s)
		}
	}
}

// A sink that died between its target and the group's offsets finds its place in the target. It commits that place also where
// no record follows: until then it would look as if it lagged behind.
func TestWhatTheTargetHasIsCommitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("flights", 3)
	const rows = 300
	w.write("in-1.csv", flights(0, rows))
	r := w.start(quickstart(w, true))
	r.wait("archive", "sink drained", func(s Status) bool { return s.Drained && s.Records == rows })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Admin().DeleteGroup(t.Context(), "connect-archive"); err != nil {
		t.Fatal(err)
	}
	r = w.start(quickstart(w, true))
	w.until("the group has the log's ends", func() bool { return w.committed("connect-archive") == rows }, func() any { return r.Status() })
	checkFile(w, rows, rows)
}

// committed adds up a group's offsets.
func (w *world) committed(group string) (n int64) {
	offsets, err := w.client.Admin().FetchOffsets(w.t.Context(), group)
	if err != nil {
		w.t.Fatal(err)
	}
	offsets.Each(func(o kadm.OffsetResponse) { n += o.At })
	return n
}

// A stop in the middle and another runtime: it goes on where the first ended.
func TestStopsInTheMiddleAreExact(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("flights", 3)
	const rows = 60_000
	w.write("in-1.csv", flights(0, rows))
	for stop := int64(1); stop <= 3; stop++ {
		r := w.start(quickstart(w, true))
		w.until("some records", func() bool { return w.count("flights") > rows/5*stop }, func() any { return r.Status() })
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
	r := w.start(quickstart(w, true))
	r.wait("flights", "source drained", drained)
	w.until("all in the file", func() bool { return lines(w) >= rows }, func() any { return r.Status() })
	_ = r.stop()
	checkTopic(w, rows, rows)
	checkFile(w, rows, rows)
}

func lines(w *world) int {
	raw, _ := os.ReadFile(filepath.Join(w.dir, "out.jsonl")) // not there yet: none
	return bytes.Count(raw, []byte("\n"))
}

func TestKilledPluginsAreBackAtOnceAndExact(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("flights", 3)
	const rows, kills = 60_000, 4
	step := rows / (kills + 1)
	r := w.start(quickstart(w, true))
	for i := range kills + 1 {
		w.write(fmt.Sprintf("in-%d.csv", i), flights(i*step, (i+1)*step))
		if i == kills {
			break
		}
		want := int64(i*step + rand.IntN(step))
		w.until("some records", func() bool { return w.count("flights") >= want }, func() any { return r.Status() })
		for _, name := range []string{"flights", "archive"} {
			old := r.wait(name, "running", func(s Status) bool { return s.PID != 0 && s.State == "running" })
			if err := syscall.Kill(old.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			r.wait(name, "running again", func(s Status) bool { return s.State == "running" && s.PID != old.PID && s.PID != 0 })
			if atOnce := regexp.MustCompile(`starting again" connector=` + name + ` .*after=0s`); i == 0 && !atOnce.MatchString(w.log.String()) {
				t.Errorf("%s was not started at once", name)
			}
		}
	}
	w.until("all in the file", func() bool { return lines(w) >= rows }, func() any { return r.Status() })
	r.wait("flights", "source drained", drained)
	r.wait("archive", "sink drained", drained)
	_ = r.stop()
	checkTopic(w, rows, step)
	checkFile(w, rows, step)
}

// The broker goes away and comes back in the middle: connectors wait for it, and what they write stays exact.
func TestRestartedBrokerIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("flights", 3)
	const rows = 200_000
	w.write("in-1.csv", flights(0, rows))
	r := w.start(quickstart(w, true))
	for i := int64(1); i <= 2; i++ {
		w.until("some records", func() bool { return w.count("flights") > rows/4*i }, func() any { return r.Status() })
		w.cluster.Restart()
	}
	w.until("all in the file", func() bool { return lines(w) >= rows }, func() any { return r.Status() })
	r.wait("flights", "source drained", drained)
	_ = r.stop()
	checkTopic(w, rows, rows)
	checkFile(w, rows, rows)
}

// Many files are many claims; input that is no record goes to the dead letters once, through a kill as well.
func TestManyClaimsWithRefusedInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("flights", 3)
	const files, step = 100, 200
	for i := range files {
		w.write(fmt.Sprintf("in-%03d.csv", i), flights(i*step, (i+1)*step)+"only one field\n")
	}
	r := w.start(quickstart(w, true))
	w.until("some records", func() bool { return w.count("flights") > files*step/3 }, func() any { return r.Status() })
	old := r.wait("flights", "running", func(s Status) bool { return s.PID != 0 })
	if err := syscall.Kill(old.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.wait("flights", "source drained", func(s Status) bool { return s.Drained && s.PID != old.PID })
	w.until("all in the file", func() bool { return lines(w) >= files*step }, func() any { return r.Status() })
	_ = r.stop()
	checkTopic(w, files*step, step)
	checkFile(w, files*step, step)
	if n := w.count("flights.dead-letter"); n != files {
		t.Errorf("%d dead letters of %d", n, files)
	}
}
