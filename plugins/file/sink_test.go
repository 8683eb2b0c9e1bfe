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

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSinkWritesLinesAndKnowsWhereToGoOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "er", "out.jsonl")
	c := config{"path": path}
	p := sdktest.Start(t)
	run := p.Sink(c)
	if start := run.Assign("orders", 0); start != -1 {
		t.Fatalf("a new sink starts at %d", start)
	}
	run.Assign("orders", 1)
	run.Send("orders", 0, 10, sdktest.Values(`{"a":1}`, "{\n \"a\": 2\n}")...)
	run.Send("orders", 1, 0, sdktest.Values(`3`)...)
	run.Send("orders", 0, 12, sdk.Record{Value: nil}, sdk.Record{Value: []byte("oops")}, sdk.Record{Value: []byte(`"é"`)})
	run.WaitAck("orders", 0, 15)
	run.WaitAck("orders", 1, 1)
	verdicts := run.WaitVerdicts(1)
	if v := verdicts[0]; v.GetOffset() != 13 || v.GetClass() != proto.Class_CLASS_POISON || v.GetCode() != "file.not-json" {
		t.Errorf("verdict %v", v)
	}
	run.Stop()
	want := "{\"a\":1}\n{\"a\":2}\n3\nnull\n\"é\"\n"
	if got := read(t, path); got != want {
		t.Errorf("got:\n%s", got)
	}

	run = p.Sink(c)
	if start := run.Assign("orders", 0); start != 15 {
		t.Errorf("partition 0 goes on at %d", start)
	}
	if start := run.Assign("orders", 1); start != 1 {
		t.Errorf("partition 1 goes on at %d", start)
	}
	// A host that comes with older records all the same gets no copy.
	run.Send("orders", 0, 14, sdktest.Values(`"é"`, `4`)...)
	run.WaitAck("orders", 0, 16)
	run.Stop()
	if got := read(t, path); got != want+"4\n" {
		t.Errorf("got:\n%s", got)
	}
}

func TestSinkSkipsWhatABatchHoldsBesides(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	run := sdktest.Start(t).Sink(config{"path": path, "format": "raw"})
	run.Assign("t", 0)
	run.SendBatch(&proto.SinkBatch{
		From: &proto.TopicPartition{Topic: "t"}, FirstOffset: 6, NextOffset: 9,
		Frame: append(sdktest.Frame(t, 5, sdktest.Values("5", "6")...), sdktest.Frame(t, 7, sdktest.Values("7", "8")...)...),
	})
	run.WaitAck("t", 0, 9)
	run.Stop()
	if got := read(t, path); got != "6\n7\n8\n" {
		t.Errorf("got %q", got)
	}
}

func TestSinkKilledAtAnyTimeHoldsEachRecordOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	c := config{"path": path, "roll_size": "20KB"}
	const total = 3000
	for round := 0; ; round++ {
		p := sdktest.Start(t)
		run := p.Sink(c)
		at := max(0, run.Assign("t", 0))
		sent := at
		for sent < min(total, at+400) {
			run.Send("t", 0, sent, sdktest.Values(fmt.Sprintf(`{"n":%d}`, sent), fmt.Sprintf(`{"n":%d}`, sent+1))...)
			sent += 2
		}
		if sent >= total {
			run.WaitAck("t", 0, total)
			p.Kill()
			break
		}
		run.WaitAck("t", 0, at+int64(round*17%200))
		p.Kill()
		// What the page cache of a killed process may look like: half a line behind what was vouched for.
		add(t, path, `{"half":`)
	}
	run := sdktest.Start(t).Sink(c) // a last opening repairs the tail
	if start := run.Assign("t", 0); start != total {
		t.Errorf("goes on at %d", start)
	}
	run.Stop()
	rolled, err := filepath.Glob(strings.TrimSuffix(path, ".jsonl") + "-*.jsonl")
	if err != nil || len(rolled) == 0 {
		t.Fatalf("nothing rolled: %v", err)
	}
	var all strings.Builder
	for _, f := range append(rolled, path) {
		all.WriteString(read(t, f))
	}
	lines := strings.Split(strings.TrimSuffix(all.String(), "\n"), "\n")
	if len(lines) != total {
		t.Fatalf("%d lines in %d files", len(lines), len(rolled)+1)
	}
	for i, l := range lines {
		if l != fmt.Sprintf(`{"n":%d}`, i) {
			t.Fatalf("line %d is %s", i, l)
		}
	}
}

func TestSinkRefusesWhatItCannotVouchFor(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	c := config{"path": path, "format": "raw"}
	p := sdktest.Start(t)
	write(t, path, "not ours, without an end")
	run := p.Sink(c)
	run.Assign("t", 0)
	run.Send("t", 0, 0, sdktest.Values("a", "b")...)
	run.WaitAck("t", 0, 2)

	second := sdktest.Start(t).Sink(c)
	if f := second.WaitFailure(); f.GetClass() != proto.Class_CLASS_TRANSIENT || !strings.Contains(f.GetMessage(), "another sink") {
		t.Errorf("two writers: %v", f)
	}
	run.Stop()
	if got := read(t, path); got != "not ours, without an end\na\nb\n" {
		t.Errorf("got %q", got)
	}

	write(t, path, "cut")
	if f := p.Sink(c).WaitFailure(); f.GetClass() != proto.Class_CLASS_FATAL || f.GetCode() != "file.shorter" {
		t.Errorf("shorter: %v", f)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	run = p.Sink(c)
	if start := run.Assign("t", 0); start != 2 {
		t.Errorf("after the output was moved away: %d", start)
	}
	run.Stop()

	write(t, filepath.Join(dir, ".out.positions"), "rubbish")
	if f := p.Sink(c).WaitFailure(); f.GetCode() != "file.positions" {
		t.Errorf("rubbish: %v", f)
	}
}

func TestPositionsSurviveAnyCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".p")
	p, _, err := openPositions(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.rewrite(); err != nil {
		t.Fatal(err)
	}
	var ends []int64
	for i := range int64(20) {
		id := partition{"topic", int32(i % 3)}
		p.length, p.next[id] = i*100, i
		if err := p.commit(map[partition]int64{id: i}); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, p.size)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	whole := read(t, path)
	for cut := len(positionsMagic); cut <= len(whole); cut++ {
		write(t, path, whole[:cut])
		q, found, err := openPositions(path)
		if err != nil || !found {
			t.Fatal(cut, found, err)
		}
		last := int64(-1)
		for i, end := range ends {
			if int64(cut) >= end {
				last = int64(i)
			}
		}
		if want := max(0, last*100); q.length != want {
			t.Fatalf("cut at %d: length %d, want %d", cut, q.length, want)
		}
		if last >= 0 && q.next[partition{"topic", int32(last % 3)}] != last {
			t.Fatalf("cut at %d: next %v", cut, q.next)
		}
	}
}
