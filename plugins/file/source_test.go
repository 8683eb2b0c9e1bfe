package file

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leatstream/leat/connect/sdk"
	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/connect/sdk/sdktest"
)

type config map[string]any

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func add(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func values(records []sdk.Record) string {
	var out []string
	for _, r := range records {
		out = append(out, string(r.Value))
	}
	return strings.Join(out, "\n")
}

func expect(t *testing.T, got []sdk.Record, want ...string) {
	t.Helper()
	if values(got) != strings.Join(want, "\n") {
		t.Fatalf("got:\n%s\nwant:\n%s", values(got), strings.Join(want, "\n"))
	}
}

func TestQuickstartDataIsReadWhole(t *testing.T) {
	run := sdktest.Start(t).Source(config{"path": "../../pipelines/quickstart/data/*.csv"}, sdktest.SourceOptions{})
	got := run.WaitCaughtUp()
	if len(got) != 4334 {
		t.Fatalf("%d records", len(got))
	}
	expect(t, got[:1], `{"year":2013,"month":1,"day":1,"dep_time":517,"sched_dep_time":515,"dep_delay":2,"arr_time":830,"sched_arr_time":819,"arr_delay":11,"carrier":"UA","flight":1545,"tailnum":"N14228","origin":"EWR","dest":"IAH","air_time":227,"distance":1400,"hour":5,"minute":15,"time_hour":"2013-01-01T10:00:00Z"}`)
	run.Stop()
}

func TestFollowsLinesFilesAndRestarts(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.log"), filepath.Join(dir, "b.log")
	c := config{"path": filepath.Join(dir, "*.log"), "poll": "10ms", "settle": "1h"}
	write(t, a, "one\ntwo\npart")
	p := sdktest.Start(t)
	run := p.Source(c, sdktest.SourceOptions{})
	expect(t, run.WaitRecords(2), "one", "two")
	add(t, a, "ial\nthree\n")
	expect(t, run.WaitRecords(4), "one", "two", "partial", "three")
	write(t, b, "other\r\n\n")
	expect(t, run.WaitRecords(6), "one", "two", "partial", "three", "other", "")
	run.WaitCaughtUp()
	positions := run.Stop()

	add(t, a, "four\n")
	run = p.Source(c, sdktest.SourceOptions{Positions: positions})
	expect(t, run.WaitCaughtUp(), "four")
	run.Stop()
}

func TestEndsWithoutFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.jsonl")
	write(t, path, "{\"a\":1}\n\n{\"a\":2}")
	run := sdktest.Start(t).Source(config{"path": path, "follow": false}, sdktest.SourceOptions{})
	expect(t, run.WaitCaughtUp(), `{"a":1}`, `{"a":2}`)
	run.Stop()
}

func TestLastLineWithoutEndCountsOnceItIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.txt")
	write(t, path, "one\ntwo")
	c := config{"path": path, "poll": "10ms", "settle": "50ms"}
	p := sdktest.Start(t)
	run := p.Source(c, sdktest.SourceOptions{})
	expect(t, run.WaitCaughtUp(), "one", "two")
	positions := run.Stop()
	add(t, path, "\nthree\n") // the line end that was lacking is no empty line
	run = p.Source(c, sdktest.SourceOptions{Positions: positions})
	expect(t, run.WaitCaughtUp(), "three")
	run.Stop()
}

func TestRotationByRename(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	c := config{"path": path, "poll": "10ms", "settle": "50ms"}
	write(t, path, "1\n2\n")
	p := sdktest.Start(t)
	run := p.Source(c, sdktest.SourceOptions{})
	run.WaitCaughtUp()
	add(t, path, "3\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	add(t, path+".1", "4\n") // a writer that has not noticed yet
	write(t, path, "5\n")
	expect(t, run.WaitRecords(5), "1", "2", "3", "4", "5")
	run.WaitReleased(1)
	positions := run.Stop()
	if len(positions) != 1 {
		t.Errorf("positions %s", positions)
	}

	// The same while nobody watches.
	add(t, path, "6\n")
	if err := os.Rename(path, path+".2"); err != nil {
		t.Fatal(err)
	}
	write(t, path, "7\n")
	run = p.Source(c, sdktest.SourceOptions{Positions: positions})
	expect(t, run.WaitRecords(2), "6", "7")
	run.Stop()
}

func TestManyIdleFilesAreClosedAndWakeUp(t *testing.T) {
	dir := t.TempDir()
	for i := range 50 {
		write(t, filepath.Join(dir, fmt.Sprintf("%02d.log", i)), "a\n")
	}
	p := sdktest.Start(t)
	run := p.Source(config{"path": filepath.Join(dir, "*.log"), "poll": "10ms", "settle": "0s", "idle_close": "0s"}, sdktest.SourceOptions{})
	run.WaitRecords(50)
	run.WaitCaughtUp()
	for open := 50; open >= 50; {
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID()))
		if err != nil {
			t.Fatal(err)
		}
		open = len(fds)
	}
	add(t, filepath.Join(dir, "07.log"), "b\n")
	if got := run.WaitRecords(51); string(got[50].Value) != "b" {
		t.Errorf("%s", got[50].Value)
	}
	// Renamed out of the glob while closed, and written to once more.
	add(t, filepath.Join(dir, "08.log"), "c\n")
	if err := os.Rename(filepath.Join(dir, "08.log"), filepath.Join(dir, "old")); err != nil {
		t.Fatal(err)
	}
	if got := run.WaitRecords(52); string(got[51].Value) != "c" {
		t.Errorf("%s", got[51].Value)
	}
	run.WaitReleased(1)
	run.Stop()
}

func TestTruncationBeginsAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	write(t, path, "long line one\nlong line two\n")
	run := sdktest.Start(t).Source(config{"path": path, "poll": "10ms"}, sdktest.SourceOptions{})
	run.WaitCaughtUp()
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	add(t, path, "a\n")
	expect(t, run.WaitRecords(3), "long line one", "long line two", "a")
	run.Stop()
}

func TestReplacedFileWithTheSameInodeIsNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.txt")
	write(t, path, "one\ntwo\n")
	c := config{"path": path, "follow": false}
	p := sdktest.Start(t)
	run := p.Source(c, sdktest.SourceOptions{})
	run.WaitCaughtUp()
	positions := run.Stop()
	write(t, path, "uno\ndos\ntres\n") // truncates and writes: the inode stays
	run = p.Source(c, sdktest.SourceOptions{Positions: positions})
	expect(t, run.WaitCaughtUp(), "uno", "dos", "tres")
	run.Stop()
}

func TestHostileInputIsRejectedAndTheRestGoesOn(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct{ name, format, text, want, rejected string }{
		{"long line", "lines", "a\n" + long + "\nb\n", "a\nb", "file.line-too-long 2"},
		{"endless line", "lines", "a\n" + strings.Repeat(long, 200) + "\nb\n", "a\nb", "file.line-too-long 2"},
		{"endless last line", "lines", "a\n" + strings.Repeat(long, 200), "a", "file.line-too-long 2"},
		{"not json", "json", "{\"a\":1}\n{oops\n{\"a\":2}\n", "{\"a\":1}\n{\"a\":2}", "file.not-json 2"},
		{"binary", "json", "\x00\xff\xfe\n1\n", "1", "file.not-json 1"},
		{"csv fields", "csv", "a,b\n1,2\n3\n4,5\n", "{\"a\":1,\"b\":2}\n{\"a\":4,\"b\":5}", "file.csv-fields 3"},
		{"csv open quote", "csv", "a,b\n1,2\n\"3,4\n5,6\n", "{\"a\":1,\"b\":2}\n{\"a\":5,\"b\":6}", "file.csv-quote 3"},
		{"csv long quote", "csv", "a,b\n1,2\n\"3,4\n" + strings.Repeat("5,6\n", 3000), "{\"a\":1,\"b\":2}" + strings.Repeat("\n{\"a\":5,\"b\":6}", 3000), "file.line-too-long 3"},
		{"no array", "json-array", "{\"a\":1}", "", "file.not-array 1"},
		{"cut array", "json-array", "[1, {\"a\":", "1", "file.json-cut 2"},
		{"bad element", "json-array", "[1, {oops}, 2]", "1\n2", "file.not-json 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "in")
			write(t, path, c.text)
			run := sdktest.Start(t).Source(config{"path": path, "format": c.format, "follow": false, "max_line": 4096}, sdktest.SourceOptions{})
			got := values(run.WaitCaughtUp())
			if got != c.want {
				t.Errorf("got:\n%.300s\nwant:\n%.300s", got, c.want)
			}
			var rejected []string
			for _, r := range run.Rejected() {
				rejected = append(rejected, r.GetCode()+" "+strings.TrimPrefix(r.GetOrigin(), path+":"))
			}
			if strings.Join(rejected, ", ") != c.rejected {
				t.Errorf("rejected %v, want %s", rejected, c.rejected)
			}
			run.Stop()
		})
	}
}

func TestKilledInTheMiddleLosesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "in.csv")
	var text strings.Builder
	text.WriteString("n,text\n")
	for i := range 20000 {
		fmt.Fprintf(&text, "%d,\"row \"\"%d\"\"\"\n", i, i)
	}
	write(t, path, text.String())
	c := config{"path": path, "follow": false}
	positions := map[string][]byte{}
	var got []string
	for kills := 0; ; kills++ {
		p := sdktest.Start(t)
		run := p.Source(c, sdktest.SourceOptions{Positions: positions, Batches: 2, Hold: kills < 8})
		if kills < 8 {
			run.Ack(run.WaitBatches(2)[0])
			p.Kill()
			positions = run.Positions()
			for _, r := range sdktest.Decode(t, run.Batches()[0]) {
				got = append(got, string(r.Value))
			}
			continue
		}
		for _, r := range run.WaitCaughtUp() {
			got = append(got, string(r.Value))
		}
		break
	}
	if len(got) != 20000 {
		t.Fatalf("%d records", len(got))
	}
	for i, v := range got {
		if want := fmt.Sprintf(`{"n":%d,"text":"row \"%d\""}`, i, i); v != want {
			t.Fatalf("record %d is %s, want %s", i, v, want)
		}
	}
}

func TestConfigProblems(t *testing.T) {
	p := sdktest.Start(t)
	got := p.Problems(proto.Role_ROLE_SOURCE, config{"pth": "x", "format": "jsn", "poll": "1ms", "delimiter": ",,"})
	var text []string
	for _, g := range got {
		text = append(text, fmt.Sprintf("%s %s: %s (%s)", g.GetCode(), g.GetPath(), g.GetMessage(), g.GetHint()))
	}
	all := strings.Join(text, "\n")
	for _, want := range []string{"config.unknown-key pth", "did you mean path?", "config.required path", "config.enum format", "did you mean json?", "config.range poll"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is missing in:\n%s", want, all)
		}
	}
	if missing := p.Source(config{"path": "/does/not/exist"}, sdktest.SourceOptions{}).WaitFailure(); missing.GetClass() != proto.Class_CLASS_TRANSIENT {
		t.Errorf("missing file: %v", missing)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	writeFile(t, path, text)
}
