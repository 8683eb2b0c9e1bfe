package main

import (
	"bufio"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordFormat is a -f format: literal text and fields by turns.
type recordFormat []formatPart

type formatPart struct {
	text string
	verb byte // 0: none
}

const formatVerbs = "tpoTkvh%"

// parseFormat reads a -f format.
func parseFormat(s string) (recordFormat, error) {
	var parts recordFormat
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
				return nil, usageError("-f: %q ends in a field that is not known\n  hint: %%t %%p %%o %%T %%k %%v %%h, and %%%% for a percent sign", s[:min(i+1, len(s))])
			}
			parts = append(parts, formatPart{text.String(), s[i]})
			text.Reset()
		default:
			text.WriteByte(s[i])
		}
	}
	return append(parts, formatPart{text.String(), 0}), nil
}

// write prints r. A write that fails shows at the next Flush.
func (f recordFormat) write(w *bufio.Writer, r *kgo.Record) {
	for _, p := range f {
		_, _ = w.WriteString(p.text)
		var field []byte
		switch p.verb {
		case 't':
			field = []byte(r.Topic)
		case 'p':
			field = strconv.AppendInt(nil, int64(r.Partition), 10)
		case 'o':
			field = strconv.AppendInt(nil, r.Offset, 10)
		case 'T':
			field = strconv.AppendInt(nil, r.Timestamp.UnixMilli(), 10)
		case 'k':
			field = r.Key
		case 'v':
			field = r.Value
		case 'h':
			for i, h := range r.Headers {
				if i > 0 {
					field = append(field, ',')
				}
				field = append(append(append(field, h.Key...), '='), h.Value...)
			}
		case '%':
			field = []byte{'%'}
		}
		_, _ = w.Write(field)
	}
}
