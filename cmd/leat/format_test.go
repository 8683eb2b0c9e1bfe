package main

import (
	"bufio"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
	"github.com/twmb/franz-go/pkg/kgo"
)

func printed(t *testing.T, layout string, r *kgo.Record) string {
	t.Helper()
	f, err := parseFormat(layout, "NULL")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	w := bufio.NewWriter(&b)
	f.write(w, r)
	_ = w.Flush()
	return b.String()
}

func TestFormatPrintsEveryField(t *testing.T) {
	r := &kgo.Record{
		Topic: "t", Partition: 2, Offset: 7, LeaderEpoch: 3, Timestamp: time.UnixMilli(1500).UTC(), Key: []byte("k"), Value: []byte("v\"é"),
		Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("2")}},
	}
	for layout, want := range map[string]string{
		`%t/%p@%o %T %k=%v [%h] 100%%\t\\\n`: "t/2@7 1500 k=v\"é [a=1,b=2] 100%\t\\\n",
		`%d %e %K %S %s`:                     "1970-01-01T00:00:01.500Z 3 1 4 v\"é",
		`%k{hex} %v{base64} %v{json}`:        `6b diLDqQ== "v\"é"`,
		`{%k}`:                               `{k}`,
	} {
		if got := printed(t, layout, r); got != want {
			t.Errorf("%s: %q, want %q", layout, got, want)
		}
	}
	if got := printed(t, "%k %v{hex} %K %S", &kgo.Record{}); got != "NULL NULL -1 -1" {
		t.Errorf("null: %q", got)
	}
}

// TestJSONLinesGiveTheSameRecordsBack reads what was printed.
func TestJSONLinesGiveTheSameRecordsBack(t *testing.T) {
	values := [][]byte{nil, {}, []byte("text"), []byte(`"quoted"`), []byte("42"), []byte("null"), []byte(`{"a": "<b>"}`), []byte("[1, 2]"), []byte("{broken"), {0xff, 0}, []byte("two\nlines"),
		[]byte(`{"a" :  1 }`), []byte("{\n  \"a\": 1\n}"), []byte(`{"a":1} `), []byte("{\"a\":\"\xff\"}"), []byte(`[]`)}
	for _, v := range values {
		r := &kgo.Record{Partition: 1, Timestamp: time.UnixMilli(1500), Key: v, Value: v, Headers: []kgo.RecordHeader{{Key: "h", Value: v}, {Key: "h", Value: []byte("2")}}}
		line := printed(t, "json", r)
		if strings.Count(line, "\n") != 1 {
			t.Errorf("%q is not one line", line)
		}
		got, err := parseJSONLine([]byte(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		want := &kgo.Record{Partition: 1, Timestamp: time.UnixMilli(1500), Key: v, Value: v, Headers: r.Headers}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s gives %+v, want %+v", line, got, want)
		}
		if !json.Valid([]byte(line)) || !utf8.ValidString(line) {
			t.Errorf("%q is not JSON", line)
		}
	}
}

func TestBadFormatsAndPlacesAreUsageErrors(t *testing.T) {
	for _, s := range []string{"%x", "%", `\q`, "%k{hex", "%v{rot13}"} {
		if _, err := parseFormat(s, ""); exitCode(err) != exitUsage {
			t.Errorf("format %q: %v", s, err)
		}
	}
	for _, s := range []string{"middle", "@yesterday", "@-soon", "+x", "", "@-1dd", "@-d", "@--1h", "@1700000000" /* seconds */, "@2026"} {
		if _, err := parseTarget("-o", s); exitCode(err) != exitUsage {
			t.Errorf("place %q: %v", s, err)
		}
	}
	for s, want := range map[string]admin.Target{
		"start": {Kind: admin.ToStart}, "end": {Kind: admin.ToEnd}, "5": {Kind: admin.ToOffset, N: 5}, "+5": {Kind: admin.ToShift, N: 5},
		"-5": {Kind: admin.ToShift, N: -5}, "@1767225600000": {Kind: admin.ToTime, At: time.UnixMilli(1767225600000)}, "@0": {Kind: admin.ToTime, At: time.UnixMilli(0)},
		"@1970-01-01 00:01": {Kind: admin.ToTime, At: time.UnixMilli(60000)}, "@1970-01-01T00:01": {Kind: admin.ToTime, At: time.UnixMilli(60000)}, "@1970-01-02": {Kind: admin.ToTime, At: time.UnixMilli(86400000)},
	} {
		if got, err := parseTarget("-o", s); err != nil || got.Kind != want.Kind || got.N != want.N || !got.At.Equal(want.At) {
			t.Errorf("place %q: %v %v, want %v", s, got, err, want)
		}
	}
}

func TestDaysAgo(t *testing.T) {
	for s, want := range map[string]time.Duration{"7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "90m": 90 * time.Minute, "0d": 0} {
		if got, ok := parseAgo(s); !ok || got != want {
			t.Errorf("%s: %v %t", s, got, ok)
		}
	}
}

// TestTablesShowWhatATerminalWouldObey: anybody may name a group.
func TestTablesShowWhatATerminalWouldObey(t *testing.T) {
	var b strings.Builder
	groups := table{head: []string{"GROUP"}, rows: [][]string{{"a\x1b[31mb\nc"}, {"\xff"}, {`é "x"`}}}
	if err := groups.print(&b); err != nil {
		t.Fatal(err)
	}
	if want := "GROUP\n" + `a\x1b[31mb\nc` + "\n" + `\xff` + "\n" + `é "x"` + "\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func TestRangesAreTwoPlaces(t *testing.T) {
	for s, want := range map[string][2]string{
		"5:10": {"5", "10"}, "@100000000010:@100000000020": {"@100000000010", "@100000000020"}, "@2026-01-01T10:00:00Z": {"@2026-01-01T10:00:00Z", ""},
		"@2026-01-01T10:00:00Z:end": {"@2026-01-01T10:00:00Z", "end"}, "-5:end": {"-5", "end"},
	} {
		c := &consumer{consumeFlags: &consumeFlags{offset: s}}
		start, until, err := c.places()
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		wantStart, _ := parseTarget("", want[0])
		if start != wantStart || c.bounded != (want[1] != "") {
			t.Errorf("%s starts at %v and ends: %v", s, start, c.bounded)
		}
		if wantUntil, _ := parseTarget("", want[1]); c.bounded && until != wantUntil {
			t.Errorf("%s ends at %v", s, until)
		}
	}
}
