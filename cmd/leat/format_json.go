package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// jsonLines prints a record as a JSON object in one line, which `leat produce --json` reads.
type jsonLines struct{}

func (jsonLines) write(w *bufio.Writer, r *kgo.Record) {
	ms := r.Timestamp.UnixMilli()
	fmt.Fprintf(w, `{"topic":%s,"partition":%d,"offset":%d,"timestamp":%d,"time":"%s"`,
		appendJSONText([]byte(r.Topic)), r.Partition, r.Offset, ms, time.UnixMilli(ms).UTC().Format(timeLayout))
	writeJSONField(w, "key", r.Key)
	writeJSONField(w, "value", r.Value)
	for i, h := range r.Headers {
		fmt.Fprint(w, []string{`,"headers":[`, ","}[min(i, 1)])
		fmt.Fprintf(w, `{"key":%s`, appendJSONText([]byte(h.Key)))
		writeJSONField(w, "value", h.Value)
		fmt.Fprint(w, "}")
	}
	if len(r.Headers) > 0 {
		fmt.Fprint(w, "]")
	}
	fmt.Fprint(w, "}\n")
}

// writeJSONField writes bytes as a field by a name, or, if they are not text, by a name that says that they are base64. What
// stands in the line as an object or a list does so byte for byte: encoding/json would take its spaces away.
func writeJSONField(w *bufio.Writer, name string, b []byte) {
	switch {
	case b == nil:
		fmt.Fprintf(w, `,"%s":null`, name)
	case !utf8.Valid(b):
		fmt.Fprintf(w, `,"%s_base64":"%s"`, name, base64.StdEncoding.EncodeToString(b))
	case isJSONInLine(b):
		fmt.Fprintf(w, `,"%s":%s`, name, b)
	default:
		fmt.Fprintf(w, `,"%s":%s`, name, appendJSONText(b))
	}
}

// isJSONInLine tells whether b is an object or a list that can stand in a line of JSON without losing a byte.
func isJSONInLine(b []byte) bool {
	whole := bytes.HasPrefix(b, []byte("{")) && bytes.HasSuffix(b, []byte("}")) || bytes.HasPrefix(b, []byte("[")) && bytes.HasSuffix(b, []byte("]"))
	return whole && !bytes.ContainsAny(b, "\r\n") && json.Valid(b)
}

// plainJSON leaves <, > and & as they are: no browser reads this.
func plainJSON(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

// appendJSONText is text as a JSON string.
func appendJSONText(text []byte) []byte {
	var out bytes.Buffer
	_ = plainJSON(&out).Encode(string(text)) // neither a string nor a buffer fails
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// jsonRecord is what is read of a line. Keys and values that are JSON objects or lists stand as such, other text as strings,
// what is not text as base64 in the fields that say so.
type jsonRecord struct {
	Topic       string          `json:"topic"`
	Partition   *int32          `json:"partition"`
	Offset      *int64          `json:"offset"`
	Timestamp   *int64          `json:"timestamp"` // ms since 1970
	Time        string          `json:"time"`      // the same for people, not read
	Key         json.RawMessage `json:"key"`
	KeyBase64   []byte          `json:"key_base64"`
	Value       json.RawMessage `json:"value"`
	ValueBase64 []byte          `json:"value_base64"`
	Headers     []jsonHeader    `json:"headers"`
}

type jsonHeader struct {
	Key         string          `json:"key"`
	Value       json.RawMessage `json:"value"`
	ValueBase64 []byte          `json:"value_base64"`
}

// parse gives the record of a line of JSON; Partition is -1 where the line names none.
func (j *jsonRecord) parse() *kgo.Record {
	r := &kgo.Record{Partition: -1}
	if j.Partition != nil {
		r.Partition = *j.Partition
	}
	if j.Timestamp != nil {
		r.Timestamp = time.UnixMilli(*j.Timestamp)
	}
	r.Key = fromJSON(j.Key, j.KeyBase64)
	r.Value = fromJSON(j.Value, j.ValueBase64)
	for _, h := range j.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: fromJSON(h.Value, h.ValueBase64)})
	}
	return r
}

// fromJSON is the opposite of writeJSONField: strings are what they spell, everything else but null is its own text.
func fromJSON(v json.RawMessage, raw []byte) []byte {
	var s string
	switch {
	case raw != nil:
		return raw
	case v == nil || string(v) == "null":
		return nil
	case json.Unmarshal(v, &s) == nil:
		return []byte(s)
	}
	return slices.Clone(v)
}
