package topology

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
	"github.com/leatstream/leat/streams/internal/expr"
	"github.com/leatstream/leat/streams/internal/operator"
)

func compile(t testing.TB, src string, to ...string) *Topology {
	t.Helper()
	var d diag.List
	nodes := yaml.Parse("p.yaml", []byte(src), &d)
	top := Compile(nodes[0], nodes[0].Get("steps").Items, to, &d)
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	return top
}

// flight is a record of 229 bytes, like those of the measurements that docs/performance.md quotes.
const flight = `{"year":13,"month":1,"day":1,"dep_time":517,"sched_dep_time":515,"dep_delay":2,"arr_time":830,"sched_arr_time":819,` +
	`"arr_delay":11,"carrier":"UA","flight":1545,"tailnum":"N14228","origin":"EWR","dest":"IAH","distance":1400,"x":10}`

func TestTheRecordOfTheBenchmarkHas229Bytes(t *testing.T) {
	if len(flight) != 229 {
		t.Errorf("%d bytes", len(flight))
	}
}

func TestRecordsPassUnchangedOrNotAtAll(t *testing.T) {
	var out []string
	chain := compile(t, "steps:\n  - filter: value.dep_delay >= 2\n  - filter: value.origin == \"EWR\"\n", "a", "b").
		NewChain(func(topic string, r *operator.Record) error {
			if r.Changed {
				t.Error("changed")
			}
			out = append(out, topic+" "+string(r.Value))
			return nil
		}, nil)
	for _, v := range []string{flight, strings.Replace(flight, "EWR", "JFK", 1), strings.Replace(flight, `"dep_delay":2`, `"dep_delay":1`, 1)} {
		if err := chain.Process(&operator.Record{Value: []byte(v)}); err != nil {
			t.Fatal(err)
		}
	}
	if len(out) != 2 || out[0] != "a "+flight || out[1] != "b "+flight {
		t.Errorf("%q", out)
	}
}

func TestLaterStepsSeeWhatEarlierOnesMade(t *testing.T) {
	var got string
	chain := compile(t, `steps:
  - map:
      n: value.flight + 1
      who: value.carrier
  - filter: value.n == 1546 and value.carrier == nil
  - set:
      twice: value.n * 2
      who: upper(value.who) + "!"
  - drop: n
`, "out").NewChain(func(_ string, r *operator.Record) error { got = string(r.Value); return nil }, nil)
	r := &operator.Record{}
	for range 2 {
		r.Value = []byte(flight)
		if err := chain.Process(r); err != nil {
			t.Fatal(err)
		}
		if want := `{"who":"UA!","twice":3092}`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestBadRecordsSayWhereAndWhy(t *testing.T) {
	chain := compile(t, "steps:\n  - filter: value.a > 1\n", "out").NewChain(func(string, *operator.Record) error { return nil }, nil)
	var e *operator.Error
	if err := chain.Process(&operator.Record{Value: []byte(`{"a":"x"}`)}); !errors.As(err, &e) || e.Step != "filter" || e.Expression != "value.a > 1" || e.Pos.Line != 2 {
		t.Errorf("%v", err)
	}
	if err := chain.Process(&operator.Record{Value: []byte(`plain text`)}); !errors.As(err, &e) || !errors.Is(err, expr.ErrNotJSON) {
		t.Errorf("%v", err)
	}
}

func TestEveryMistakeAtOnce(t *testing.T) {
	var d diag.List
	nodes := yaml.Parse("p.yaml", []byte(`steps:
  - filtr: value.a > 1
  - filter: vlaue.a > 1
  - map: {}
  - branch:
      - {when: value.a > 1, to: x}
  - drop: a
`), &d)
	if top := Compile(nodes[0], nodes[0].Get("steps").Items, nil, &d); top != nil || d.Len() != 4 {
		t.Errorf("%d problems:\n%v", d.Len(), d.Err())
	}
	for _, want := range []string{`did you mean "filter"`, `did you mean "value"`, "map needs", "no record comes here"} {
		if !strings.Contains(d.Err().Error(), want) {
			t.Errorf("no %q in\n%v", want, d.Err())
		}
	}
}

// TestQuickstartCompiles is a smoke test: the pipelines' own tests run in streamstest.
func TestQuickstartCompiles(t *testing.T) {
	src, err := os.ReadFile("../../../pipelines/quickstart/pipeline.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d diag.List
	found := 0
	for _, n := range yaml.Parse("pipeline.yaml", src, &d) {
		if n.Get("pipeline") == nil {
			continue
		}
		found++
		var to []string
		if n.Get("to") != nil {
			to = []string{n.Get("to").Value}
		}
		Compile(n, n.Get("steps").Items, to, &d)
	}
	if d.Err() != nil || found != 2 {
		t.Errorf("%d pipelines, %v", found, d.Err())
	}
}

const benchmarkFilter = "steps:\n  - filter: value.origin == \"EWR\" and value.dep_delay >= 2 and value.distance > 1000\n"

func TestFilteringAllocatesNothing(t *testing.T) {
	passed := 0
	chain := compile(t, benchmarkFilter, "out").NewChain(func(string, *operator.Record) error { passed++; return nil }, nil)
	r := &operator.Record{}
	value := []byte(flight)
	if got := testing.AllocsPerRun(100, func() {
		r.Value = value
		if err := chain.Process(r); err != nil {
			t.Fatal(err)
		}
	}); got != 0 || passed == 0 {
		t.Errorf("%v allocations a record, %d passed", got, passed)
	}
}

func BenchmarkFilterChain(b *testing.B) {
	chain := compile(b, benchmarkFilter, "out").NewChain(func(string, *operator.Record) error { return nil }, nil)
	r := &operator.Record{}
	value := []byte(flight)
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		r.Value = value
		if err := chain.Process(r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkMapChain(b *testing.B) {
	chain := compile(b, "steps:\n  - map:\n      flight: value.carrier + string(value.flight)\n      delay: value.dep_delay\n      to: value.dest\n", "out").
		NewChain(func(string, *operator.Record) error { return nil }, nil)
	r := &operator.Record{}
	value := []byte(flight)
	b.ReportAllocs()
	for b.Loop() {
		r.Value = value
		if err := chain.Process(r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
