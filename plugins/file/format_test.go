package file

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestNumbersAreOnlyWhatComesBackTheSame(t *testing.T) {
	for text, number := range map[string]bool{
		"0": true, "-1": true, "517": true, "9223372036854775807": true, "-9223372036854775808": true, "1.5": true, "-0.25": true, "1.0": true, "1.5e3": true,
		"9223372036854775808": false, "007": false, "-0": false, "+5": false, "1e5": false, ".5": false, "5.": false, "1.": false, "-": false, "1.5e999": false,
		"NA": false, "NaN": false, "0x10": false, " 1": false, "1 ": false, "1_000": false, "--1": false, "1.e5": false, "01.5": false,
	} {
		if isNumber([]byte(text)) != number {
			t.Errorf("%q is a number: %v, want %v", text, !number, number)
		}
	}
}

// units reads data as a file of a format that is there as a whole.
func units(t testing.TB, c SourceConfig, format string, data []byte) (values, bad []string) {
	r := newReader(c, format, 0)
	for len(data) > 0 {
		advance, unit, err := r.split.split(data, true)
		if advance <= 0 || advance > len(data) {
			t.Fatalf("split of %q advances by %d", data, advance)
		}
		data = data[advance:]
		if err == nil && unit == nil {
			continue
		}
		var value []byte
		if err == nil {
			value, err = r.record(unit)
		}
		var reject *errBadUnit
		switch {
		case errors.As(err, &reject):
			bad = append(bad, reject.code)
		case err != nil:
			return values, append(bad, "fatal")
		case value != nil:
			values = append(values, string(value))
		}
	}
	return values, bad
}

var csvConfig = SourceConfig{Delimiter: ",", Infer: true, MaxLine: 1 << 20}

func TestFormats(t *testing.T) {
	for _, c := range []struct{ name, format, in, want string }{
		{"csv", "csv", "a,b,c\r\n1,x,\r\n\r\ntrue,\"a,\"\"b\"\"\nc\",NA\n", `{"a":1,"b":"x","c":null}|{"a":true,"b":"a,\"b\"\nc","c":"NA"}`},
		{"csv names", "csv", "a,,a, b \n1,2,3,4\n", `{"a":1,"column_2":2,"a_3":3,"b":4}`},
		{"csv literal quote", "csv", "a,b\n5\" disk,2\nx\"\"y,3\n", `{"a":"5\" disk","b":2}|{"a":"x\"\"y","b":3}`},
		{"csv control and unicode", "csv", "a\n\"\x01\té\u2028\xff\"\n", "{\"a\":\"\\u0001\\té\u2028\ufffd\"}"},
		{"array", "json-array", " [ {\"a\":[1,\"]\"]} ,\n \"x,\\\"\" , 3,[4] ]\n", `{"a":[1,"]"]}|"x,\""|3|[4]`},
		{"empty array", "json-array", "[]", ""},
		{"lines", "lines", "a\n\nb", "a||b"},
		{"json", "json", "1\n  \n{\"a\":2}", `1|{"a":2}`},
	} {
		values, bad := units(t, csvConfig, c.format, []byte(c.in))
		if got := strings.Join(values, "|"); got != c.want || len(bad) > 0 {
			t.Errorf("%s:\n got %s %v\nwant %s", c.name, got, bad, c.want)
		}
	}
}

// FuzzCSV holds the reader to JSON that means what encoding/csv reads.
func FuzzCSV(f *testing.F) {
	f.Add("a,b\n1,2\n")
	f.Add("a,b\r\n\"x\"\"y\",\"\n\"\r\n")
	f.Add("a\n\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		config := csvConfig
		config.Infer = false
		values, bad := units(t, config, "csv", []byte(text))
		for _, v := range values {
			if !json.Valid([]byte(v)) {
				t.Fatalf("%q gives %q, which is not JSON", text, v)
			}
		}
		if len(bad) > 0 || strings.ContainsAny(text, "\r ") || !json.Valid([]byte(`"`+strings.ToValidUTF8(strings.Map(printable, text), "")+`"`)) {
			return
		}
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil || len(rows) == 0 {
			return // encoding/csv is stricter about quotes inside of fields
		}
		if len(rows)-1 != len(values) {
			t.Fatalf("%q: %d rows, encoding/csv finds %d", text, len(values), len(rows)-1)
		}
		for i, v := range values {
			for _, field := range rows[i+1] {
				want := appendJSONString(nil, []byte(field))
				if !bytes.Contains([]byte(v), want) {
					t.Fatalf("%q: row %d is %s and lacks %s", text, i, v, want)
				}
			}
		}
	})
}

// printable keeps what needs no escape.
func printable(r rune) rune {
	if r < 0x20 || r == '"' || r == '\\' || r == 0xfffd {
		return -1
	}
	return r
}

// FuzzSplit feeds a file in two pieces, as a writer might: what comes out must not depend on where it was cut.
func FuzzSplit(f *testing.F) {
	for _, format := range []string{"csv", "lines", "json", "json-array"} {
		f.Add(format, "a,b\n1,\"2\n3\"\n4,5", uint16(7))
		f.Add(format, "[{\"a\":\"]\\\"\"}, [1] ,2]", uint16(9))
	}
	f.Fuzz(func(t *testing.T, format, text string, at uint16) {
		switch format {
		case "csv", "lines", "json", "json-array":
		default:
			return
		}
		whole, bad := units(t, csvConfig, format, []byte(text))
		if len(bad) > 0 {
			return // how much is rejected may depend on what was there
		}
		r := newReader(csvConfig, format, 0)
		var got []string
		rest := []byte(text)
		cut := min(int(at), len(rest))
		for _, seen := range []int{cut, len(rest)} {
			for {
				consumed := len(text) - len(rest)
				if seen < consumed {
					break
				}
				advance, unit, err := r.split.split(rest[:seen-consumed], seen == len(text))
				if advance == 0 {
					break
				}
				rest = rest[advance:]
				if unit == nil || err != nil {
					continue
				}
				value, err := r.record(unit)
				if err != nil && !errors.As(err, new(*errBadUnit)) {
					return
				}
				if err == nil && value != nil {
					got = append(got, string(value))
				}
			}
			if cut == len(text) {
				break
			}
		}
		if strings.Join(got, "|") != strings.Join(whole, "|") {
			t.Fatalf("%s %q cut at %d: %q, whole: %q", format, text, cut, got, whole)
		}
	})
}
