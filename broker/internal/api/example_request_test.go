package api_test

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// example fills a request with one element in every list, so that damage reaches every field.
func example(req kmsg.Request) kmsg.Request {
	fill(reflect.ValueOf(req).Elem())
	if r, ok := req.(*kmsg.OffsetCommitRequest); ok {
		r.Generation = 7 // commits that are taken would grow the log's file, which in memory costs its size
	}
	return req
}

func fill(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		name := v.Type().Field(i).Name
		if !f.CanSet() || name == "Version" || name == "UnknownTags" {
			continue
		}
		switch f.Kind() {
		case reflect.Slice:
			if f.Type().Elem().Kind() == reflect.Uint8 {
				f.SetBytes([]byte("bytes"))
				continue
			}
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
			element(f.Index(0))
		case reflect.String:
			f.SetString("t")
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
			element(f.Elem())
		case reflect.Struct:
			element(f)
		}
	}
}

func element(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if m := v.Addr().MethodByName("Default"); m.IsValid() {
			m.Call(nil)
		}
		fill(v)
	case reflect.String:
		v.SetString("t")
	}
}
