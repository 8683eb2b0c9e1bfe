package file

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// csvTable makes JSON objects of rows, with the header's names in the header's order.
type csvTable struct {
	delimiter byte
	infer     bool
	names     [][]byte // `"name":`, ready to write
	fields    [][]byte
	scratch   []byte
}

// header takes the names of the columns. A name that is missing or was there before gets its number.
func (t *csvTable) header(row []byte) error {
	if err := t.cut(row); err != nil {
		return err
	}
	t.names = t.names[:0]
	seen := map[string]bool{}
	for i, f := range t.fields {
		name := strings.TrimSpace(string(f))
		if name == "" || seen[name] {
			name = strings.TrimLeft(fmt.Sprintf("%s_%d", name, i+1), "_")
			if name == strconv.Itoa(i+1) {
				name = "column_" + name
			}
		}
		seen[name] = true
		quoted, err := json.Marshal(name)
		if err != nil {
			return err
		}
		t.names = append(t.names, append(quoted, ':'))
	}
	return nil
}

// object appends the row as a JSON object.
func (t *csvTable) object(dst, row []byte) ([]byte, error) {
	if err := t.cut(row); err != nil {
		return dst, err
	}
	if len(t.fields) != len(t.names) {
		return dst, &errBadUnit{"file.csv-fields", fmt.Sprintf("the row has %d fields, the header %d", len(t.fields), len(t.names))}
	}
	dst = append(dst, '{')
	for i, f := range t.fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, t.names[i]...)
		dst = t.value(dst, f)
	}
	return append(dst, '}'), nil
}

func (t *csvTable) value(dst, f []byte) []byte {
	if t.infer {
		switch {
		case len(f) == 0:
			return append(dst, "null"...)
		case isNumber(f), string(f) == "true", string(f) == "false":
			return append(dst, f...)
		}
	}
	return appendJSONString(dst, f)
}

// cut sets fields to those of row, with quotes resolved (RFC 4180).
func (t *csvTable) cut(row []byte) error {
	t.fields, t.scratch = t.fields[:0], t.scratch[:0]
	if cap(t.scratch) < len(row) {
		t.scratch = make([]byte, 0, 2*len(row)) // fields point into it: it must not grow below
	}
	for i := 0; ; {
		field, next, err := t.field(row, i)
		if err != nil {
			return err
		}
		t.fields = append(t.fields, field)
		if next > len(row) {
			return nil
		}
		i = next
	}
}

// field reads the field at row[i:] and returns where the next one begins; beyond the row if it was the last.
func (t *csvTable) field(row []byte, i int) ([]byte, int, error) {
	if i == len(row) || row[i] != '"' {
		end := i
		for end < len(row) && row[end] != t.delimiter {
			end++
		}
		return row[i:end], end + 1, nil
	}
	start := len(t.scratch)
	for j := i + 1; j < len(row); j++ {
		if row[j] != '"' {
			t.scratch = append(t.scratch, row[j])
			continue
		}
		j++
		switch {
		case j == len(row) || row[j] == t.delimiter:
			return t.scratch[start:], j + 1, nil
		case row[j] == '"':
			t.scratch = append(t.scratch, '"')
		default:
			return nil, 0, &errBadUnit{"file.csv-quote", fmt.Sprintf("field %d goes on after its closing quote", len(t.fields)+1)}
		}
	}
	return nil, 0, &errBadUnit{"file.csv-quote", "a quote is opened and never closed"}
}

// isNumber accepts what JSON writes as a number, in decimal notation and within int64, and comes back the same.
// What only resembles one stays text: 007, +5, 1e5, -0, 12345678901234567890.
func isNumber(f []byte) bool {
	digits := f
	if digits[0] == '-' {
		digits = digits[1:]
	}
	whole := 0
	for whole < len(digits) && digits[whole] >= '0' && digits[whole] <= '9' {
		whole++
	}
	if whole == 0 || whole > 1 && digits[0] == '0' {
		return false
	}
	if whole == len(digits) {
		if len(f) == 2 && string(f) == "-0" {
			return false
		}
		if whole < 19 {
			return true
		}
		_, err := strconv.ParseInt(string(f), 10, 64)
		return err == nil
	}
	if digits[whole] != '.' || whole+1 == len(digits) || digits[whole+1] < '0' || digits[whole+1] > '9' {
		return false
	}
	_, err := strconv.ParseFloat(string(f), 64)
	return err == nil && json.Valid(f)
}

const hexDigits = "0123456789abcdef"

// appendJSONString writes text as a JSON string; bytes that are not UTF-8 become U+FFFD.
func appendJSONString(dst, text []byte) []byte {
	plain := true
	for _, c := range text {
		if c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			plain = false
			break
		}
	}
	if plain {
		dst = append(dst, '"')
		dst = append(dst, text...)
		return append(dst, '"')
	}
	dst = append(dst, '"')
	for _, r := range string(text) {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\r':
			dst = append(dst, '\\', 'r')
		case r == '\t':
			dst = append(dst, '\\', 't')
		case r < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		default:
			dst = append(dst, string(r)...)
		}
	}
	return append(dst, '"')
}
