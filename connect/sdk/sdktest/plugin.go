package sdktest

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/leatstream/leat/connect/sdk"
	"github.com/leatstream/leat/connect/sdk/proto"
)

// Patience is how long a wait lasts before the test fails.
const Patience = 30 * time.Second

// Main is TestMain for a package that tests a connector: the test binary serves it when started as a plugin.
func Main(m *testing.M, c sdk.Connector) {
	if os.Getenv(proto.CookieKey) != "" {
		sdk.Serve(c)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Plugin is a running plugin process.
type Plugin struct {
	proto.PluginClient
	t      testing.TB
	client *plugin.Client
	stdout *output
	logs   *output
	parent *os.File
}

// Start runs argv as a plugin; without argv, the test binary itself (see Main). It ends with the test.
func Start(t testing.TB, argv ...string) *Plugin {
	t.Helper()
	if len(argv) == 0 {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		argv = []string{self}
	}
	p := &Plugin{t: t, stdout: newOutput(), logs: newOutput()}
	outRead, outWrite := pipe(t)
	parentRead, parentWrite := pipe(t)
	p.parent = parentWrite
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = []string{"TMPDIR=" + os.TempDir(), proto.StdoutFDEnv + "=3", proto.ParentFDEnv + "=4"}
	cmd.ExtraFiles = []*os.File{outWrite, parentRead}
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: proto.Handshake, Plugins: plugin.PluginSet{proto.DoorName: &proto.Door{}}, Cmd: cmd,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, SkipHostEnv: true, StartTimeout: Patience,
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: p.logs}),
		GRPCDialOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(proto.MaxMessage), grpc.MaxCallSendMsgSize(proto.MaxMessage))},
	})
	go p.stdout.drain(outRead)
	rpc, err := p.client.Client()
	_ = outWrite.Close()
	_ = parentRead.Close()
	t.Cleanup(p.Kill)
	if err != nil {
		t.Fatalf("start %v: %v\n%s", argv, err, p.Logs())
	}
	raw, err := rpc.Dispense(proto.DoorName)
	if err != nil {
		t.Fatal(err)
	}
	p.PluginClient = raw.(proto.PluginClient)
	return p
}

// Kill ends the process with SIGKILL and waits until it is gone.
func (p *Plugin) Kill() {
	if proc, err := os.FindProcess(p.PID()); err == nil && p.PID() > 0 && !p.client.Exited() {
		_ = proc.Kill()
	}
	p.client.Kill()
	_ = p.parent.Close()
}

// Orphan does what the host's death does: it closes the pipe that only the host holds. It waits for the process to go.
func (p *Plugin) Orphan() {
	p.t.Helper()
	_ = p.parent.Close()
	deadline := time.Now().Add(Patience)
	for !p.client.Exited() {
		if time.Now().After(deadline) {
			p.t.Fatalf("the plugin outlived its host\n%s", p.Logs())
		}
		time.Sleep(5 * time.Millisecond) // go-plugin tells only when asked
	}
}

// PID is the process's id.
func (p *Plugin) PID() int {
	if c := p.client.ReattachConfig(); c != nil {
		return c.Pid
	}
	return 0
}

// Stdout is what the connector wrote to the user's stdout so far.
func (p *Plugin) Stdout() string { return p.stdout.String() }

// WaitStdout waits until the user's stdout satisfies ok.
func (p *Plugin) WaitStdout(ok func(string) bool) string {
	p.t.Helper()
	return p.stdout.wait(p.t, ok)
}

// Logs is what the plugin logged so far.
func (p *Plugin) Logs() string { return p.logs.String() }

// Problems validates a config, anything that encodes as a JSON object.
func (p *Plugin) Problems(role proto.Role, config any) []*proto.Problem {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	resp, err := p.Validate(ctx, &proto.ConfigRequest{Role: role, Config: encode(p.t, config)})
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.GetProblems()
}

// WaitLog waits until the log satisfies ok.
func (p *Plugin) WaitLog(ok func(string) bool) string {
	p.t.Helper()
	return p.logs.wait(p.t, ok)
}

func encode(t testing.TB, config any) []byte {
	t.Helper()
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// output collects what is written to it.
type output struct {
	mu   sync.Mutex
	more *sync.Cond
	text []byte
}

func newOutput() *output {
	o := &output{}
	o.more = sync.NewCond(&o.mu)
	return o
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	o.more.Broadcast()
	return len(b), nil
}

func (o *output) drain(r *os.File) {
	_, _ = io.Copy(o, r)
	_ = r.Close()
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

func (o *output) wait(t testing.TB, ok func(string) bool) string {
	t.Helper()
	stop := time.AfterFunc(Patience, o.more.Broadcast)
	defer stop.Stop()
	deadline := time.Now().Add(Patience)
	o.mu.Lock()
	defer o.mu.Unlock()
	for !ok(string(o.text)) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain; output so far:\n%s", o.text)
		}
		o.more.Wait()
	}
	return string(o.text)
}
