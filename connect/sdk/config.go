package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/internal/diag"
)

// Problem is one mistake in a config.
type Problem struct {
	Path    string // "format", "tls.ca", "headers[2].name"
	Code    string // "config.unknown-key", "config.required", "config.type", "config.range", "config.enum", or the connector's own
	Message string
	Hint    string
}

func (p Problem) proto() *proto.Problem {
	return &proto.Problem{Path: p.Path, Code: p.Code, Message: p.Message, Hint: p.Hint}
}

// Secret is a string that no log, schema default or error message shows.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[secret]"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// Reveal is the secret itself.
func (s Secret) Reveal() string { return string(s) }

// Size is a number of bytes, written as 500, "64KiB", "10MB".
type Size int64

type validator interface{ Validate() []Problem }

// decoder fills a config from JSON and collects what is wrong.
type decoder struct{ problems []Problem }

func (d *decoder) add(path, code, hint, format string, args ...any) {
	d.problems = append(d.problems, Problem{Path: path, Code: code, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// decode fills into, a pointer to the shape's struct. Defaults are set first; all mistakes are reported at once.
func (s *shape) decode(config []byte, into any) []Problem {
	var d decoder
	target := reflect.ValueOf(into).Elem()
	tree := map[string]any{}
	if len(bytes.TrimSpace(config)) > 0 {
		dec := json.NewDecoder(bytes.NewReader(config))
		dec.UseNumber()
		err := dec.Decode(&tree)
		if err == nil {
			if _, more := dec.Token(); more != io.EOF {
				err = fmt.Errorf("more than one JSON value")
			}
		}
		if err != nil {
			d.add("", "config.type", "write the config as a map of keys", "the config is not a JSON object: %v", err)
			return d.problems
		}
	}
	d.fields(s, tree, target, "")
	if len(d.problems) == 0 {
		if v, ok := into.(validator); ok {
			d.problems = v.Validate()
		}
	}
	return d.problems
}

func (d *decoder) fields(s *shape, tree map[string]any, target reflect.Value, path string) {
	for key := range sorted(tree) {
		if s.byName[key] == nil {
			hint := "known: " + strings.Join(s.names(), ", ")
			if near := diag.Nearest(key, s.names()); near != "" {
				hint = fmt.Sprintf("did you mean %s? (%s)", near, hint)
			}
			d.add(join(path, key), "config.unknown-key", hint, "there is no key %q", key)
		}
	}
	for _, f := range s.fields {
		raw, given := tree[f.name]
		at := join(path, f.name)
		dst := target.FieldByIndex(f.index)
		switch {
		case given && raw != nil:
			d.value(f, raw, dst, at)
		case f.required:
			d.add(at, "config.required", f.exampleLine(), "%s is missing: %s", f.name, f.doc)
		case f.hasDefault:
			d.value(f, f.defaultTree(), dst, at)
		case f.sub != nil && f.kind == kindStruct:
			d.fields(f.sub, nil, dst, at)
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
