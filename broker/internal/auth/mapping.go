package auth

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// NameRules make a principal's name of a certificate's subject (ssl.principal.mapping.rules).
type NameRules []nameRule

type nameRule struct {
	pattern     *regexp.Regexp // nil: DEFAULT, the subject as it is
	replacement string
	fold        func(string) string // nil: as it is
}

// The grammar of rules: DEFAULT, or RULE:pattern/replacement/ with L or U behind it. A slash in a part has a backslash.
var ruleSyntax = regexp.MustCompile(`^\s*(?:(DEFAULT)|RULE:((?:\\.|[^\\/])*)/((?:\\.|[^\\/])*)/([LU]?))\s*(?:,\s*|$)`)

// ParseNameRules reads rules with commas between them. Without any, no subject has a name.
func ParseNameRules(s string) (NameRules, error) {
	var out NameRules
	for rest := strings.TrimSpace(s); rest != ""; {
		m := ruleSyntax.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("%q is neither DEFAULT nor RULE:pattern/replacement/ with L or U behind it", rest)
		}
		rest = rest[len(m[0]):]
		if m[1] != "" {
			out = append(out, nameRule{})
			continue
		}
		pattern, err := regexp.Compile(`^(?:` + m[2] + `)$`)
		if err != nil {
			return nil, fmt.Errorf("the pattern %q: %w", m[2], err)
		}
		if n := pattern.NumSubexp(); n == 0 && groupReference.MatchString(m[3]) {
			return nil, fmt.Errorf("the replacement %q wants a group, and the pattern %q has none", m[3], m[2])
		}
		fold := map[string]func(string) string{"L": strings.ToLower, "U": strings.ToUpper}[m[4]]
		out = append(out, nameRule{pattern, expansion(m[3], pattern.NumSubexp()), fold})
	}
	return out, nil
}

var groupReference = regexp.MustCompile(`(?:^|[^\\])\$[1-9]`)

var backReference = regexp.MustCompile(`\\(.)|\$(\d+)|\$`)

// expansion writes Java's $1 as Go's ${1}. A number beyond the groups loses digits until it is one, else stands for itself.
func expansion(java string, groups int) string {
	return backReference.ReplaceAllStringFunc(java, func(s string) string {
		if rest, ok := strings.CutPrefix(s, `\`); ok {
			return strings.ReplaceAll(rest, "$", "$$")
		}
		digits := s[1:]
		for n := len(digits); n > 0; n-- {
			if g, err := strconv.Atoi(digits[:n]); err == nil && g <= groups && (groups > 0 || g == 0) {
				return "${" + digits[:n] + "}" + digits[n:]
			}
		}
		return "$$" + digits
	})
}

// errNoRule says that no rule fits a subject.
var errNoRule = errors.New("no rule of ssl.principal.mapping.rules fits")

// Name is what the first rule that fits the whole subject makes of it.
func (r NameRules) Name(subject string) (string, error) {
	for _, rule := range r {
		if rule.pattern == nil {
			return subject, nil
		}
		m := rule.pattern.FindStringSubmatchIndex(subject)
		if m == nil {
			continue
		}
		name := string(rule.pattern.ExpandString(nil, rule.replacement, subject, m))
		if rule.fold != nil {
			name = rule.fold(name)
		}
		return name, nil
	}
	return "", fmt.Errorf("%w the subject %s", errNoRule, subject)
}

// subjectKeywords are the types of attributes that RFC 2253 has names for; others are written by number.
var subjectKeywords = map[string]string{
	"2.5.4.3": "CN", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.6": "C", "2.5.4.9": "STREET",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

type attributeSET []struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// Subject is the subject of a certificate as Java's X500Principal.getName writes it (RFC 2253), which rules are made for.
func Subject(cert *x509.Certificate) (string, error) {
	var names []attributeSET
	if rest, err := asn1.Unmarshal(cert.RawSubject, &names); err != nil || len(rest) > 0 {
		return "", fmt.Errorf("the subject of the certificate cannot be read: %w", err)
	}
	var parts []string
	for i := len(names) - 1; i >= 0; i-- {
		var same []string
		for _, a := range names[i] {
			same = append(same, attribute(a.Type, a.Value))
		}
		parts = append(parts, strings.Join(same, "+"))
	}
	return strings.Join(parts, ","), nil
}

func attribute(t asn1.ObjectIdentifier, v asn1.RawValue) string {
	var text string
	keyword := subjectKeywords[t.String()]
	if _, err := asn1.Unmarshal(v.FullBytes, &text); err != nil || keyword == "" {
		if keyword == "" {
			keyword = t.String()
		}
		return keyword + "=#" + hex.EncodeToString(v.FullBytes)
	}
	var b strings.Builder
	first, last := len(text)-len(strings.TrimLeft(text, " \r")), len(strings.TrimRight(text, " \r"))
	for i, r := range text {
		if i < first || i >= last || strings.ContainsRune(`,=+<>#;"\`, r) {
			b.WriteByte('\\')
		}
		if r == 0 {
			b.WriteString(`\00`)
			continue
		}
		b.WriteRune(r)
	}
	return keyword + "=" + b.String()
}
