package main

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordFormat prints records.
type recordFormat interface {
	// write prints r. A write that fails shows at the next Flush.
	write(w *bufio.Writer, r *kgo.Record)
}

// template is a -f format: literal text and fields by turns.
type template struct {
	parts []templatePart
	null  string // what stands for a key or value that is null
}

type templatePart struct {
	text   string
	verb   byte // 0: none
	encode func([]byte) []byte
}

const (
	formatVerbs = "tpoTdkvshKSe%"
	formatHelp  = `%t topic, %p partition, %o offset, %T ms since 1970, %d date and time, %k key, %v value (or %s), %h headers, %K and %S length of key and value, %e leader epoch, \n \t \\; {hex}, {base64} or {json} behind %k or %v; json: a JSON object a line`
	formatHint  = "%%t %%p %%o %%T %%d %%k %%v %%h %%K %%S %%e, and %%%% for a percent sign"
)

// parseFormat reads a -f format. null is what it prints where a key or value is null.
func parseFormat(s, null string) (recordFormat, error) {
	if s == "json" {
		return jsonLines{}, nil
	}
	t := template{null: null}
	var text strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			c, ok := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', '\\': '\\', '0': 0}[s[i]]
			if !ok {
				return nil, usageError(`-f: \%c is not known, write \\ for a backslash`, s[i])
			}
			text.WriteByte(c)
		case s[i] == '%':
			i++
			if i == len(s) || !strings.ContainsRune(formatVerbs, rune(s[i])) {
				return nil, usageError("-f: %q ends in a field that is not known\n  hint: "+formatHint, s[:min(i+1, len(s))])
			}
			encode, length, err := parseModifier(s[i], s[i+1:])
			if err != nil {
				return nil, err
			}
			t.parts = append(t.parts, templatePart{text.String(), s[i], encode})
			i += length
			text.Reset()
		default:
			text.WriteByte(s[i])
		}
	}
	t.parts = append(t.parts, templatePart{text: text.String()})
	return t, nil
}

// parseModifier reads what stands in braces behind a key or a value, and gives its length.
func parseModifier(verb byte, rest string) (encode func([]byte) []byte, length int, err error) {
	if !strings.HasPrefix(rest, "{") || !strings.ContainsRune("kvs", rune(verb)) {
		return nil, 0, nil
	}
	name, _, closed := strings.Cut(rest[1:], "}")
	encode, ok := map[string]func([]byte) []byte{
		"hex":    func(b []byte) []byte { return hex.AppendEncode(nil, b) },
		"base64": func(b []byte) []byte { return base64.StdEncoding.AppendEncode(nil, b) },
		"json":   appendJSONText,
	}[name]
	if !closed || !ok {
		return nil, 0, usageError("-f: %%%c{%s is not known\n  hint: {hex}, {base64} or {json}; for a brace itself write %%%c and the brace behind a space", verb, name, verb)
	}
	return encode, len(name) + 2, nil
}

func (t template) write(w *bufio.Writer, r *kgo.Record) {
	for _, p := range t.parts {
		_, _ = w.WriteString(p.text)
		_, _ = w.Write(t.field(p, r))
	}
}

func (t template) field(p templatePart, r *kgo.Record) []byte {
	switch p.verb {
	case 't':
		return []byte(r.Topic)
	case 'p':
		return strconv.AppendInt(nil, int64(r.Partition), 10)
	case 'o':
		return strconv.AppendInt(nil, r.Offset, 10)
	case 'T':
		return strconv.AppendInt(nil, r.Timestamp.UnixMilli(), 10)
	case 'd':
		return []byte(r.Timestamp.Format(timeLayout))
	case 'e':
		return strconv.AppendInt(nil, int64(r.LeaderEpoch), 10)
	case 'k':
		return t.bytes(p, r.Key)
	case 'v', 's':
		return t.bytes(p, r.Value)
	case 'K':
		return length(r.Key)
	case 'S':
		return length(r.Value)
	case 'h':
		return headerWords(r.Headers)
	case '%':
		return []byte{'%'}
	}
	return nil
}

const timeLayout = "2006-01-02T15:04:05.000Z07:00"

func (t template) bytes(p templatePart, b []byte) []byte {
	switch {
	case b == nil:
		return []byte(t.null)
	case p.encode != nil:
		return p.encode(b)
	}
	return b
}

// length is that of a key or a value in bytes, -1 if it is null.
func length(b []byte) []byte {
	if b == nil {
		return []byte("-1")
	}
	return strconv.AppendInt(nil, int64(len(b)), 10)
}

func headerWords(headers []kgo.RecordHeader) []byte {
	var out []byte
	for i, h := range headers {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, h.Key...), '='), h.Value...)
	}
	return out
}
