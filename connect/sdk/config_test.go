package sdk

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

type nested struct {
	CA     string `cfg:"ca,required" doc:"File."`
	Verify bool   `cfg:"verify" default:"true" doc:"Check."`
}

type everything struct {
	Text   string            `cfg:"text,required" doc:"Some text." example:"hello"`
	Mode   string            `cfg:"mode" default:"fast" enum:"fast,slow" doc:"How."`
	Count  int               `cfg:"count" default:"3" min:"1" max:"10" doc:"How many."`
	Ratio  float64           `cfg:"ratio" doc:"Share."`
	Wait   time.Duration     `cfg:"wait" default:"1s" max:"7d" doc:"Pause."`
	Max    Size              `cfg:"max" default:"1MiB" doc:"Bound."`
	Token  Secret            `cfg:"token" doc:"Secret."`
	Names  []string          `cfg:"names" default:"[\"a\"]" doc:"Names."`
	Labels map[string]int64  `cfg:"labels" doc:"Labels."`
	TLS    nested            `cfg:"tls" doc:"TLS."`
	Many   []map[string]bool `cfg:"many" doc:"Deep."`
}

func decodeAll(text string) (everything, []Problem) {
	var c everything
	problems := shapeOf[everything]().decode([]byte(text), &c)
	return c, problems
}

func TestConfigIsFilled(t *testing.T) {
	c, problems := decodeAll(`{"text":"x","count":7,"ratio":2,"wait":"2d","max":"64 KiB","token":"s","labels":{"a":9007199254740993},
		"tls":{"ca":"f"},"many":[{"b":true}],"mode":null}`)
	if len(problems) != 0 {
		t.Fatal(problems)
	}
	if c.Text != "x" || c.Mode != "fast" || c.Count != 7 || c.Ratio != 2 || c.Wait != 48*time.Hour || c.Max != 65536 || c.Token.Reveal() != "s" ||
		len(c.Names) != 1 || c.Labels["a"] != 9007199254740993 || c.TLS.CA != "f" || !c.TLS.Verify || !c.Many[0]["b"] {
		t.Errorf("%+v", c)
	}
	if shown := fmt.Sprintf("%v %+v %#v %s", c, c, c, c.Token); strings.Contains(shown, `"s"`) || strings.Contains(shown, ":s ") {
		t.Errorf("the secret is shown: %s", shown)
	}
}

func TestConfigProblemsAreAllSaidWithPathAndHint(t *testing.T) {
	for config, want := range map[string]string{
		``:                      `config.required text, config.required tls.ca`,
		`{"text":"x","tls":{}}`: `config.required tls.ca`,
		`{"text":1,"tls":[]}`:   `config.type text, config.type tls`,
		`{"text":"x","tls":{"ca":"f"},"mode":"fats","count":11,"wait":"8d"}`:                      `config.enum mode, config.range count, config.range wait`,
		`{"text":"x","tls":{"ca":"f","cb":1},"Count":1}`:                                          `config.unknown-key Count, config.unknown-key tls.cb`,
		`{"text":"x","tls":{"ca":"f"},"count":"3","ratio":"1","wait":"soon","max":"-1"}`:          `config.type count, config.type ratio, config.type wait, config.type max`,
		`{"text":"x","tls":{"ca":"f"},"many":[{"a":true},{"b":1}],"labels":{"z":1.5},"names":{}}`: `config.type names, config.type labels.z, config.type many[1].b`,
		`{"text":"x","tls":{"ca":"f"},"count":1e99,"max":"99999999999TiB"}`:                       `config.type count, config.type max`,
		`[]`:              `config.type `,
		`{"text":"x"} {}`: `config.type `,
		`{"text":`:        `config.type `,
		`null`:            `config.required text, config.required tls.ca`,
	} {
		_, problems := decodeAll(config)
		var got []string
		for _, p := range problems {
			got = append(got, p.Code+" "+p.Path)
			if p.Message == "" || p.Hint == "" {
				t.Errorf("%s: no message or hint: %+v", config, p)
			}
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s:\n got %s\nwant %s", config, strings.Join(got, ", "), want)
		}
	}
	_, problems := decodeAll(`{"text":"x","tls":{"ca":"f"},"mode":"fats","token":[1]}`)
	if !strings.Contains(problems[0].Hint, "did you mean fast?") || strings.Contains(fmt.Sprint(problems), "[1]") {
		t.Errorf("%+v", problems)
	}
}

func TestSchemaAndDocs(t *testing.T) {
	var schema struct {
		Required   []string                  `json:"required"`
		Properties map[string]map[string]any `json:"properties"`
	}
	if err := json.Unmarshal(shapeOf[everything]().schema(), &schema); err != nil {
		t.Fatal(err)
	}
	p := schema.Properties
	if fmt.Sprint(schema.Required) != "[text]" || p["token"]["writeOnly"] != true || p["count"]["maximum"] != 10.0 || p["count"]["default"] != 3.0 ||
		fmt.Sprint(p["mode"]["enum"]) != "[fast slow]" || p["tls"]["type"] != "object" || p["names"]["type"] != "array" {
		t.Errorf("%v", schema)
	}
	docs := Connector{Name: "x", Summary: "Sums.", Source: Source[everything]{Summary: "Reads."}}.Docs()
	for _, want := range []string{"| `text` | text | (required) | Some text. |", "| `mode` | fast, slow | fast |", "| `tls.ca` |", "from 1 to 10"} {
		if !strings.Contains(docs, want) {
			t.Errorf("%q is missing in\n%s", want, docs)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(`{"text":"x","tls":{"ca":"f"},"wait":"2d","many":[{"a":true}],"labels":{"z":1}}`)
	f.Add(`{"max":"9223372036854775807TiB","count":-9223372036854775808}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, problems := decodeAll(text)
		if len(problems) == 0 && (c.Text == "" && !strings.Contains(text, `"text"`) || c.Count < 1 || c.Count > 10) {
			t.Fatalf("%s passes as %+v", text, c)
		}
	})
}
