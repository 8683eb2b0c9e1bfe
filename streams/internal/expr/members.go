package expr

import "fmt"

// Members is a JSON object taken apart into its members, which stay as they stand.
type Members struct {
	names []string
	raw   [][]byte
}

// Read takes value apart. It must be a JSON object.
func (m *Members) Read(value []byte) error {
	m.names, m.raw = m.names[:0], m.raw[:0]
	s := scanner{b: value}
	at := s.space(0)
	if at < len(value) && value[at] != '{' {
		if _, err := s.value(at, nil); err != nil {
			return err
		}
		return fmt.Errorf("it is %.40s", value)
	}
	end, err := s.value(at, nil)
	if err != nil {
		return err
	}
	if s.space(end) < len(value) {
		return s.bad(s.space(end), "something follows the JSON value")
	}
	for at = s.space(at + 1); value[at] != '}'; { // checked above: no step can fail
		start := at
		at, _ = s.str(at)
		m.names = append(m.names, unquote(value[start:at]))
		at = s.space(s.space(at) + 1)
		at, _ = s.value(at, nil)
		m.raw = append(m.raw, value[start:at])
		if at = s.space(at); value[at] == ',' {
			at = s.space(at + 1)
		}
	}
	return nil
}

// Len is the number of members.
func (m *Members) Len() int { return len(m.names) }

// At is the name and the whole text of a member: "name": value.
func (m *Members) At(i int) (name string, raw []byte) { return m.names[i], m.raw[i] }
