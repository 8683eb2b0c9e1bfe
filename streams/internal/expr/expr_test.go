package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
)

func mustCompile(t testing.TB, src string, want Want, paths *Paths) *Program {
	t.Helper()
	p, err := compile(src, want, paths)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return p
}

func view(value string, paths *Paths) *View {
	v := &View{}
	v.Reset([]byte(value), paths)
	return v
}

type headers map[string]any

func (h headers) Map() map[string]any { return h }

var meta = &Meta{
	Key: []byte("k1"), Headers: headers{"h": "x"},
	Timestamp: 1_700_000_000_000, Topic: "t", Partition: 3, Offset: 42,
}

const order = `{"id":12345678,"status":"PAID","amount":199.5,"big":9007199254740993,"ok":true,"none":null,
	"customer":{"id":7,"name":"Zo\u00eb \"Z\"","tags":["a","b"]},"items":[{"sku":"x","qty":2},{"sku":"y","qty":3}],"é":1}`

func TestExpressions(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`value.id`, `12345678`},
		{`string(value.id)`, `"12345678"`},
		{`value.id % 2`, `0`},
		{`value.big`, `9007199254740993`},
		{`value.big + 1`, `9007199254740994`},
		{`value.amount * 2`, `399`},
		{`value.customer.name`, `"Zo\u00eb \"Z\""`},
		{`value.customer.name + "!"`, `"Zoë \"Z\"!"`},
		{`value["customer"]["id"]`, `7`},
		{`value["é"]`, `1`},
		{`value.missing`, `null`},
		{`value.missing.deeper.still`, `null`},
		{`value.missing?.x ?? 9`, `9`},
		{`value.customer.tags`, `["a","b"]`},
		{`value.customer.tags[0]`, `"a"`},
		{`len(value.customer.tags)`, `2`},
		{`any(value.items, .qty > 2)`, `true`},
		{`map(value.items, .sku)`, `["x","y"]`},
		{`sum(value.items, .qty)`, `5`},
		{`keys(value.customer) | sort()`, `["id","name","tags"]`},
		{`len(value)`, `9`},
		{`key + "-" + topic + "-" + string(partition) + "-" + string(offset) + headers.h`, `"k1-t-3-42x"`},
		{`ts`, `"2023-11-14T22:13:20Z"`},
		{`now() == ts`, `true`},
		{`toJSON(value.customer)`, `"{\"id\":7,\"name\":\"Zoë \\\"Z\\\"\",\"tags\":[\"a\",\"b\"]}"`},
		{`omit(value.customer, "tags", "name")`, `{"id":7}`},
		{`pick(value.customer, "id")`, `{"id":7}`},
		{`merge(pick(value.customer, "id"), {"x": value.ok})`, `{"id":7,"x":true}`},
		{`duration("1d") > duration("23h")`, `true`},
		{`keys({"b": 1, "a": 2, "d": 3, "c": 4})`, `["a","b","c","d"]`},
		{`fromJSON("{\"a\":9007199254740993}").a`, `9007199254740993`},
		{`string(1234567.0)`, `"1234567"`},
		{`"héllo"[0:2]`, `"hé"`},
		{`indexOf("héllo", "l")`, `2`},
		{`uniq([1, 1.0, "1", [1], [1]])`, `[1,"1",[1]]`},
		{`groupBy(value.items, .sku).x[0].qty`, `2`},
		{`ts - duration("1h")`, `"2023-11-14T21:13:20Z"`},
		{`headers.nope == nil`, `true`},
		{`"<&>"`, `"<&>"`},
		{`value.none == nil and value.missing == nil`, `true`},
		{`if value.ok { 1 } else { 2 }`, `1`},
	} {
		paths := NewPaths()
		p := mustCompile(t, c.src, Any, paths)
		got, err := NewEvaluator().AppendJSON(nil, p, view(order, paths), meta)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s (%v), want %s", c.src, got, err, c.want)
		}
	}
}

func TestRecordsThatCannotBeEvaluated(t *testing.T) {
	for _, c := range []struct{ src, value, says string }{
		{`value.missing > 5`, order, "missing or null"},
		{`value.status > 5`, order, "string > int"},
		{`value.status`, order, "gives string"},
		{`value.ok`, `{"ok":1}`, "gives int"},
		{`value.x == 1`, `{"x":1`, "ends too early"},
		{`value.x == 1`, `not json`, "not JSON"},
		{`value.x == 1`, ``, "ends too early"},
		{`value.x == 1`, `{"x":1} 2`, "something follows"},
		{`all(1..500, all(1..500, # > 0))`, `{}`, "budget"},
		{`len(reduce(1..26, #acc + #acc, "x")) > 0`, `{}`, "too much data"},
		{`len(toJSON(reduce(1..18, [#acc, #acc], "x"))) > 0`, `{}`, "too much data"},
		{`let a = repeat("x", 5000); let b = replace(a, "", a); len(b) > 0`, `{}`, "too long a text"},
		{`all(value.l, all(value.l, all(value.l, all(value.l, all(value.l, # > 0)))))`, `{"l":[1,1,1,1,1,1,1,1,1,1,1]}`, "too many steps"},
	} {
		paths := NewPaths()
		p := mustCompile(t, c.src, Bool, paths)
		_, err := NewEvaluator().Test(p, view(c.value, paths), meta)
		if err == nil || !strings.Contains(fmt.Sprintf("%v", err), c.says) && !errors.Is(err, ErrNotJSON) {
			t.Errorf("%s on %s: %v", c.src, c.value, err)
		}
	}
}

func TestMistakesAreShownAtTheirPlace(t *testing.T) {
	for _, c := range []struct {
		src  string
		col  int
		says string
	}{
		{`value.a >`, 17, "ends too early"},
		{`vlaue.a > 1`, 9, `did you mean "value"`},
		{`amount > 1`, 9, `value.amount`},
		{`1 + "a" > 2`, 11, "mismatched types"},
		{`value.a + 1`, 0, ""},
		{`1 + 2`, 9, "must be true or false"},
		{`upprr(value.a) == "X"`, 9, `did you mean "upper"`},
		{`value.a = 3`, 17, "`==` compares"},
		{strings.Repeat("value.a + ", 1700) + "1 > 0", 9, "at most 16384"},
	} {
		var d diag.List
		n := yaml.Parse("p.yaml", []byte("filter: "+c.src+"\n"), &d)[0].Get("filter")
		p := Compile(n, Bool, NewPaths(), &d)
		if c.says == "" {
			if p == nil {
				t.Errorf("%s: %v", c.src, d.Err())
			}
			continue
		}
		if p != nil || d.Len() != 1 {
			t.Errorf("%s: %v", c.src, d.Err())
			continue
		}
		got := d.Problems()[0]
		if got.Pos.Line != 1 || got.Pos.Col != c.col || !strings.Contains(got.Message+got.Hint, c.says) {
			t.Errorf("%s: at %d: %s (%s), want %d: %s", c.src, got.Pos.Col, got.Message, got.Hint, c.col, c.says)
		}
	}
}

// TestFastTestsAgreeWithTheVM: for every operator, constant and value, deciding without the VM gives what the VM gives.
func TestFastTestsAgreeWithTheVM(t *testing.T) {
	values := []string{
		`0`, `1`, `-1`, `60`, `60.0`, `59.5`, `-0.0`, `59.999999999999999999`, `1e2`, `9223372036854775807`, `9223372036854775808`, `-9223372036854775809`, `1e400`,
		`"PAID"`, `"paid"`, `""`, `"P\u0041ID"`, `"Zoë"`, "\"\xff\"", `true`, `false`, `null`, `[]`, `{}`, `"60"`,
	}
	constants := []string{`60`, `-1`, `0`, `60.0`, `59.5`, `"PAID"`, `""`, `"Zoë"`, `true`, `false`, `nil`}
	fast := 0
	for _, op := range []string{"==", "!=", "<", "<=", ">", ">="} {
		for _, constant := range constants {
			for _, shape := range []string{"value.x %s %s", "not (value.x %s %s)", "value.x %s %s and value.y == 1", "value.y != 1 or value.x %s %s"} {
				paths := NewPaths()
				src := fmt.Sprintf(shape, op, constant)
				p, err := compile(src, Bool, paths)
				if err != nil {
					continue // such as value.x > true
				}
				if p.test != nil {
					fast++
				}
				slow := *p
				slow.test = nil
				for _, value := range append(values, "") {
					record := `{"x":` + value + `,"y":1}`
					if value == "" {
						record = `{"y":1}`
					}
					e := NewEvaluator()
					got, gotErr := e.Test(p, view(record, paths), meta)
					want, wantErr := e.Test(&slow, view(record, paths), meta)
					if got != want || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
						t.Errorf("%s on %s: %v %v, the VM says %v %v", src, record, got, gotErr, want, wantErr)
					}
				}
			}
		}
	}
	if fast < 100 {
		t.Errorf("only %d of the conditions were decided without the VM", fast)
	}
}

// FuzzScan compares the scanner with encoding/json: what is accepted, and what each path means.
func FuzzScan(f *testing.F) {
	for _, s := range []string{order, `{"a":{"b":1},"a":{"c":2}}`, `{"a":1,"\u0061":[1,2]}`, `[]`, `1e5`, `"\ud83d\ude00 \ud83d x"`, `{"a":{"b":"\n\\"}} `, "{\"a\":\"\xff\"}", `-0`, `01`, `{"a":tru}`, `[1,]`, `{"":{"":1}}`} {
		f.Add([]byte(s))
	}
	paths := NewPaths()
	wanted := [][]string{{"a"}, {"a", "b"}, {"a", "b", "c"}, {"a", "c"}, {""}, {"", ""}, {"id"}, {"customer", "name"}}
	for _, w := range wanted {
		paths.want(w)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v := View{}
		v.Reset(raw, paths)
		err := v.Scan()
		if (err == nil) != json.Valid(raw) {
			t.Fatalf("%q: %v, encoding/json says %v", raw, err, json.Valid(raw))
		}
		if err != nil {
			return
		}
		whole, err := decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		for i, path := range wanted {
			want := whole
			there := true
			for _, name := range path {
				m, ok := want.(map[string]any)
				if want, there = m[name]; !ok || !there {
					want, there = nil, false
					break
				}
			}
			got := v.Slot(i)
			if (got.Kind != Missing) != there || !reflect.DeepEqual(got.Value(), want) {
				t.Fatalf("%q: %v is %v (%d), want %v", raw, path, got.Value(), got.Kind, want)
			}
		}
	})
}

func TestScanningAllocatesNothing(t *testing.T) {
	paths := NewPaths()
	p := mustCompile(t, `value.status == "PAID" and value.amount > 100`, Bool, paths)
	e, v, raw := NewEvaluator(), &View{}, []byte(order)
	if got := testing.AllocsPerRun(100, func() {
		v.Reset(raw, paths)
		if ok, err := e.Test(p, v, meta); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}); got != 0 {
		t.Errorf("%v allocations a record", got)
	}
}

func TestNowIsTheRecordsTime(t *testing.T) {
	paths := NewPaths()
	p := mustCompile(t, `now()`, Any, paths)
	got, err := NewEvaluator().Value(p, view(`{}`, paths), meta)
	if at, ok := got.(time.Time); err != nil || !ok || at.UnixMilli() != meta.Timestamp {
		t.Error(got, err)
	}
}
