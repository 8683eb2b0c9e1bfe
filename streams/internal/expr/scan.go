package expr

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrNotJSON says that a record's value is not one JSON value.
var ErrNotJSON = errors.New("not JSON")

// maxDepth bounds nesting, as encoding/json does.
const maxDepth = 10000

// scanner checks a JSON text and notes the spans of wanted paths, in one pass.
type scanner struct {
	b       []byte
	slots   []Slot
	depth   int
	escaped bool // the string read last has escapes
}

type syntaxError struct {
	at  int
	msg string
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("the value is not JSON: %s at byte %d", e.msg, e.at)
}
func (e *syntaxError) Unwrap() error { return ErrNotJSON }

// scan reads the whole text. n holds what is wanted.
func (s *scanner) scan(n *node) error {
	at, err := s.value(s.space(0), n)
	if err != nil {
		return err
	}
	if at = s.space(at); at < len(s.b) {
		return s.bad(at, "something follows the JSON value")
	}
	return nil
}

func (s *scanner) bad(at int, msg string) error {
	if at >= len(s.b) {
		msg = "the JSON value ends too early"
	}
	return &syntaxError{at, msg}
}

func (s *scanner) space(at int) int {
	for at < len(s.b) && (s.b[at] == ' ' || s.b[at] == '\n' || s.b[at] == '\t' || s.b[at] == '\r') {
		at++
	}
	return at
}

// value reads the value at at and returns what follows. n may be nil: nothing in it is wanted.
func (s *scanner) value(at int, n *node) (end int, err error) {
	if at >= len(s.b) {
		return at, s.bad(at, "")
	}
	kind := Null
	switch c := s.b[at]; {
	case c == '"':
		kind = String
		end, err = s.str(at)
	case c == '{':
		kind = Object
		end, err = s.object(at, n)
	case c == '[':
		kind = List
		end, err = s.list(at)
	case c == '-' || c >= '0' && c <= '9':
		kind, end, err = s.number(at)
	case c == 't':
		kind = True
		end, err = s.word(at, "true")
	case c == 'f':
		kind = False
		end, err = s.word(at, "false")
	case c == 'n':
		end, err = s.word(at, "null")
	default:
		return at, s.bad(at, fmt.Sprintf("%q does not begin a value", c))
	}
	if err == nil && n != nil && n.slot >= 0 {
		s.slots[n.slot] = Slot{Kind: kind, Raw: s.b[at:end]}
	}
	return end, err
}

func (s *scanner) word(at int, w string) (int, error) {
	if len(s.b)-at < len(w) || string(s.b[at:at+len(w)]) != w {
		return at, s.bad(at, "expected "+w)
	}
	return at + len(w), nil
}

// stringStop marks bytes that end the fast way through a string.
var stringStop = func() (t [256]bool) {
	for i := range 0x20 {
		t[i] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

// str reads a string and returns what follows its closing quote.
func (s *scanner) str(at int) (int, error) {
	b := s.b
	s.escaped = false
	for i := at + 1; i < len(b); i++ {
		if !stringStop[b[i]] {
			continue
		}
		switch b[i] {
		case '"':
			return i + 1, nil
		case '\\':
			s.escaped = true
			i++
			if i >= len(b) {
				return i, s.bad(i, "")
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					if i++; i >= len(b) || !isHex(b[i]) {
						return i, s.bad(i, "bad \\u escape")
					}
				}
			default:
				return i, s.bad(i, fmt.Sprintf("bad escape %q", b[i]))
			}
		default:
			return i, s.bad(i, "control character in a string")
		}
	}
	return len(b), s.bad(len(b), "")
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func isDigit(b []byte, at int) bool { return at < len(b) && b[at] >= '0' && b[at] <= '9' }

func (s *scanner) number(at int) (Kind, int, error) {
	b, kind := s.b, Int
	if b[at] == '-' {
		at++
	}
	switch {
	case !isDigit(b, at):
		return kind, at, s.bad(at, "expected a digit")
	case b[at] == '0':
		at++
	default:
		for isDigit(b, at) {
			at++
		}
	}
	if at < len(b) && b[at] == '.' {
		kind = Float
		if at++; !isDigit(b, at) {
			return kind, at, s.bad(at, "expected a digit")
		}
		for isDigit(b, at) {
			at++
		}
	}
	if at < len(b) && (b[at] == 'e' || b[at] == 'E') {
		kind = Float
		if at++; at < len(b) && (b[at] == '+' || b[at] == '-') {
			at++
		}
		if !isDigit(b, at) {
			return kind, at, s.bad(at, "expected a digit")
		}
		for isDigit(b, at) {
			at++
		}
	}
	return kind, at, nil
}

func (s *scanner) list(at int) (int, error) {
	if s.depth++; s.depth > maxDepth {
		return at, s.bad(at, "nested too deep")
	}
	at = s.space(at + 1)
	if at < len(s.b) && s.b[at] == ']' {
		s.depth--
		return at + 1, nil
	}
	for {
		end, err := s.value(at, nil)
		if err != nil {
			return end, err
		}
		if at = s.space(end); at >= len(s.b) {
			return at, s.bad(at, "")
		}
		switch s.b[at] {
		case ',':
			at = s.space(at + 1)
		case ']':
			s.depth--
			return at + 1, nil
		default:
			return at, s.bad(at, "expected , or ]")
		}
	}
}

func (s *scanner) object(at int, n *node) (int, error) {
	if s.depth++; s.depth > maxDepth {
		return at, s.bad(at, "nested too deep")
	}
	at = s.space(at + 1)
	if at < len(s.b) && s.b[at] == '}' {
		s.depth--
		return at + 1, nil
	}
	for {
		if at >= len(s.b) || s.b[at] != '"' {
			return at, s.bad(at, "expected a key")
		}
		end, err := s.str(at)
		if err != nil {
			return end, err
		}
		var child *node
		if n != nil && len(n.children) > 0 {
			if child = n.child(s.b[at:end], s.escaped); child != nil {
				child.clear(s.slots) // of an earlier duplicate of the key
			}
		}
		if at = end; at >= len(s.b) || s.b[at] != ':' {
			if at = s.space(at); at >= len(s.b) || s.b[at] != ':' {
				return at, s.bad(at, "expected :")
			}
		}
		if at++; at < len(s.b) && s.b[at] <= ' ' {
			at = s.space(at)
		}
		if at, err = s.value(at, child); err != nil {
			return at, err
		}
		if at < len(s.b) && s.b[at] <= ' ' {
			at = s.space(at)
		}
		if at >= len(s.b) {
			return at, s.bad(at, "")
		}
		switch s.b[at] {
		case ',':
			if at++; at < len(s.b) && s.b[at] <= ' ' {
				at = s.space(at)
			}
		case '}':
			s.depth--
			return at + 1, nil
		default:
			return at, s.bad(at, "expected , or }")
		}
	}
}

// unquote decodes the string literal raw, as encoding/json does: bad UTF-8 and lone surrogates become U+FFFD.
func unquote(raw []byte) string {
	in := raw[1 : len(raw)-1]
	plain := true
	for _, c := range in {
		if c == '\\' || c >= utf8.RuneSelf {
			plain = false
			break
		}
	}
	if plain {
		return string(in)
	}
	return string(unescape(make([]byte, 0, len(in)), in))
}

func unescape(out, in []byte) []byte {
	for i := 0; i < len(in); {
		switch c := in[i]; {
		case c == '\\' && in[i+1] == 'u':
			r, size := escapedRune(in[i:])
			out = utf8.AppendRune(out, r)
			i += size
		case c == '\\':
			out = append(out, escapes[in[i+1]])
			i += 2
		case c < utf8.RuneSelf:
			out = append(out, c)
			i++
		default:
			r, size := utf8.DecodeRune(in[i:])
			out = utf8.AppendRune(out, r)
			i += size
		}
	}
	return out
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
