package host

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// pipesTime is how long the output of a process that was killed may stay open.
const pipesTime = 300 * time.Millisecond

// process is a plugin's process as go-plugin wants to see it. Unlike go-plugin's own it can be killed at any time, also
// while it is being started, and what it started is killed with it.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr io.ReadCloser

	mu     sync.Mutex
	pid    int
	killed bool
	ended  bool // waited for: the number may belong to another process
}

func newProcess(cmd *exec.Cmd) (*process, error) {
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := cmd.StderrPipe()
	return &process{cmd: cmd, stdout: stdout, stderr: stderr}, err
}

// Start starts the process.
func (p *process) Start(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.killed {
		return errors.New("stopped while it was being started")
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.pid = p.cmd.Process.Pid
	return nil
}

// Wait waits until the process has ended, and ends what it left behind.
func (p *process) Wait(context.Context) error {
	_, err := p.cmd.Process.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	_ = syscall.Kill(-p.pid, syscall.SIGKILL) // what it left behind
	return err
}

// Kill ends the process and all that it started.
func (p *process) Kill(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killed = true
	if p.pid > 0 && !p.ended {
		_ = syscall.Kill(-p.pid, syscall.SIGKILL) // gone already: fine
	}
	time.AfterFunc(pipesTime, func() { // held open by a child that left the group: nobody is to wait for it
		_ = p.stdout.Close()
		_ = p.stderr.Close()
	})
	return nil
}

// Pid is 0 before the start.
func (p *process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// Stdout has the handshake.
func (p *process) Stdout() io.ReadCloser { return p.stdout }

// Stderr has the log.
func (p *process) Stderr() io.ReadCloser { return p.stderr }

// Name is the program.
func (p *process) Name() string { return p.cmd.Path }

// ID is the process's number.
func (p *process) ID() string { return strconv.Itoa(p.Pid()) }

// Diagnose has nothing to add.
func (p *process) Diagnose(context.Context) string { return "" }

// PluginToHost gives addresses as they are.
func (p *process) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin gives addresses as they are.
func (p *process) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}

// environ is all that a plugin gets to see of this process's environment; nothing that may hold a secret.
func environ(more ...string) []string {
	return append(more, "TMPDIR="+os.TempDir(), "PATH="+os.Getenv("PATH"))
}
