package sdk

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

type kind int

const (
	kindString kind = iota
	kindSecret
	kindBool
	kindInt
	kindFloat
	kindDuration
	kindSize
	kindList
	kindMap
	kindStruct
)

func (k kind) String() string {
	return [...]string{"text", "a secret text", "true or false", "a whole number", "a number", "a duration such as 10s",
		"a size such as 64MiB", "a list", "a map", "a map of keys"}[k]
}

// shape is a config struct as its tags describe it.
type shape struct {
	fields []*field
	byName map[string]*field
}

// field is one key of a config. elem describes the items of lists and maps, sub the keys of structs.
type field struct {
	name, doc, example, def string
	index                   []int
	kind                    kind
	required, hasDefault    bool
	enum                    []string
	min, max                *float64
	minText, maxText        string
	elem                    *field
	sub                     *shape
}

// shapeOf reads the tags of C, a struct. Mistakes in tags are the author's and panic.
func shapeOf[C any]() *shape { return structShape(reflect.TypeFor[C]()) }

func structShape(t reflect.Type) *shape {
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("sdk: a config must be a struct, not %s", t))
	}
	s := &shape{byName: map[string]*field{}}
	for _, sf := range reflect.VisibleFields(t) {
		tag, ok := sf.Tag.Lookup("cfg")
		if !ok {
			continue
		}
		name, option, _ := strings.Cut(tag, ",")
		if option != "" && option != "required" {
			panic(fmt.Sprintf("sdk: %s.%s: unknown cfg option %q", t, sf.Name, option))
		}
		f := fieldOf(sf.Type, name)
		f.index, f.required = sf.Index, option == "required"
		f.doc, f.example = sf.Tag.Get("doc"), sf.Tag.Get("example")
		f.def, f.hasDefault = sf.Tag.Lookup("default")
		if e := sf.Tag.Get("enum"); e != "" {
			f.enum = strings.Split(e, ",")
		}
		f.min, f.minText = f.bound(sf.Tag.Get("min"))
		f.max, f.maxText = f.bound(sf.Tag.Get("max"))
		s.fields = append(s.fields, f)
		s.byName[name] = f
	}
	return s
}

func fieldOf(t reflect.Type, name string) *field {
	f := &field{name: name}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		f.kind = kindDuration
	case t == reflect.TypeFor[Size]():
		f.kind = kindSize
	case t == reflect.TypeFor[Secret]():
		f.kind = kindSecret
	case t.Kind() == reflect.String:
		f.kind = kindString
	case t.Kind() == reflect.Bool:
		f.kind = kindBool
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		f.kind = kindInt
	case t.Kind() == reflect.Float64 || t.Kind() == reflect.Float32:
		f.kind = kindFloat
	case t.Kind() == reflect.Slice:
		f.kind, f.elem = kindList, fieldOf(t.Elem(), name)
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		f.kind, f.elem = kindMap, fieldOf(t.Elem(), name)
	case t.Kind() == reflect.Struct:
		f.kind, f.sub = kindStruct, structShape(t)
	default:
		panic(fmt.Sprintf("sdk: config key %q: type %s is not supported", name, t))
	}
	return f
}

func (f *field) bound(text string) (*float64, string) {
	if text == "" {
		return nil, ""
	}
	var n float64
	switch f.kind {
	case kindDuration, kindSize:
		parse := parseSize
		if f.kind == kindDuration {
			parse = parseDuration
		}
		v, err := parse(text)
		if err != nil {
			panic(fmt.Sprintf("sdk: config key %q: bound %q: %v", f.name, text, err))
		}
		n = float64(v)
	default:
		if err := json.Unmarshal([]byte(text), &n); err != nil {
			panic(fmt.Sprintf("sdk: config key %q: bound %q: %v", f.name, text, err))
		}
	}
	return &n, text
}

// defaultTree is the default as a user's config would carry it.
func (f *field) defaultTree() any {
	switch f.kind {
	case kindString, kindSecret, kindDuration, kindSize:
		return f.def
	}
	dec := json.NewDecoder(strings.NewReader(f.def))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		panic(fmt.Sprintf("sdk: config key %q: default %q: %v", f.name, f.def, err))
	}
	return v
}

func (s *shape) names() []string {
	names := make([]string, len(s.fields))
	for i, f := range s.fields {
		names[i] = f.name
	}
	return names
}

func (f *field) exampleLine() string {
	switch {
	case f.example != "":
		return fmt.Sprintf("for example: %s: %s", f.name, f.example)
	case len(f.enum) > 0:
		return "one of: " + strings.Join(f.enum, ", ")
	case f.hasDefault && f.def != "":
		return fmt.Sprintf("for example: %s: %s", f.name, f.def)
	}
	return fmt.Sprintf("write %s: and %s", f.name, f.kind)
}

func (f *field) rangeLine() string {
	switch {
	case f.min != nil && f.max != nil:
		return fmt.Sprintf("from %s to %s", f.minText, f.maxText)
	case f.min != nil:
		return "at least " + f.minText
	}
	return "at most " + f.maxText
}
