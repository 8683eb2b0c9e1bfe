package sdk

import (
	"encoding/json"
	"fmt"
	"strings"
)

// schema is the JSON Schema (2020-12) of a config.
func (s *shape) schema() []byte {
	root := s.object()
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	b, err := json.Marshal(root)
	if err != nil {
		panic(fmt.Sprintf("sdk: schema: %v", err))
	}
	return b
}

func (s *shape) object() map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, f := range s.fields {
		p := f.property()
		if f.doc != "" {
			p["description"] = f.doc
		}
		if f.example != "" {
			p["examples"] = []any{f.example}
		}
		if f.hasDefault && f.kind != kindSecret {
			p["default"] = f.defaultTree()
		}
		properties[f.name] = p
		if f.required {
			required = append(required, f.name)
		}
	}
	o := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

func (f *field) property() map[string]any {
	p := map[string]any{}
	switch f.kind {
	case kindString:
		p["type"] = "string"
		if len(f.enum) > 0 {
			p["enum"] = f.enum
		}
	case kindSecret:
		p["type"], p["format"], p["writeOnly"] = "string", "password", true
	case kindBool:
		p["type"] = "boolean"
	case kindInt, kindFloat:
		p["type"] = "number"
		if f.kind == kindInt {
			p["type"] = "integer"
		}
		if f.min != nil {
			p["minimum"] = *f.min
		}
		if f.max != nil {
			p["maximum"] = *f.max
		}
	case kindDuration:
		p["type"], p["pattern"] = []string{"string", "number"}, `^(0|[0-9]+d|([0-9.]+(ns|us|µs|ms|s|m|h))+)$`
	case kindSize:
		p["type"], p["pattern"] = []string{"string", "integer"}, `^[0-9]+ ?([KMGT]i?B|B)?$`
	case kindList:
		p["type"], p["items"] = "array", f.elem.property()
	case kindMap:
		p["type"], p["additionalProperties"] = "object", f.elem.property()
	case kindStruct:
		return f.sub.object()
	}
	return p
}

// Docs is the connector's page of documentation, in Markdown.
func (c Connector) Docs() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n", c.Name, c.Summary)
	if c.Source != nil {
		s := c.Source.spec()
		fmt.Fprintf(&b, "\n## Source\n\n%s\n", s.manifest.Summary)
		s.shape.table(&b)
	}
	if c.Sink != nil {
		s := c.Sink.spec()
		fmt.Fprintf(&b, "\n## Sink\n\n%s\n", s.manifest.Summary)
		s.shape.table(&b)
	}
	return b.String()
}

func (s *shape) table(b *strings.Builder) {
	fmt.Fprint(b, "\n| key | is | default | meaning |\n|---|---|---|---|\n")
	s.rows(b, "")
}

func (s *shape) rows(b *strings.Builder, path string) {
	for _, f := range s.fields {
		is, def := f.kind.String(), f.def
		if len(f.enum) > 0 {
			is = strings.Join(f.enum, ", ")
		}
		if f.required {
			def = "(required)"
		}
		if r := f.min != nil || f.max != nil; r {
			is += ", " + f.rangeLine()
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", join(path, f.name), is, def, strings.ReplaceAll(f.doc, "|", "\\|"))
		if f.sub != nil {
			f.sub.rows(b, join(path, f.name))
		}
	}
}
