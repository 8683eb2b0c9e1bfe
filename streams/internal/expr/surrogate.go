package expr

import (
	"unicode/utf16"
	"unicode/utf8"
)

// escapedRune reads the \uXXXX at the start of b, and a second one if the two are a surrogate pair.
func escapedRune(b []byte) (rune, int) {
	const one = 6
	r := hex4(b)
	if !utf16.IsSurrogate(r) {
		return r, one
	}
	if len(b) >= 2*one && b[one] == '\\' && b[one+1] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(b[one:])); pair != utf8.RuneError {
			return pair, 2 * one
		}
	}
	return utf8.RuneError, one
}

func hex4(b []byte) rune {
	var r rune
	for _, c := range b[2:6] {
		switch {
		case c <= '9':
			c -= '0'
		case c <= 'F':
			c -= 'A' - 10
		default:
			c -= 'a' - 10
		}
		r = r<<4 | rune(c)
	}
	return r
}
