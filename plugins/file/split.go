package file

import "bytes"

// A splitter cuts what a file holds into units: lines, CSV rows, array elements.
//
// split looks at data, the file from the current position on, and returns how many bytes the next unit takes with its
// line end, and the unit without. advance 0 means that more data is needed; final says that there is no more.
// A nil unit with an advance is skipped. An errBadUnit rejects the advanced bytes and goes on after them.
type splitter interface {
	split(data []byte, final bool) (advance int, unit []byte, err error)
}

// errBadUnit says why some bytes cannot be a unit.
type errBadUnit struct{ code, message string }

func (e *errBadUnit) Error() string { return e.message }

// lineSplitter cuts at line ends, \n or \r\n.
type lineSplitter struct{ skipBlank bool }

func (s lineSplitter) split(data []byte, final bool) (int, []byte, error) {
	advance := bytes.IndexByte(data, '\n') + 1
	if advance == 0 {
		if !final || len(data) == 0 {
			return 0, nil, nil
		}
		advance = len(data)
	}
	line := trimLineEnd(data[:advance])
	if s.skipBlank && len(bytes.TrimSpace(line)) == 0 {
		return advance, nil, nil
	}
	return advance, line, nil
}

func trimLineEnd(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line
}

// csvSplitter cuts at line ends outside of quotes.
type csvSplitter struct{ delimiter byte }

func (s csvSplitter) split(data []byte, final bool) (int, []byte, error) {
	const (
		fieldStart = iota
		plain
		quoted
		quoteInQuoted // the quote's end, or the first of a doubled one
	)
	state := fieldStart
	for i, c := range data {
		switch {
		case state == quoted:
			if c == '"' {
				state = quoteInQuoted
			}
		case c == '\n':
			return s.row(data[:i+1])
		case c == s.delimiter:
			state = fieldStart
		case c == '"' && state != plain:
			state = quoted
		default:
			state = plain
		}
	}
	if !final || len(data) == 0 {
		return 0, nil, nil
	}
	if state == quoted {
		advance, _, _ := lineSplitter{}.split(data, true)
		return advance, nil, &errBadUnit{"file.csv-quote", "a quote is opened and never closed"}
	}
	return s.row(data)
}

func (s csvSplitter) row(b []byte) (int, []byte, error) {
	line := trimLineEnd(b)
	if len(line) == 0 {
		return len(b), nil, nil
	}
	return len(b), line, nil
}

// arraySplitter cuts the elements of one JSON array. opened says that the bracket which opens it is behind.
type arraySplitter struct{ opened bool }

func (s *arraySplitter) split(data []byte, final bool) (int, []byte, error) {
	i := 0
	for i < len(data) && (isSpace(data[i]) || data[i] == ',') {
		i++
	}
	if i == len(data) {
		return i, nil, nil
	}
	if !s.opened {
		if data[i] != '[' {
			return len(data), nil, &errBadUnit{"file.not-array", "the file does not begin with [, as a JSON array does"}
		}
		s.opened = true
		return i + 1, nil, nil
	}
	end := elementEnd(data[i:])
	switch {
	case data[i] == ']':
		return i + 1, nil, nil
	case end > 0:
		return i + end, bytes.TrimSpace(data[i : i+end]), nil
	case final:
		return len(data), nil, &errBadUnit{"file.json-cut", "the array ends in the middle of an element"}
	}
	return 0, nil, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// elementEnd is the length of the JSON value at the start of b, or 0 if it is not whole. It balances brackets and
// strings; whether it is JSON is judged later.
func elementEnd(b []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		c := b[i]
		if quoted {
			switch c {
			case '\\':
				i++
			case '"':
				quoted = false
			}
			continue
		}
		switch c {
		case '"':
			quoted = true
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // the array's own end after a number
			}
			depth--
			if depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return 0
}
