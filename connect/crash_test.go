package connect

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// The whole process is killed at random moments, again and again.
func TestKilledRuntimeIsExact(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("flights", 3)
	const rows = 150_000
	path := w.write("in-1.csv", flights(0, rows))
	w.config(quickstart(w, true)) // writes connectors.yaml
	yamlPath := filepath.Join(filepath.Dir(path), "connectors.yaml")
	kills := 0
	for w.count("flights") < rows {
		if kills++; kills > 40 {
			t.Fatal("no end")
		}
		p := w.program(yamlPath)
		at := w.count("flights") + int64(1+rand.IntN(rows/8))
		w.until("some records", func() bool { n := w.count("flights"); return n >= min(at, rows) }, func() any { return kills })
		time.Sleep(rand.N(20 * time.Millisecond)) // any moment will do
		p.kill()
	}
	p := w.program(yamlPath)
	w.until("all in the file", func() bool { return lines(w) >= rows }, func() any { return kills })
	p.kill()
	t.Logf("killed %d times", kills)
	checkTopic(w, rows, rows)
	checkFile(w, rows, rows)
}

type program struct {
	w   *world
	cmd *exec.Cmd
}

func (w *world) program(path string) *program {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), os.Args[0], "run", path, w.cluster.Addr())
	cmd.Stderr = w.log
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	return &program{w, cmd}
}

func (p *program) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	_ = p.cmd.Wait() // it was killed: an error
}
