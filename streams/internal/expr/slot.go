package expr

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
)

// Kind is what a JSON value is.
type Kind uint8

// The kinds. Missing is no value at all.
const (
	Missing Kind = iota
	Null
	True
	False
	Int
	Float
	String
	List
	Object
)

// Slot is the value at one path of a record: its kind and its bytes in the record.
type Slot struct {
	Kind Kind
	Raw  []byte
}

// Value decodes the slot: nil, bool, int64, float64, string, []any or map[string]any. Integers beyond int64 are float64.
func (s *Slot) Value() any {
	switch s.Kind {
	case True:
		return true
	case False:
		return false
	case Int:
		if n, err := strconv.ParseInt(string(s.Raw), 10, 64); err == nil {
			return n
		}
		return s.float()
	case Float:
		return s.float()
	case String:
		return unquote(s.Raw)
	case List, Object:
		v, _ := decode(s.Raw) // scanned before: it is JSON
		return v
	default:
		return nil
	}
}

// float is the number, infinite where float64 cannot hold it.
func (s *Slot) float() float64 {
	f, _ := strconv.ParseFloat(string(s.Raw), 64)
	return f
}

// decode is encoding/json with integers as int64.
func decode(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, ErrNotJSON
	}
	return numbers(v), nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
		f, _ := strconv.ParseFloat(string(v), 64)
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

// node is a place in the tree of wanted paths.
type node struct {
	name     string
	slot     int // -1: not wanted itself
	children []*node
}

// clear empties the slots below n.
func (n *node) clear(slots []Slot) {
	for _, c := range n.children {
		if c.slot >= 0 {
			slots[c.slot] = Slot{}
		}
		c.clear(slots)
	}
}

// child finds the child for a key literal, quotes included.
func (n *node) child(literal []byte, escaped bool) *node {
	key := literal[1 : len(literal)-1]
	if escaped {
		key = []byte(unquote(literal))
	}
	for _, c := range n.children {
		if len(key) == len(c.name) && string(key) == c.name {
			return c
		}
	}
	return nil
}

// Paths collects the paths that a run of steps reads in the same value.
type Paths struct {
	root  node
	count int
}

// NewPaths wants nothing yet.
func NewPaths() *Paths { return &Paths{root: node{slot: -1}} }

// want returns the slot of a path, from the value's root on.
func (p *Paths) want(path []string) int {
	n := &p.root
	for _, name := range path {
		next := (*node)(nil)
		for _, c := range n.children {
			if c.name == name {
				next = c
			}
		}
		if next == nil {
			next = &node{name: name, slot: -1}
			n.children = append(n.children, next)
		}
		n = next
	}
	if n.slot < 0 {
		n.slot = p.count
		p.count++
	}
	return n.slot
}

// View is one record's value, scanned when something in it is first asked for.
type View struct {
	paths   *Paths
	slots   []Slot
	json    []byte
	scanned bool
	err     error
	whole   any // the value decoded, once an expression has needed it
	decoded bool
}

// Reset makes v a view of value for the steps that collected paths.
func (v *View) Reset(value []byte, paths *Paths) {
	v.paths, v.json, v.scanned, v.err = paths, value, false, nil
	v.whole, v.decoded = nil, false
}

// Whole is the value decoded. Scan comes before. Nobody may change it.
func (v *View) Whole() (any, error) {
	if v.decoded {
		return v.whole, nil
	}
	whole, err := decode(v.json)
	v.whole, v.decoded = whole, err == nil
	return whole, err
}

// Is tells whether v is a view for these paths.
func (v *View) Is(paths *Paths) bool { return v.paths == paths }

// JSON is the value's text.
func (v *View) JSON() []byte { return v.json }

// Scan checks that the value is JSON and fills the slots, once.
func (v *View) Scan() error {
	if v.scanned {
		return v.err
	}
	v.scanned = true
	if cap(v.slots) < v.paths.count {
		v.slots = make([]Slot, v.paths.count)
	}
	v.slots = v.slots[:v.paths.count]
	clear(v.slots)
	s := scanner{b: v.json, slots: v.slots}
	v.err = s.scan(&v.paths.root)
	return v.err
}

// Slot is the value at a wanted path. Scan comes before.
func (v *View) Slot(i int) *Slot { return &v.slots[i] }
