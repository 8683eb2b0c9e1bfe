package file

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leatstream/leat/connect/sdk/sdktest"
)

func TestMain(m *testing.M) { sdktest.Main(m, Connector()) }

func TestConformance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in.jsonl")
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "{\"n\":%d}\n", i)
	}
	write(t, path, text.String())
	sdktest.Conform(t, sdktest.Case{
		Source: &sdktest.SourceCase{Config: config{"path": path}, Records: 5000},
		Sink: &sdktest.SinkCase{Config: func(t *testing.T) any {
			return config{"path": filepath.Join(t.TempDir(), "out.jsonl")}
		}},
	})
}
