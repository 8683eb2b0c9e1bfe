package worker

import (
	"bytes"
	"encoding/json"
)

// member gives the value of a member of object, which is valid JSON: the last of that name, as encoding/json does. nil:
// there is none.
func member(object []byte, name string) (found []byte) {
	at := space(object, 1)
	for object[at] != '}' {
		end := valueEnd(object, at)
		key := object[at:end]
		at = space(object, space(object, end)+1) // behind the colon
		end = valueEnd(object, at)
		if named(key, name) {
			found = object[at:end]
		}
		if at = space(object, end); object[at] == ',' {
			at = space(object, at+1)
		}
	}
	return found
}

// named tells whether a key in quotes is name.
func named(key []byte, name string) bool {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key[1:len(key)-1]) == name
	}
	var s string
	return json.Unmarshal(key, &s) == nil && s == name
}

// space is where the white space at i ends.
func space(b []byte, i int) int {
	for b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r' {
		i++
	}
	return i
}

// valueEnd is where the value that begins at i ends.
func valueEnd(b []byte, i int) int {
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
	default:
		for i < len(b) && bytes.IndexByte([]byte(",]} \n\t\r"), b[i]) < 0 {
			i++
		}
		return i
	}
	for depth := 0; ; i++ {
		switch b[i] {
		case '"':
			i = stringEnd(b, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

func stringEnd(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}
