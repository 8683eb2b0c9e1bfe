package streams_test

import (
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/streams"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestConditionsOnRecords(t *testing.T) {
	r := &kgo.Record{
		Key: []byte("k1"), Value: []byte(`{"amount": 120, "tags": ["a"]}`), Topic: "orders", Partition: 2, Offset: 7, Timestamp: time.UnixMilli(1_700_000_000_000),
		Headers: []kgo.RecordHeader{{Key: "source", Value: []byte("test")}, {Key: "empty"}},
	}
	text := &kgo.Record{Key: []byte("k1"), Value: []byte("not JSON")}
	tombstone := &kgo.Record{Key: []byte("k1")}
	for _, c := range []struct {
		record    *kgo.Record
		condition string
		want      bool
	}{
		{r, `value.amount > 100`, true},
		{r, `value.amount > 120`, false},
		{r, `"a" in value.tags and key == "k1"`, true},
		{r, `headers.source == "test" and headers.empty == nil`, true},
		{r, `topic == "orders" and partition == 2 and offset == 7`, true},
		{r, `ts > date("2023-01-01")`, true},
		{r, `"amount" in value`, true},
		{text, `key == "k1"`, true},
		{tombstone, `value == nil`, true},
		{tombstone, `value.amount == nil`, true},
	} {
		w, err := streams.ParseWhere("--where", c.condition)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // a condition is used again and again
			if got, err := w.Test(c.record); err != nil || got != c.want {
				t.Errorf("%s: %v %v, want %v", c.condition, got, err, c.want)
			}
		}
	}
	w, err := streams.ParseWhere("--where", "value.amount > 100")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Test(text); err == nil {
		t.Error("a value that is not JSON was judged")
	}
}

func TestConditionsThatCannotBeAreShownAtTheirPlace(t *testing.T) {
	_, err := streams.ParseWhere("--where", "vlaue.amount > 100")
	if err == nil || !strings.Contains(err.Error(), `--where:1:1: unknown name "vlaue"`) || !strings.Contains(err.Error(), `did you mean "value"?`) {
		t.Errorf("%v", err)
	}
	if _, err := streams.ParseWhere("--where", ""); err == nil {
		t.Error("nothing is a condition")
	}
}
