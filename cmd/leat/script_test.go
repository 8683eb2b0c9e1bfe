package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/leatstream/leat/cmd/leat/internal/apache"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	programs := map[string]func(){"leat": func() { os.Exit(realMain()) }}
	for _, name := range apache.Names() {
		programs[name], programs[name+".sh"] = programs["leat"], programs["leat"]
	}
	testscript.Main(m, programs)
}

// TestScripts runs every command that the README and the issue name, as a user types it. $REPO is the repository, $ADDR a
// free address on loopback, $PORT its port, $OTHER_PORT another one; `serving ADDR` waits until something answers there, `exits CODE COMMAND…`
// checks an exit code, `eventually PATTERN COMMAND…` repeats a command until its standard output matches.
func TestScripts(t *testing.T) {
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("REPO", repo)
			env.Setenv("ADDR", brokertest.FreeAddr(t))
			env.Setenv("PORT", strings.TrimPrefix(env.Getenv("ADDR"), "127.0.0.1:"))
			env.Setenv("OTHER_PORT", strings.TrimPrefix(brokertest.FreeAddr(t), "127.0.0.1:"))
			return nil
		},
		Condition: func(what string) (bool, error) {
			if what != "tmpfs" { // which leat doctor warns of
				return false, fmt.Errorf("unknown condition %s", what)
			}
			// A system without this stat warns of nothing.
			kind, err := exec.Command("stat", "-f", "-c", "%T", os.TempDir()).Output()
			return err == nil && strings.TrimSpace(string(kind)) == what, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"serving": serving, "exits": exits, "eventually": eventually},
	})
}

// serving waits until something answers at an address. A broker listens before it does: its port is taken early.
func serving(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		nc, err := net.Dial("tcp", args[0])
		if err != nil {
			continue
		}
		defer nc.Close()
		_ = nc.SetDeadline(deadline)
		// ApiVersions 0 with correlation id 1. Who wants TLS or HTTP closes the connection.
		_, _ = nc.Write([]byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff})
		_, err = nc.Read(make([]byte, 1))
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			break
		}
		return
	}
	ts.Fatalf("nothing answers on %s", args[0])
}

// exits runs a command and compares its exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// eventually repeats a command until its standard output matches a pattern.
func eventually(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile("(?m)" + args[0])
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ts.Exec(args[1], args[2:]...) == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("%v never printed %s", args[1:], args[0])
}
