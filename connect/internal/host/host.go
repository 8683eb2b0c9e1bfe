package host

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/internal/diag"
	"google.golang.org/grpc"
)

// startTimeout is how long a plugin may take to say hello.
const startTimeout = 10 * time.Second

// Finder finds plugins by name.
type Finder struct {
	Bundled func(name string) (argv []string, ok bool)
	Names   []string // of the bundled ones
	Dir     string   // of third-party ones: executables named as the plugin; empty: none
}

// NotFound is a plugin that is not there.
type NotFound struct{ Name, Hint string }

func (e *NotFound) Error() string { return fmt.Sprintf("there is no plugin %q", e.Name) }

// Find gives the command line of a plugin.
func (f *Finder) Find(name string) ([]string, error) {
	if f.Bundled != nil {
		if argv, ok := f.Bundled(name); ok {
			return argv, nil
		}
	}
	known := slices.Clone(f.Names)
	if f.Dir != "" && name == filepath.Base(name) {
		path := filepath.Join(f.Dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			if info.Mode()&0o111 == 0 {
				return nil, &NotFound{name, path + " is there but not executable: chmod +x it"}
			}
			path, err := filepath.Abs(path)
			return []string{path}, err
		}
		entries, _ := os.ReadDir(f.Dir) // a directory that cannot be read has no plugins
		for _, e := range entries {
			known = append(known, e.Name())
		}
	}
	hint := "the plugins are " + strings.Join(known, ", ")
	if near := diag.Nearest(name, known); near != "" {
		hint = fmt.Sprintf("did you mean %q? (%s)", near, hint)
	}
	if f.Dir == "" {
		hint += "; --plugin-dir DIR adds others"
	}
	return nil, &NotFound{name, hint}
}

// Plugin is a running process.
type Plugin struct {
	proto.PluginClient
	PID    int
	proc   *process
	client *plugin.Client
	ping   func() error
	parent *os.File
	once   sync.Once
}

// Start runs argv as a plugin. out is where it prints what a user asked it to print; redact takes secrets out of its log.
func Start(ctx context.Context, argv []string, out *os.File, log *slog.Logger, redact func(string) string) (*Plugin, error) {
	alive, parent, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = alive.Close() }()
	noise := &noise{}
	p := &Plugin{parent: parent}
	if p.proc, err = newProcess(command(argv, out, alive)); err != nil {
		_ = parent.Close()
		return nil, err
	}
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: proto.Handshake, Plugins: plugin.PluginSet{proto.DoorName: &proto.Door{}},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
			p.proc.cmd.Env = append(p.proc.cmd.Env, cmd.Env...)
			return p.proc, nil
		},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, SkipHostEnv: true, StartTimeout: startTimeout,
		Logger: newLog(log, redact), Stderr: noise,
		GRPCDialOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(proto.MaxMessage), grpc.MaxCallSendMsgSize(proto.MaxMessage))},
	})
	stop := context.AfterFunc(ctx, func() { _ = p.proc.Kill(ctx) })
	defer stop()
	rpc, err := p.client.Client()
	p.PID = p.proc.Pid()
	if err != nil {
		p.Kill()
		return nil, startError(argv, err, redact(noise.String()))
	}
	raw, err := rpc.Dispense(proto.DoorName)
	if err != nil {
		p.Kill()
		return nil, startError(argv, err, redact(noise.String()))
	}
	p.PluginClient, p.ping = raw.(proto.PluginClient), rpc.Ping
	return p, nil
}

// command is a plugin's process before it is started: no input, and an environment without anything of ours.
func command(argv []string, out, alive *os.File) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec,noctx // the user named it; it is ended by Kill
	cmd.Env = environ(proto.StdoutFDEnv+"=3", proto.ParentFDEnv+"=4")
	cmd.ExtraFiles = []*os.File{out, alive}
	cmd.SysProcAttr = attributes() // a group of its own: a Ctrl-C is leat's to hand on
	return cmd
}

// startError says in one line what a plugin did instead of starting.
func startError(argv []string, err error, noise string) error {
	name := filepath.Base(argv[0])
	if len(argv) > 1 {
		name = argv[len(argv)-1]
	}
	msg := err.Error()
	switch {
	case strings.Contains(msg, "timeout while waiting for plugin to start"):
		msg = fmt.Sprintf("it did not say hello within %s", startTimeout)
	case strings.Contains(msg, "Unrecognized remote plugin message"), strings.Contains(msg, "Failed to read any lines"):
		line, _, _ := strings.Cut(after(msg, "Unrecognized remote plugin message: "), "\n")
		msg = fmt.Sprintf("it is not a leat plugin: it printed %q instead of its handshake", strings.TrimSpace(line))
	case strings.Contains(msg, "plugin exited before we could connect"):
		msg = "it exited at once"
	case strings.Contains(strings.ToLower(msg), "incompatible api version"):
		msg = "it speaks another version of the plugin protocol"
	default:
		msg, _, _ = strings.Cut(msg, "\n")
	}
	if noise = strings.TrimSpace(noise); noise != "" {
		msg += "; its last words: " + noise
	}
	return fmt.Errorf("plugin %s: %s", name, msg)
}

func after(s, sep string) string {
	if _, rest, ok := strings.Cut(s, sep); ok {
		return rest
	}
	return ""
}

// Hangs reports when the process no longer answers pings, until ctx ends.
func (p *Plugin) Hangs(ctx context.Context, every, patience time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		answer := make(chan error, 1)
		go func() { answer <- p.ping() }()
		select {
		case err := <-answer:
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("the plugin does not answer: %w", err)
			}
		case <-time.After(patience):
			return fmt.Errorf("the plugin hangs: no answer for %s", patience)
		case <-ctx.Done():
			return nil
		}
	}
}

// Kill ends the process and all that it started.
func (p *Plugin) Kill() {
	p.once.Do(func() {
		_ = p.proc.Kill(context.Background())
		p.client.Kill()
		_ = p.parent.Close()
	})
}

// noise keeps the last of what a plugin writes to stderr outside its log.
type noise struct {
	mu   sync.Mutex
	last []byte
}

const noiseMax = 300

func (n *noise) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = append(n.last, b...)
	if len(n.last) > noiseMax {
		n.last = slices.Clone(n.last[len(n.last)-noiseMax:])
		if i := bytes.IndexByte(n.last, '\n'); i >= 0 && i < len(n.last)-1 {
			n.last = n.last[i+1:] // whole lines
		}
	}
	return len(b), nil
}

func (n *noise) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return string(n.last)
}
