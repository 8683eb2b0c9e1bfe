package generate

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/connect/sdk/sdktest"
)

func TestMain(m *testing.M) { sdktest.Main(m, Connector()) }

type config map[string]any

const everything = `{"id": {{seq}}, "n": {{int 1 6}}, "f": {{float -1 1}}, "city": "{{pick "Oslo" "Rome"}}", "u": "{{uuid}}", "h": "{{hex 5}}", "b": {{bool}}, "at": "{{now}}"}`

func TestSameSeedSameRecordsAcrossARestart(t *testing.T) {
	c := config{"rate": 0, "count": 2500, "value": `{{seq}} {{int 1 1000}} {{uuid}}`, "key": "{{int 1 3}}"}
	p := sdktest.Start(t)
	run := p.Source(c, sdktest.SourceOptions{})
	all := run.WaitCaughtUp()
	run.Stop()
	if len(all) != 2500 {
		t.Fatalf("%d records", len(all))
	}
	held := p.Source(c, sdktest.SourceOptions{Hold: true, Batches: 2})
	held.Ack(held.WaitBatches(2)[0])
	p.Kill()
	rest := sdktest.Start(t).Source(c, sdktest.SourceOptions{Positions: held.Positions()}).WaitCaughtUp()
	first := sdktest.Decode(t, held.Batches()[0])
	if len(first)+len(rest) != 2500 {
		t.Fatalf("%d and %d records", len(first), len(rest))
	}
	for i, r := range append(first, rest...) {
		if string(r.Value) != string(all[i].Value) || string(r.Key) != string(all[i].Key) {
			t.Fatalf("record %d: %s, at first %s", i, r.Value, all[i].Value)
		}
	}
}

func TestTemplateMakesJSON(t *testing.T) {
	run := sdktest.Start(t).Source(config{"rate": 0, "count": 100, "value": everything}, sdktest.SourceOptions{})
	for _, r := range run.WaitCaughtUp() {
		if !json.Valid(r.Value) || r.Key != nil {
			t.Fatalf("%q %s", r.Key, r.Value)
		}
	}
	run.Stop()
}

func TestRateIsKeptAndStopIsHeard(t *testing.T) {
	p := sdktest.Start(t)
	begin := time.Now()
	run := p.Source(config{"rate": 100, "value": "x"}, sdktest.SourceOptions{})
	run.WaitRecords(31)
	if took := time.Since(begin); took < 200*time.Millisecond {
		t.Errorf("31 records at 100/s took %v", took)
	}
	run.Stop()
}

func TestBadTemplateIsAProblem(t *testing.T) {
	got := sdktest.Start(t).Problems(proto.Role_ROLE_SOURCE, config{"value": "{{nope}}", "rate": -1})
	if len(got) != 1 || got[0].GetCode() != "config.range" {
		t.Errorf("%v", got)
	}
	got = sdktest.Start(t).Problems(proto.Role_ROLE_SOURCE, config{"value": "{{nope}}"})
	if len(got) != 1 || got[0].GetPath() != "value" || !strings.Contains(got[0].GetMessage(), "nope") {
		t.Errorf("%v", got)
	}
}

func TestConformance(t *testing.T) {
	sdktest.Conform(t, sdktest.Case{Source: &sdktest.SourceCase{
		Config: config{"rate": 0, "count": 5000, "value": `{"id": {{seq}}, "n": {{int 1 6}}}`, "key": "{{int 1 9}}"}, Records: 5000,
	}})
}
