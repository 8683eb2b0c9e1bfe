package worker

import (
	"bytes"
	"encoding/json"
	"testing"
)

// slowLookup says the same with encoding/json alone.
func slowLookup(value []byte, path []string) (key []byte, ok bool) {
	if !json.Valid(value) {
		return nil, false
	}
	raw := json.RawMessage(bytes.Trim(value, " \t\r\n"))
	for _, name := range path {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(raw, &members); err != nil {
			return nil, false
		}
		if raw = members[name]; raw == nil {
			return nil, true
		}
	}
	if string(raw) == "null" {
		return nil, true
	}
	if raw[0] != '"' {
		return raw, true
	}
	var s string
	ok = json.Unmarshal(raw, &s) == nil
	return []byte(s), ok
}

func FuzzLookup(f *testing.F) {
	for _, seed := range []string{
		`{"a":{"b":"x"}}`, `{"a":{"b":12.5e3}}`, `{"a":{"b":null}}`, `{"a":null}`, `{"a":{}}`, `{}`, `[]`, `"a"`, `null`, ` { "a" : { "c" : [1,{"b":"}"}] , "b" : [ 1 , 2 ] } } `,
		`{"\u0061":{"b":"\u00e9\n"}}`, `{"a":1,"a":{"b":true}}`, `{"a":{"b":"x"`, `{"a":{"b":"\"}\\"},"z":1}`, "", "{\"a\":{\"b\":\"\xff\"}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		got, err := lookup(value, []string{"a", "b"})
		want, ok := slowLookup(value, []string{"a", "b"})
		if ok != (err == nil) {
			t.Fatalf("%q: %v, encoding/json: %t", value, err, ok)
		}
		if ok && (!bytes.Equal(got, want) || (got == nil) != (want == nil)) {
			t.Fatalf("%q: key %q, encoding/json: %q", value, got, want)
		}
	})
}

func TestLookupAllocatesNothing(t *testing.T) {
	value, path := []byte(`{"n":1,"list":[{"tailnum":2}],"tailnum":"N123","delay":-3}`), []string{"tailnum"}
	if n := testing.AllocsPerRun(100, func() {
		if key, err := lookup(value, path); err != nil || string(key) != "N123" {
			t.Fatal(string(key), err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	value, path := []byte(`{"year":2013,"month":1,"day":1,"dep_time":517,"carrier":"UA","flight":1545,"tailnum":"N14228","origin":"EWR","dest":"IAH"}`), []string{"tailnum"}
	b.SetBytes(int64(len(value)))
	for b.Loop() {
		if _, err := lookup(value, path); err != nil {
			b.Fatal(err)
		}
	}
}
