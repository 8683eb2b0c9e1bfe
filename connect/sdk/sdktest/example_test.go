package sdktest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leatstream/leat/connect/sdk/sdktest"
)

// TestThirdPartyModule builds a connector that lives in a module of its own, and runs it as a user would.
func TestThirdPartyModule(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "words")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".")
	build.Dir = "../../../plugins/example-words"
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := filepath.Join(dir, "text")
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "Line %d, with five words.\n", i)
	}
	if err := os.WriteFile(text, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	config := map[string]any{"path": text}
	sdktest.Conform(t, sdktest.Case{Argv: []string{bin}, Source: &sdktest.SourceCase{Config: config, Records: 4000}})

	run := sdktest.Start(t, bin).Source(config, sdktest.SourceOptions{})
	got := run.WaitCaughtUp()
	if string(got[3].Key) != "words" || string(got[3].Value) != `{"word":"words","line":1}` {
		t.Errorf("%s %s", got[3].Key, got[3].Value)
	}
	run.Stop()
}
