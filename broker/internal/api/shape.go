package api

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// shape is how a value is laid out in a flexible version (KIP-482). It is walked before kmsg decodes a request: kmsg
// believes counts of tagged fields, so that few bytes keep it busy for minutes.
type shape struct {
	kind   shapeKind
	size   int     // fixed
	elem   *shape  // list, optional
	fields []shape // structure
}

type shapeKind int8

const (
	fixed     shapeKind = iota
	counted             // length and bytes
	list                // count and elements
	structure           // fields and tagged fields
	optional            // a byte below zero, or one and a structure
)

// shapeOf finds out what kmsg writes for a version of req: the fields that change its bytes, in their order.
func shapeOf(req kmsg.Request, version int16) shape {
	return structOf(reflect.TypeOf(req).Elem(), func(v reflect.Value) []byte {
		r, ok := v.Addr().Interface().(kmsg.Request)
		if !ok {
			panic(fmt.Sprintf("%s is no request", v.Type()))
		}
		r.SetVersion(version)
		return r.AppendTo(nil)
	})
}

func structOf(t reflect.Type, encode func(reflect.Value) []byte) shape {
	out := shape{kind: structure}
	plain := encode(fresh(t))
	for i := range t.NumField() {
		if name := t.Field(i).Name; name == "Version" || name == "UnknownTags" {
			continue
		}
		v := fresh(t)
		set := func(value reflect.Value) []byte {
			with := fresh(t)
			with.Field(i).Set(value)
			return encode(with)
		}
		if other, s := differs(v.Field(i), set); !bytes.Equal(set(other), plain) {
			out.fields = append(out.fields, s())
		}
	}
	return out
}

func fresh(t reflect.Type) reflect.Value {
	p := reflect.New(t)
	if d, ok := p.Interface().(interface{ Default() }); ok {
		d.Default()
	}
	return p.Elem()
}

// differs returns a value that is not v, and what shape its type has.
func differs(v reflect.Value, encode func(reflect.Value) []byte) (other reflect.Value, s func() shape) {
	t := v.Type()
	other = reflect.New(t).Elem()
	is := func(s shape) func() shape { return func() shape { return s } }
	switch t.Kind() {
	case reflect.Bool:
		other.SetBool(!v.Bool())
		return other, is(shape{size: 1})
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		other.SetInt(v.Int() ^ 1)
		return other, is(shape{size: int(t.Size())})
	case reflect.Float64:
		other.SetFloat(v.Float() + 1)
		return other, is(shape{size: 8})
	case reflect.Array:
		other.Index(0).SetUint(1)
		return other, is(shape{size: t.Len()})
	case reflect.String:
		other.SetString(v.String() + "x")
		return other, is(shape{kind: counted})
	case reflect.Pointer:
		other.Set(reflect.New(t.Elem()))
		if t.Elem().Kind() == reflect.String {
			other.Elem().SetString("x")
			return other, is(shape{kind: counted})
		}
		return other, func() shape {
			s := structOf(t.Elem(), func(e reflect.Value) []byte { return encode(e.Addr()) })
			return shape{kind: optional, elem: &s}
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			other.SetBytes([]byte("x"))
			return other, is(shape{kind: counted})
		}
		one := func(e reflect.Value) reflect.Value { return reflect.Append(reflect.New(t).Elem(), e) }
		if t.Elem().Kind() == reflect.Struct {
			return one(fresh(t.Elem())), func() shape {
				s := structOf(t.Elem(), func(e reflect.Value) []byte { return encode(one(e)) })
				return shape{kind: list, elem: &s}
			}
		}
		_, elem := differs(reflect.New(t.Elem()).Elem(), nil)
		s := elem()
		return one(reflect.New(t.Elem()).Elem()), is(shape{kind: list, elem: &s})
	default:
		panic(fmt.Sprintf("a field of type %s", t))
	}
}

// walk passes over a value, and marks r bad where its counts are more than what is there.
func (s *shape) walk(r *reader) {
	switch s.kind {
	case fixed:
		r.take(s.size)
	case counted:
		r.take(max(r.uvarint()-1, 0))
	case list:
		for range r.array(1) {
			if s.elem.walk(r); r.bad {
				return
			}
		}
	case structure:
		for i := range s.fields {
			if s.fields[i].walk(r); r.bad {
				return
			}
		}
		r.tags(nil)
	case optional:
		if r.i8() >= 0 && !r.bad {
			s.elem.walk(r)
		}
	}
}
