package stdout

import (
	"strings"
	"testing"

	"github.com/leatstream/leat/connect/sdk"
	"github.com/leatstream/leat/connect/sdk/sdktest"
)

func TestMain(m *testing.M) { sdktest.Main(m, Connector()) }

func TestLinesReachTheUsersStdout(t *testing.T) {
	records := []sdk.Record{
		{Key: []byte("k"), Value: []byte(`{"a":1}`), Timestamp: 5, Headers: []sdk.Header{{Key: "h", Value: []byte("v")}}},
		{Value: []byte("text"), Timestamp: 5},
		{Key: []byte("gone"), Timestamp: 5},
	}
	for format, want := range map[string]string{
		"value":     "{\"a\":1}\ntext\n\n",
		"key-value": "k\t{\"a\":1}\n\ttext\ngone\t\n",
		"json": `{"topic":"t","partition":3,"offset":7,"timestamp":5,"key":"k","headers":{"h":"v"},"value":{"a":1}}` + "\n" +
			`{"topic":"t","partition":3,"offset":8,"timestamp":5,"key":null,"value":"text"}` + "\n" +
			`{"topic":"t","partition":3,"offset":9,"timestamp":5,"key":"gone","value":null}` + "\n",
	} {
		t.Run(format, func(t *testing.T) {
			p := sdktest.Start(t)
			run := p.Sink(map[string]any{"format": format})
			run.Assign("t", 3)
			run.Send("t", 3, 7, records...)
			run.WaitAck("t", 3, 10)
			if got := p.WaitStdout(func(s string) bool { return len(s) >= len(want) }); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			run.Stop()
		})
	}
}

func TestLargeOutputIsWhole(t *testing.T) {
	p := sdktest.Start(t)
	run := p.Sink(map[string]any{})
	run.Assign("t", 0)
	line := strings.Repeat("x", 1000)
	for base := int64(0); base < 2000; base += 100 {
		values := make([]string, 100)
		for i := range values {
			values[i] = line
		}
		run.Send("t", 0, base, sdktest.Values(values...)...)
	}
	run.WaitAck("t", 0, 2000)
	if got := p.WaitStdout(func(s string) bool { return len(s) >= 2000*1001 }); strings.Count(got, line+"\n") != 2000 {
		t.Error("lines are missing")
	}
	run.Stop()
}

func TestConformance(t *testing.T) {
	sdktest.Conform(t, sdktest.Case{Sink: &sdktest.SinkCase{Config: func(*testing.T) any { return map[string]any{} }}})
}
