package main

import (
	"strconv"
	"strings"

	"github.com/leatstream/leat/internal/diag"
)

// property is a configuration by Kafka's name, and where it was written.
type property struct {
	name, value string
	at          diag.Pos
}

// readProperties reads a file in the format of java.util.Properties. Where a name is there twice, the later one counts.
func readProperties(file, src string, d *diag.List) []property {
	var out []property
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(src), "\n")
	for i := 0; i < len(lines); i++ {
		line, at := strings.TrimLeft(lines[i], " \t\f"), diag.Pos{File: file, Line: i + 1}
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for continues(line) {
			line = line[:len(line)-1]
			if i++; i == len(lines) {
				break
			}
			line += strings.TrimLeft(lines[i], " \t\f")
		}
		name, value := splitProperty(line)
		n, nameOK := unescape(name)
		v, valueOK := unescape(value)
		if !nameOK || !valueOK {
			d.Add(diag.Problem{Code: "config.escape", Pos: at, Message: `a \u is not followed by four hexadecimal digits`, Hint: `write \\u for a backslash and a u`})
			continue
		}
		out = append(out, property{n, v, at})
	}
	return out
}

// continues tells whether a line ends in a backslash that is not escaped itself.
func continues(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// splitProperty cuts a line at the first =, : or blank that is not escaped; blanks around it belong to neither side.
func splitProperty(line string) (name, value string) {
	end := len(line)
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' {
			i++
		} else if strings.IndexByte("=: \t\f", line[i]) >= 0 {
			end = i
			break
		}
	}
	value = strings.TrimLeft(line[end:], " \t\f")
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], " \t\f")
	}
	return line[:end], value
}

func unescape(s string) (string, bool) {
	if !strings.Contains(s, `\`) {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			if i+5 > len(s) {
				return "", false
			}
			r, err := strconv.ParseUint(s[i+1:i+5], 16, 16)
			if err != nil {
				return "", false
			}
			b.WriteRune(rune(r))
			i += 4
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), true
}
