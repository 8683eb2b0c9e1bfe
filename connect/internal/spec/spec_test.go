package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
)

func parse(t *testing.T, src string) (*Connector, []diag.Problem) {
	t.Helper()
	var d diag.List
	docs := yaml.Parse("/in/p.yaml", []byte(src), &d)
	if err := d.Err(); err != nil || len(docs) != 1 {
		t.Fatalf("%d documents: %v", len(docs), err)
	}
	return Parse(docs[0], &d), d.Problems()
}

const (
	source = "source: s\nplugin: p\nto: t\n"
	sink   = "sink: s\nplugin: p\nfrom: t\n"
)

func TestMistakesAreShownAtTheirPlace(t *testing.T) {
	for name, c := range map[string]struct{ src, at, code, message, hint string }{
		"unknown key":         {source + "confg: {}\n", "4:1", "yaml.unknown-key", `"confg"`, `did you mean "config"?`},
		"from of a source":    {source + "from: t\n", "4:1", "yaml.unknown-key", `"from"`, "known keys"},
		"both kinds":          {"source: s\nsink: s\nplugin: p\nfrom: t\n", "1:1", "yaml.unknown-key", `"source"`, ""},
		"no plugin":           {"source: s\nto: t\n", "1:1", "yaml.missing-key", `"plugin"`, "plugin:"},
		"no name":             {"source:\nplugin: p\nto: t\n", "1:1", "yaml.missing-key", `"source"`, ""},
		"no to":               {"source: s\nplugin: p\n", "1:1", "yaml.missing-key", `"to"`, ""},
		"no from":             {"sink: s\nplugin: p\n", "1:1", "yaml.missing-key", `"from"`, ""},
		"empty from":          {"sink: s\nplugin: p\nfrom: []\n", "3:7", "connector.topic", "no topic", ""},
		"null in from":        {"sink: s\nplugin: p\nfrom: [a, '']\n", "3:11", "connector.topic", `""`, ""},
		"topic twice":         {"sink: s\nplugin: p\nfrom: [a, a]\n", "3:11", "connector.topic", "twice", ""},
		"bad topic":           {"source: s\nplugin: p\nto: a b\n", "3:5", "connector.topic", `"a b"`, "letters"},
		"bad topic of a map":  {"source: s\nplugin: p\nto: {topic: ..}\n", "3:13", "connector.topic", `".."`, "letters"},
		"bad topic of a sink": {"sink: s\nplugin: p\nfrom: {topic: a/b}\n", "3:15", "connector.topic", `"a/b"`, "letters"},
		"name":                {"source: a b\nplugin: p\nto: t\n", "1:9", "connector.name", `"a b"`, "letters"},
		"plugin is a list":    {"source: s\nplugin: [p]\nto: t\n", "2:9", "yaml.wrong-type", "expected text", ""},
		"config is a list":    {source + "config: [1]\n", "4:9", "connector.config", "a map", ""},
		"config is text":      {source + "config: x\n", "4:9", "connector.config", "a map", ""},
		"on_error":            {source + "on_error: ignore\n", "4:11", "connector.on-error", `"ignore"`, ""},
		"start":               {"sink: s\nplugin: p\nfrom: {topic: t, start: newest}\n", "3:25", "connector.start", `"newest"`, ""},
		"unknown in to":       {"source: s\nplugin: p\nto: {topic: t, kye: value.a}\n", "3:16", "yaml.unknown-key", `"kye"`, `did you mean "key"?`},
		"no topic in to":      {"source: s\nplugin: p\nto: {key: value.a}\n", "3:6", "yaml.missing-key", `"topic"`, ""},
		"key is a call":       {"source: s\nplugin: p\nto: {topic: t, key: lower(value.a)}\n", "3:21", "connector.key", "field of the record", "pipeline"},
		"key without value":   {"source: s\nplugin: p\nto: {topic: t, key: a}\n", "3:21", "connector.key", "field of the record", ""},
		"key of nothing":      {"source: s\nplugin: p\nto: {topic: t, key: value.}\n", "3:21", "connector.key", "field of the record", ""},
		"key with an index":   {"source: s\nplugin: p\nto:\n  topic: t\n  key: value.a[0]\n", "5:8", "connector.key", "field of the record", ""},
		"empty key":           {"source: s\nplugin: p\nto: {topic: t, key: ''}\n", "3:21", "expr.empty", "empty", ""},
		"key is a tag":        {"source: s\nplugin: p\nto: {topic: t, key: !value.a b}\n", "3:21", "expr.yaml-tag", "tag", ""},
		"env":                 {source + "config:\n  a:\n    - x${env:LEAT_NOT_THERE}\n", "6:7", "connector.env", "LEAT_NOT_THERE", "set it"},
		"file":                {source + "config: {a: '${file:/not/there}'}\n", "4:13", "connector.file", "/not/there", "relative"},
		"reference":           {source + "config: {a: '${evn:X}'}\n", "4:13", "connector.reference", "${evn:X}", "${env:NAME}"},
		"dir with a name":     {source + "config: {a: '${dir:x}'}\n", "4:13", "connector.reference", "${dir:x}", "${dir}"},
	} {
		t.Run(name, func(t *testing.T) {
			got, problems := parse(t, c.src)
			if got != nil || len(problems) != 1 {
				t.Fatalf("%+v with %d problems: %v", got, len(problems), problems)
			}
			p := problems[0]
			if p.Pos.String() != "/in/p.yaml:"+c.at || p.Code != c.code || !strings.Contains(p.Message, c.message) || !strings.Contains(p.Hint, c.hint) {
				t.Errorf("%v", p)
			}
		})
	}
}

func TestAllMistakesAreFoundAtOnce(t *testing.T) {
	_, problems := parse(t, "sink: a b\nplugn: p\nfrom: {topic: t, start: x}\non_error: y\nconfig: {a: '${env:LEAT_NOT_THERE}', b: '${c}'}\n")
	if len(problems) != 7 { // name, plugn, plugin, start, on_error, env, reference
		t.Errorf("%d: %v", len(problems), problems)
	}
}

func TestDocuments(t *testing.T) {
	c, problems := parse(t, "source: s\nplugin: p\nto: {topic: t, key: value.customer.id}\non_error: skip\n")
	if c == nil || c.Kind != Source || c.To != "t" || strings.Join(c.Key, "/") != "customer/id" || c.OnError != Skip || string(c.Config) != "{}" || c.DeadLetters() != "s.dead-letter" {
		t.Errorf("%+v %v", c, problems)
	}
	c, problems = parse(t, "sink: s\nplugin: p\nfrom: [a, b]\n")
	if c == nil || c.Kind != Sink || strings.Join(c.From, "/") != "a/b" || c.OnError != DeadLetter || c.Latest {
		t.Errorf("%+v %v", c, problems)
	}
	c, problems = parse(t, "sink: s\nplugin: p\nfrom: {topic: a, start: latest}\non_error: stop\n")
	if c == nil || strings.Join(c.From, "/") != "a" || c.OnError != Stop || !c.Latest {
		t.Errorf("%+v %v", c, problems)
	}
	c, problems = parse(t, sink+"config: {n: 1, f: 1.5, b: true, s: '1', l: [1, a], m: {x: null}}\n")
	if want := `{"b":true,"f":1.5,"l":[1,"a"],"m":{"x":null},"n":1,"s":"1"}`; c == nil || string(c.Config) != want {
		t.Errorf("%+v %v", c, problems)
	}
}

func TestReferences(t *testing.T) {
	t.Setenv("LEAT_TEST_ENV", "from the ${dir} env")
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("from a file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, problems := parse(t, sink+"config: {a: '${dir}/x', b: ['<${env:LEAT_TEST_ENV}>'], c: {d: '${file:"+path+"}'}}\n")
	if c == nil {
		t.Fatal(problems)
	}
	if want := `{"a":"/in/x","b":["\u003cfrom the ${dir} env\u003e"],"c":{"d":"from a file"}}`; string(c.Config) != want {
		t.Errorf("%s", c.Config)
	}
	if got := c.Redact("it said from a file and from the ${dir} env, in /in"); got != "it said *** and ***, in /in" {
		t.Errorf("%s", got)
	}
}

// A secret is found in every form in which plugins and logs are likely to show it, and whole.
func TestRedactFindsOtherForms(t *testing.T) {
	t.Setenv("LEAT_TEST_A", "abcd")
	t.Setenv("LEAT_TEST_B", `abcd"<e>/f g`)
	c, problems := parse(t, sink+"config: {a: '${env:LEAT_TEST_A}', b: '${env:LEAT_TEST_B}'}\n")
	if c == nil {
		t.Fatal(problems)
	}
	for _, s := range []string{
		`abcd"<e>/f g`,
		`abcd\"<e>/f g`,                // %q, and JSON
		`abcd\"\u003ce\u003e/f g`,      // JSON as Go writes it
		`abcd%22%3Ce%3E%2Ff+g`,         // query
		`abcd%22%3Ce%3E%2Ff%20g`,       // path
		"YWJjZCI8ZT4vZiBn", "YWJjZA==", // Basic and the like
	} {
		if got := c.Redact("<" + s + ">"); got != "<***>" {
			t.Errorf("%s: %s", s, got)
		}
	}
}
