package spec

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
)

// Kind is what a connector does.
type Kind string

// The kinds.
const (
	Source Kind = "source"
	Sink   Kind = "sink"
)

// OnError says what becomes of a record that cannot be handled.
type OnError string

// What can be said.
const (
	DeadLetter OnError = "dead-letter"
	Skip       OnError = "skip"
	Stop       OnError = "stop"
)

// Connector is one document.
type Connector struct {
	Kind    Kind
	Name    string
	Plugin  string
	Node    *yaml.Node
	Config  []byte   // JSON, references resolved
	Secrets []string // what came from outside the file, in all forms in which it may show
	OnError OnError

	To  string   // source: the topic
	Key []string // source: path of the key in the record's value; nil: the plugin's key

	From   []string // sink: topics
	Latest bool     // sink: begin at the end where the group has no place yet
}

// DeadLetters is the topic for records that cannot be handled.
func (c *Connector) DeadLetters() string { return c.Name + ".dead-letter" }

// Redact takes secrets out of a text that people will see.
func (c *Connector) Redact(s string) string {
	for _, secret := range c.Secrets {
		s = strings.ReplaceAll(s, secret, "***")
	}
	return s
}

// forms are the ways in which plugins and logs are likely to show values: as they are, quoted, in JSON, in a URL, as
// HTTP Basic. Longer ones come first: one may be the beginning of another.
func forms(values []string) []string {
	var out []string
	for _, v := range values {
		quoted := strconv.Quote(v)
		raw, _ := json.Marshal(v) // a string can be encoded
		out = append(out, v, quoted[1:len(quoted)-1], string(raw[1:len(raw)-1]), url.QueryEscape(v), url.PathEscape(v),
			strings.ReplaceAll(url.QueryEscape(v), "+", "%20"), base64.StdEncoding.EncodeToString([]byte(v)), base64.URLEncoding.EncodeToString([]byte(v)))
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(out)
}

type sourceDocument struct {
	Name    string     `yaml:"source,required"`
	Plugin  string     `yaml:"plugin,required"`
	Config  *yaml.Node `yaml:"config"`
	To      *yaml.Node `yaml:"to,required"`
	OnError string     `yaml:"on_error"`
}

type sinkDocument struct {
	Name    string     `yaml:"sink,required"`
	Plugin  string     `yaml:"plugin,required"`
	Config  *yaml.Node `yaml:"config"`
	From    *yaml.Node `yaml:"from,required"`
	OnError string     `yaml:"on_error"`
}

var goodName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,200}$`)

// Parse reads a document. nil: there were problems, which are in d, all of them.
func Parse(n *yaml.Node, d *diag.List) *Connector {
	before := d.Len()
	c := &Connector{Node: n, OnError: DeadLetter}
	var config *yaml.Node
	onError := ""
	if n.Get("sink") != nil {
		var doc sinkDocument
		yaml.Decode(n, &doc, d)
		c.Kind, c.Name, c.Plugin, config, onError = Sink, doc.Name, doc.Plugin, doc.Config, doc.OnError
		c.parseFrom(doc.From, d)
	} else {
		var doc sourceDocument
		yaml.Decode(n, &doc, d)
		c.Kind, c.Name, c.Plugin, config, onError = Source, doc.Name, doc.Plugin, doc.Config, doc.OnError
		c.parseTo(doc.To, d)
	}
	if c.Name != "" && !goodName.MatchString(c.Name) {
		d.Add(yaml.Problem(n.Get(string(c.Kind)), "connector.name", fmt.Sprintf("%q cannot be the name of a connector", c.Name), "letters, digits, '.', '_' and '-'"))
	}
	switch e := OnError(onError); e {
	case "":
	case DeadLetter, Skip, Stop:
		c.OnError = e
	default:
		d.Add(yaml.Problem(n.Get("on_error"), "connector.on-error", fmt.Sprintf("%q is not one of dead-letter, skip and stop", e), ""))
	}
	c.parseConfig(config, d)
	if d.Len() > before {
		return nil
	}
	return c
}

func (c *Connector) parseConfig(n *yaml.Node, d *diag.List) {
	if n.IsNull() {
		c.Config = []byte("{}")
		return
	}
	if n.Kind != yaml.Map {
		d.Add(yaml.Problem(n, "connector.config", "config is a map of the plugin's settings", ""))
		return
	}
	r := resolver{d: d}
	raw, err := json.Marshal(r.value(n))
	if err != nil {
		d.Add(yaml.Problem(n, "connector.config", err.Error(), ""))
		return
	}
	c.Config, c.Secrets = raw, forms(r.secrets)
}

type target struct {
	Topic string     `yaml:"topic,required"`
	Key   *yaml.Node `yaml:"key"`
}

func (c *Connector) parseTo(n *yaml.Node, d *diag.List) {
	if n == nil {
		return // missing: reported by Decode
	}
	if n.Kind != yaml.Map {
		yaml.Decode(n, &c.To, d)
		checkTopic(n, d)
		return
	}
	var t target
	yaml.Decode(n, &t, d)
	c.To = t.Topic
	checkTopic(n.Get("topic"), d)
	if t.Key == nil {
		return
	}
	src, _, ok := yaml.Expression(t.Key, d)
	if !ok {
		return
	}
	path, ok := strings.CutPrefix(src, "value.")
	if !ok || !goodPath.MatchString(path) {
		d.Add(yaml.Problem(t.Key, "connector.key", "the key of a source is a field of the record, such as value.id or value.customer.id",
			"a pipeline with a `key:` step can do more"))
		return
	}
	c.Key = strings.Split(path, ".")
}

var goodPath = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

type origin struct {
	Topic string `yaml:"topic,required"`
	Start string `yaml:"start"`
}

func (c *Connector) parseFrom(n *yaml.Node, d *diag.List) {
	switch {
	case n == nil: // missing: reported by Decode
	case n.Kind == yaml.List:
		yaml.Decode(n, &c.From, d)
		if len(n.Items) == 0 {
			d.Add(yaml.Problem(n, "connector.topic", "there is no topic to read", "name one at least"))
		}
		seen := map[string]bool{}
		for _, item := range n.Items {
			if item.Kind == yaml.Scalar && seen[item.Value] {
				d.Add(yaml.Problem(item, "connector.topic", fmt.Sprintf("topic %q is named twice", item.Value), ""))
				continue
			}
			seen[item.Value] = true
			checkName(item, d)
		}
	case n.Kind == yaml.Map:
		var o origin
		yaml.Decode(n, &o, d)
		c.From = []string{o.Topic}
		checkTopic(n.Get("topic"), d)
		switch o.Start {
		case "", "earliest":
		case "latest":
			c.Latest = true
		default:
			d.Add(yaml.Problem(n.Get("start"), "connector.start", fmt.Sprintf("%q is not one of earliest and latest", o.Start), ""))
		}
	default:
		var topic string
		yaml.Decode(n, &topic, d)
		c.From = []string{topic}
		checkTopic(n, d)
	}
}

var goodTopic = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// checkTopic refuses what no broker takes for a topic. What is missing or no text is Decode's to report.
func checkTopic(n *yaml.Node, d *diag.List) {
	if !n.IsNull() {
		checkName(n, d)
	}
}

func checkName(n *yaml.Node, d *diag.List) {
	if n.Kind == yaml.Scalar && (!goodTopic.MatchString(n.Value) || n.Value == "." || n.Value == "..") {
		d.Add(yaml.Problem(n, "connector.topic", fmt.Sprintf("%q cannot be the name of a topic", n.Value), "up to 249 letters, digits, '.', '_' and '-'"))
	}
}
