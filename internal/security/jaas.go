package security

import (
	"errors"
	"fmt"
	"strings"
)

// JAAS is a sasl.jaas.config: a login module's class and its options.
type JAAS struct {
	Module  string
	Options map[string]string
}

// ParseJAAS reads `MODULE FLAG KEY="VALUE" …;` as Java does.
func ParseJAAS(s string) (*JAAS, error) {
	words, err := jaasWords(s)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, errors.New("it is not set")
	}
	if len(words) < 3 || words[len(words)-1] != ";" {
		return nil, fmt.Errorf("it is not `MODULE required KEY=\"VALUE\" …;`")
	}
	out := &JAAS{Module: words[0], Options: map[string]string{}}
	switch strings.ToLower(words[1]) {
	case "required", "requisite", "sufficient", "optional":
	default:
		return nil, fmt.Errorf("behind the module stands %q, not required", words[1])
	}
	rest := words[2 : len(words)-1]
	if len(rest)%3 != 0 {
		return nil, fmt.Errorf("its options are not KEY=\"VALUE\"")
	}
	for i := 0; i < len(rest); i += 3 {
		key, value := rest[i], strings.TrimPrefix(rest[i+2], `"`)
		if rest[i+1] != "=" || key == "=" || rest[i+2] == "=" {
			return nil, fmt.Errorf("its options are not KEY=\"VALUE\"")
		}
		if _, twice := out.Options[key]; twice {
			return nil, fmt.Errorf("the option %s is there twice", key)
		}
		out.Options[key] = value
	}
	return out, nil
}

// Users are the options user_NAME="PASSWORD", which brokers read.
func (j *JAAS) Users() map[string]string {
	out := map[string]string{}
	for k, v := range j.Options {
		if name, ok := strings.CutPrefix(k, "user_"); ok && name != "" {
			out[name] = v
		}
	}
	return out
}

// jaasWords splits into words, "=" and ";". A quoted word keeps its first quote, so that "=" in quotes is no sign.
func jaasWords(s string) (words []string, err error) {
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		case '=', ';':
			words = append(words, string(c))
			i++
		case '"':
			word, n, ok := quoted(s[i:])
			if !ok {
				return nil, fmt.Errorf("a quote is not closed")
			}
			words = append(words, `"`+word)
			i += n
		default:
			n := strings.IndexAny(s[i:], " \t\r\n=;\"")
			if n < 0 {
				n = len(s) - i
			}
			words = append(words, s[i:i+n])
			i += n
		}
	}
	return words, nil
}

// quoted reads a quoted word with backslashes, and tells how long it is in s.
func quoted(s string) (word string, n int, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), i + 1, true
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return "", 0, false
}
