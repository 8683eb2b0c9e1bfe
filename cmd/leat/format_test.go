package main

import (
	"bufio"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestFormatPrintsEveryField(t *testing.T) {
	r := &kgo.Record{
		Topic: "t", Partition: 2, Offset: 7, Timestamp: time.UnixMilli(1500), Key: []byte("k"), Value: []byte("v"),
		Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("2")}},
	}
	f, err := parseFormat(`%t/%p@%o %T %k=%v [%h] 100%%\t\\\n`)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	w := bufio.NewWriter(&b)
	f.write(w, r)
	_ = w.Flush()
	if want := "t/2@7 1500 k=v [a=1,b=2] 100%\t\\\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func TestBadFormatsAndOffsetsAreUsageErrors(t *testing.T) {
	for _, s := range []string{"%x", "%", `\q`} {
		if _, err := parseFormat(s); exitCode(err) != exitUsage {
			t.Errorf("format %q: %v", s, err)
		}
	}
	for _, s := range []string{"middle", "@yesterday", "+x", ""} {
		if _, err := parseOffset(s); exitCode(err) != exitUsage {
			t.Errorf("offset %q: %v", s, err)
		}
	}
	for s, want := range map[string]kgo.Offset{
		"start": kgo.NewOffset().AtStart(), "end": kgo.NewOffset().AtEnd(), "5": kgo.NewOffset().At(5),
		"+5": kgo.NewOffset().AtStart().Relative(5), "-5": kgo.NewOffset().AtEnd().Relative(-5),
		"@10": kgo.NewOffset().AfterMilli(10), "@1970-01-02": kgo.NewOffset().AfterMilli(86400000),
	} {
		if got, err := parseOffset(s); err != nil || got != want {
			t.Errorf("offset %q: %v %v, want %v", s, got, err, want)
		}
	}
}
