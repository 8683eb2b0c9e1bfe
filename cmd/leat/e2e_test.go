package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const quickstart = "../../pipelines/quickstart"

var buildOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "leat-e2e")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "leat")
	out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})

// leat is the command, as a user has it, in a directory of its own.
func leat(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	bin, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), processTime)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // it shows where it hangs
	cmd.WaitDelay = 10 * time.Second
	cmd.Dir = dir
	return cmd
}

// processTime is more than any process of these tests takes.
const processTime = 3 * time.Minute

func devArgs(t *testing.T, more ...string) []string {
	t.Helper()
	docs, err := filepath.Abs(quickstart)
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{"dev", docs, "--listen", "127.0.0.1:0"}, more...)
}

// flight is what the pipelines make of a row.
type flight struct {
	Flight    string `json:"flight"`
	Route     string `json:"route"`
	Delay     int    `json:"delay"`
	Scheduled string `json:"scheduled"`
}

// expected computes the outputs another way: with encoding/csv and Go, row by row. It gives, for each file, the sequence
// of each partition of the topic flights, within which the order must hold.
func expected(t *testing.T) map[string][][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(quickstart, "data", "*.csv"))
	if err != nil || len(files) == 0 {
		t.Fatal("no data", err)
	}
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic("flights")
	out := map[string][][]string{"late.jsonl": make([][]string, 3), "on-time.jsonl": make([][]string, 3)}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(f).ReadAll()
		_ = f.Close()
		if err != nil {
			t.Fatal(err)
		}
		col := map[string]int{}
		for i, name := range rows[0] {
			col[name] = i
		}
		for _, row := range rows[1:] {
			get := func(name string) string { return row[col[name]] }
			if get("dep_time") == "NA" {
				continue
			}
			delay, err := strconv.Atoi(get("dep_delay"))
			if err != nil {
				t.Fatal(err)
			}
			to := ""
			switch {
			case delay >= 60:
				to = "late.jsonl"
			case delay <= 0:
				to = "on-time.jsonl"
			default:
				continue
			}
			line, err := json.Marshal(flight{get("carrier") + get("flight"), get("origin") + "-" + get("dest"), delay, get("time_hour")})
			if err != nil {
				t.Fatal(err)
			}
			p := partitioner.Partition(&kgo.Record{Key: []byte(get("tailnum"))}, 3)
			out[to][p] = append(out[to][p], string(line))
		}
	}
	return out
}

// checkOut compares ./out with what must be there: every record once, and within each partition in order.
func checkOut(t *testing.T, dir string) {
	t.Helper()
	for file, partitions := range expected(t) {
		raw, err := os.ReadFile(filepath.Join(dir, "out", file))
		if err != nil {
			t.Error(err)
			continue
		}
		got := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
		if want := slices.Concat(partitions...); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: %d records, want %d, or they differ", file, len(got), len(want))
			continue
		}
		places := map[string][]int{}
		for i, line := range got {
			places[line] = append(places[line], i)
		}
		for p, sequence := range partitions {
			last := -1
			for _, line := range sequence {
				at := slices.IndexFunc(places[line], func(i int) bool { return i > last })
				if at < 0 {
					t.Errorf("%s: partition %d is out of order at %s", file, p, line)
					break
				}
				last = places[line][at]
				places[line] = slices.Delete(places[line], at, at+1)
			}
		}
	}
}

// TestQuickstartGivesWhatAnotherComputationGives is done-when 1.
func TestQuickstartGivesWhatAnotherComputationGives(t *testing.T) {
	dir := t.TempDir()
	cmd := leat(t, dir, devArgs(t, "--until-idle")...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if stdout.Len() > 0 {
		t.Errorf("on stdout: %s", stdout.String())
	}
	checkOut(t, dir)

	// Again: there is nothing left to do, and nothing is done twice.
	if out, err := leat(t, dir, devArgs(t, "--until-idle")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checkOut(t, dir)
}

// TestKillingTheProcess is done-when 3: kill -9 at ten random moments, started again each time.
func TestKillingTheProcess(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for range 10 {
		cmd := leat(t, dir, devArgs(t, "--until-idle")...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wait := time.Duration(rng.IntN(400)) * time.Millisecond
		t.Logf("kill after %s", wait)
		time.Sleep(wait) // the moment is the point
		_ = cmd.Process.Signal(syscall.SIGKILL)
		if err := cmd.Wait(); err != nil && !strings.Contains(err.Error(), "killed") {
			t.Fatalf("%v\n%s", err, stderr.String())
		}
	}
	if out, err := leat(t, dir, devArgs(t, "--until-idle")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checkOut(t, dir)
}

// children finds the plugin processes of a process by what they serve.
func children(t *testing.T, parent int) map[int]string {
	t.Helper()
	out := map[int]string{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // gone meanwhile
		}
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil || len(fields) < 2 || fields[1] != strconv.Itoa(parent) || fields[0] == "Z" {
			continue
		}
		args, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if strings.Contains(string(args), "plugin\x00serve") {
			out[pid] = string(args)
		}
	}
	return out
}

// TestKillingAConnector is done-when 2: each connector is its own process, and one that is killed is back; the time it
// took is logged.
func TestKillingAConnector(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("processes are looked up in Linux's /proc")
	}
	dir := t.TempDir()
	cmd := leat(t, dir, devArgs(t)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	three := func() map[int]string {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
			if now := children(t, cmd.Process.Pid); len(now) == 3 {
				return now
			}
		}
		t.Fatalf("three connectors are not there: %v", children(t, cmd.Process.Pid))
		return nil
	}
	for victim := range three() {
		before := time.Now()
		if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for _, alive := three()[victim]; alive; _, alive = three()[victim] {
			time.Sleep(time.Millisecond)
		}
		t.Logf("running again after %s", time.Since(before))
	}
	// Ctrl-C ends it cleanly, and leaves no process.
	began := time.Now()
	_ = cmd.Process.Signal(os.Interrupt)
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("%v\n%s", err, stderr.String())
		}
		t.Logf("stopped in %s", time.Since(began))
	case <-time.After(time.Minute):
		t.Fatal("Ctrl-C does not stop it")
	}
	if left := children(t, cmd.Process.Pid); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if out, err := leat(t, dir, devArgs(t, "--until-idle")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checkOut(t, dir)
}
