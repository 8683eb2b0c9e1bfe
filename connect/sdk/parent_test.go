package sdk

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/connect/sdk/proto"
)

// roleEnv makes the test binary a host (with or without the pipe) instead of running tests.
const roleEnv = "SDK_TEST_HOST"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(proto.CookieKey) != "":
		Serve(Connector{Name: "idle"})
	case os.Getenv(roleEnv) != "":
		hostAProcess(os.Getenv(roleEnv) == "pipe")
	default:
		os.Exit(m.Run())
	}
}

// hostAProcess starts itself as a plugin, says so when the handshake is there, and waits to be killed.
func hostAProcess(withPipe bool) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{proto.CookieKey + "=" + proto.CookieValue, "PLUGIN_PROTOCOL_VERSIONS=1"}
	// The plugin holds the host's stderr: its end of file shows that both are gone.
	cmd.Stderr = os.Stderr
	if withPipe {
		r, w, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		defer w.Close()
		cmd.ExtraFiles = []*os.File{r}
		cmd.Env = append(cmd.Env, proto.ParentFDEnv+"=3")
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		panic(err)
	}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	fmt.Fprintln(os.Stdout, strings.TrimSpace(line), err)
	select {}
}

func TestPluginDiesWithAKilledHost(t *testing.T) {
	for _, how := range []string{"pipe", "poll"} {
		t.Run(how, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			host := exec.Command(os.Args[0])
			host.Env = []string{roleEnv + "=" + how}
			host.Stderr = w
			out, err := host.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := host.Start(); err != nil {
				t.Fatal(err)
			}
			_ = w.Close()
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil || !strings.Contains(line, "|grpc|") {
				t.Fatalf("handshake %q %v", line, err)
			}
			if err := host.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = host.Wait() // it was killed
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				lines := bufio.NewScanner(r)
				for lines.Scan() {
					continue
				}
			}()
			select {
			case <-gone:
			case <-time.After(patience):
				t.Fatal("the plugin outlives its host")
			}
		})
	}
}
