package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// jsonLines prints a record as a JSON object in one line, which `leat produce --json` reads.
type jsonLines struct{}

func (jsonLines) write(w *bufio.Writer, r *kgo.Record) {
	_ = plainJSON(w).Encode(toJSON(r)) // every field is made so that it can be written; w keeps its error until Flush
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

// jsonRecord is a record as JSON. Keys and values that are JSON objects or lists stand as such, other text as strings,
// what is not text as base64 in the fields that say so.
type jsonRecord struct {
	Topic       string          `json:"topic,omitempty"`
	Partition   *int32          `json:"partition,omitempty"`
	Offset      *int64          `json:"offset,omitempty"`
	Timestamp   *int64          `json:"timestamp,omitempty"` // ms since 1970
	Time        string          `json:"time,omitempty"`      // the same for people, not read
	Key         json.RawMessage `json:"key,omitempty"`
	KeyBase64   []byte          `json:"key_base64,omitempty"`
	Value       json.RawMessage `json:"value,omitempty"`
	ValueBase64 []byte          `json:"value_base64,omitempty"`
	Headers     []jsonHeader    `json:"headers,omitempty"`
}

type jsonHeader struct {
	Key         string          `json:"key"`
	Value       json.RawMessage `json:"value,omitempty"`
	ValueBase64 []byte          `json:"value_base64,omitempty"`
}

func toJSON(r *kgo.Record) jsonRecord {
	ms := r.Timestamp.UnixMilli()
	out := jsonRecord{Topic: r.Topic, Partition: &r.Partition, Offset: &r.Offset, Timestamp: &ms, Time: time.UnixMilli(ms).UTC().Format(timeLayout)}
	out.Key, out.KeyBase64 = jsonBytes(r.Key)
	out.Value, out.ValueBase64 = jsonBytes(r.Value)
	for _, h := range r.Headers {
		value, raw := jsonBytes(h.Value)
		out.Headers = append(out.Headers, jsonHeader{h.Key, value, raw})
	}
	return out
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

// fromJSON is the opposite of jsonBytes: strings are what they spell, everything else but null is its own text.
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

// jsonBytes gives bytes a form inside JSON: null, an object or list as it stands, text as a string, else raw for base64.
func jsonBytes(b []byte) (v json.RawMessage, raw []byte) {
	switch {
	case b == nil:
		return json.RawMessage("null"), nil
	case (bytes.HasPrefix(b, []byte("{")) || bytes.HasPrefix(b, []byte("["))) && json.Valid(b):
		return b, nil
	case utf8.Valid(b):
		return appendJSONText(b), nil
	}
	return nil, b
}
