package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
)

// settings is what a broker is started with: of a file, of the environment and of flags, the later ones win.
type settings struct {
	properties map[string]property
	clusterID  string
	insecure   bool
	metrics    *string // nil: not said
}

// sameThing are names of which one, set later, takes the place of the others.
var sameThing = [][]string{
	{"node.id", "broker.id"},
	{"log.dirs", "log.dir"},
	{"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
	{"log.roll.ms", "log.roll.hours"},
	{"log.roll.jitter.ms", "log.roll.jitter.hours"},
}

// add lays properties over what is there.
func (s *settings) add(layer []property) {
	for _, p := range layer {
		for _, group := range sameThing {
			if slices.Contains(group, p.name) {
				maps.DeleteFunc(s.properties, func(name string, _ property) bool { return slices.Contains(group, name) })
			}
		}
	}
	for _, p := range layer {
		s.properties[p.name] = p
	}
}

// problems are the properties that a broker would refuse, each with its place.
func (s *settings) problems(d *diag.List) {
	for _, p := range s.properties {
		var wrong *broker.ConfigError
		if err := broker.CheckProperty(p.name, p.value); errors.As(err, &wrong) {
			d.Add(diag.Problem{Code: "config.property", Pos: p.at, Message: wrong.Message, Hint: wrong.Hint})
		}
	}
}

// values are the properties as a broker takes them.
func (s *settings) values() map[string]string {
	out := map[string]string{}
	for name, p := range s.properties {
		out[name] = p.value
	}
	return out
}

// readFile adds a leat.yaml or, with any other ending, a server.properties.
func (s *settings) readFile(file string, d *diag.List) error {
	src, err := os.ReadFile(file)
	if err != nil {
		return usageError("cannot read the configuration: %w", err)
	}
	if ext := filepath.Ext(file); ext == ".yaml" || ext == ".yml" {
		s.readYAML(file, src, d)
		return nil
	}
	s.add(readProperties(file, string(src), d))
	return nil
}

// brokerDocument is the document of a leat.yaml.
type brokerDocument struct {
	Broker    *yaml.Node            `yaml:"broker,required"` // its number
	Data      *yaml.Node            `yaml:"data"`
	Listen    *yaml.Node            `yaml:"listen"`
	Advertise *yaml.Node            `yaml:"advertise"`
	Insecure  bool                  `yaml:"insecure"`
	Metrics   *string               `yaml:"metrics"`
	ClusterID string                `yaml:"cluster"`
	Config    map[string]*yaml.Node `yaml:"config"` // by Kafka's names
}

func (s *settings) readYAML(file string, src []byte, d *diag.List) {
	docs := yaml.Parse(file, src, d)
	if len(docs) != 1 || docs[0].FirstKey() == nil || docs[0].FirstKey().Value != "broker" {
		if d.Len() == 0 {
			d.Add(diag.Problem{Code: "config.document", Pos: diag.Pos{File: file}, Message: "the configuration of a broker is one document that begins with `broker:`", Hint: "begin with `broker: 0`, the number of this node"})
		}
		return
	}
	var doc brokerDocument
	yaml.Decode(docs[0], &doc, d)
	var layer []property
	put := func(name, scheme string, n *yaml.Node) {
		if !n.IsNull() {
			layer = append(layer, property{name, scalars(n, scheme, d), n.Pos})
		}
	}
	put("node.id", "", doc.Broker)
	put("log.dirs", "", doc.Data)
	put("listeners", "PLAINTEXT://", doc.Listen)
	put("advertised.listeners", "PLAINTEXT://", doc.Advertise)
	for _, name := range slices.Sorted(maps.Keys(doc.Config)) {
		put(name, "", doc.Config[name])
	}
	s.add(layer)
	s.insecure, s.metrics, s.clusterID = doc.Insecure, doc.Metrics, doc.ClusterID
}

// scalars writes a value, or a list of them, as Kafka does. scheme goes before those that have none.
func scalars(n *yaml.Node, scheme string, d *diag.List) string {
	items := n.Items
	if n.Kind == yaml.Scalar {
		items = []*yaml.Node{n}
	}
	var out []string
	for _, item := range items {
		if item.Kind != yaml.Scalar {
			break
		}
		if strings.Contains(item.Value, "://") {
			out = append(out, item.Value)
		} else {
			out = append(out, scheme+item.Value)
		}
	}
	if len(out) == 0 || len(out) < len(items) {
		d.Add(yaml.Problem(n, "config.value", "expected a value or a list of values", "write it as in a server.properties"))
	}
	return strings.Join(out, ",")
}

// read finds out what a broker is started with. changed tells which flags somebody has typed.
func (f *brokerFlags) read(environ []string, changed func(flag string) bool) (broker.Config, error) {
	s, d := settings{properties: map[string]property{}}, &diag.List{}
	if f.config != "" {
		if err := s.readFile(f.config, d); err != nil {
			return broker.Config{}, err
		}
	}
	env := readEnvironment(environ)
	s.add(env.properties)
	set, err := f.properties()
	if err != nil {
		return broker.Config{}, err
	}
	s.add(set)
	if changed("data") {
		s.add([]property{{"log.dirs", f.data, diag.Pos{File: "--data"}}})
	}
	s.problems(d)
	if err := d.Err(); err != nil {
		return broker.Config{}, err
	}
	cfg := broker.Config{DataDir: f.data, Listen: f.listen, Properties: s.values(), Insecure: s.insecure || env.insecure || f.insecure, ClusterID: s.clusterID}
	if env.clusterID != "" {
		cfg.ClusterID = env.clusterID
	}
	_, listeners := s.properties["listeners"]
	_, advertised := s.properties["advertised.listeners"]
	if (listeners || advertised) && !changed("listen") {
		cfg.Listen = nil
	}
	if s.metrics != nil && !changed("metrics") {
		f.metrics = *s.metrics
	}
	if !changed("data") {
		cfg.DataDir = s.dataDir(f.data)
	}
	return cfg, nil
}

// dataDir is the first directory that Kafka would use, or fallback.
func (s *settings) dataDir(fallback string) string {
	for _, name := range []string{"log.dirs", "log.dir"} {
		if first, _, _ := strings.Cut(s.properties[name].value, ","); strings.TrimSpace(first) != "" {
			return strings.TrimSpace(first)
		}
	}
	return fallback
}
