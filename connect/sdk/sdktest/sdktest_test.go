package sdktest_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/leatstream/leat/connect/sdk"
	"github.com/leatstream/leat/connect/sdk/sdktest"
)

// floodConfig makes records as fast as they are taken.
type floodConfig struct {
	Bytes int `cfg:"bytes" default:"200" doc:"Of each value."`
	Stall int `cfg:"stall" default:"0" doc:"After so many records, wait for the end without hearing a stop."`
}

func flood(ctx context.Context, c floodConfig, t *sdk.Task) error {
	claim, err := sdk.OpenClaim[int](t, "flood")
	if err != nil {
		return err
	}
	r := sdk.Record{Key: []byte("0123456789abcdef"), Value: make([]byte, c.Bytes), Timestamp: 1}
	for n := 1; ; n++ {
		if err := claim.Emit(r, n); err != nil {
			return err
		}
		if n == c.Stall {
			<-ctx.Done()
		}
	}
}

func TestMain(m *testing.M) {
	sdktest.Main(m, sdk.Connector{
		Name: "flood", Version: "0", Summary: "Floods.", Source: sdk.Source[floodConfig]{Summary: "Records without end.", Run: flood},
	})
}

func TestRubbishOnStdoutAndStderrHarmsNothing(t *testing.T) {
	// The shell prints before the plugin does; go-plugin's host reads the first line as the handshake.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := sdktest.Start(t, "/bin/sh", "-c", `echo rubbish >&2; printf '\377\n' >&2; exec "$0"`, self)
	run := p.Source(map[string]any{"stall": 10}, sdktest.SourceOptions{})
	run.WaitRecords(10)
	run.Stop()
}

func TestConformanceWithoutAnEnd(t *testing.T) {
	sdktest.Conform(t, sdktest.Case{Source: &sdktest.SourceCase{Config: map[string]any{}}})
}

// BenchmarkSource measures records of 216 bytes through a real process, acknowledged one batch at a time.
func BenchmarkSource(b *testing.B) {
	p := sdktest.Start(b)
	run := p.Source(map[string]any{}, sdktest.SourceOptions{Count: true})
	run.WaitCount(1)
	b.ResetTimer()
	begin, from := time.Now(), run.Counted()
	for b.Loop() {
		run.WaitCount(run.Counted() + 1000)
	}
	b.ReportMetric(float64(run.Counted()-from)/time.Since(begin).Seconds(), "records/s")
}
