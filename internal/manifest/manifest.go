package manifest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
)

// Manifest is what a set of files declares.
type Manifest struct {
	Files      []string     // in the order read
	Topics     []Topic      // topic: documents
	Connectors []*yaml.Node // source: and sink: documents
	Pipelines  []*yaml.Node // pipeline: documents
}

// Topic is a topic: document. Partitions 0 and an empty Config leave it to the broker's defaults.
type Topic struct {
	Name       string            `yaml:"topic,required"`
	Partitions int32             `yaml:"partitions"`
	Config     map[string]string `yaml:"config"` // by Kafka's names
	Node       *yaml.Node        `yaml:"-"`
}

// kinds are the first keys that a document may have.
var kinds = []string{"topic", "source", "sink", "pipeline"}

// fileMax bounds a file: a pipeline written by hand is a few kilobytes.
const fileMax = 4 << 20

var nameRule = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// Load reads every path: a file, or the *.yaml and *.yml files of a folder in name order.
// The error is a path that cannot be read; mistakes inside files go to d.
func Load(paths []string, d *diag.List) (*Manifest, error) {
	files, err := expand(paths)
	if err != nil {
		return nil, err
	}
	m := &Manifest{Files: files}
	seen := map[string]*yaml.Node{}
	for _, file := range files {
		src, err := read(file)
		if err != nil {
			return nil, err
		}
		for _, doc := range yaml.Parse(file, src, d) {
			m.add(doc, seen, d)
		}
	}
	return m, nil
}

func expand(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", path, pathCause(err))
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read folder %s: %w", path, pathCause(err))
		}
		found := len(files)
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); !e.IsDir() && !strings.HasPrefix(e.Name(), ".") && (ext == ".yaml" || ext == ".yml") {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
		if len(files) == found {
			return nil, fmt.Errorf("folder %s holds no .yaml file: name a file or another folder", path)
		}
	}
	return files, nil
}

func read(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, pathCause(err))
	}
	if info.Size() > fileMax {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that a document file may have", file, info.Size(), fileMax)
	}
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, pathCause(err))
	}
	return src, nil
}

// pathCause leaves out the operation and the path, which the caller's sentence already has.
func pathCause(err error) error {
	if pe, ok := err.(*fs.PathError); ok { //nolint:errorlint // os returns it unwrapped
		return pe.Err
	}
	return err
}

func (m *Manifest) add(doc *yaml.Node, seen map[string]*yaml.Node, d *diag.List) {
	first := doc.FirstKey()
	if first == nil {
		d.Add(yaml.Problem(doc, "doc.not-a-map", "a document is a map whose first key says what it is",
			"begin with one of: "+strings.Join(kinds, ", ")))
		return
	}
	if !slices.Contains(kinds, first.Value) {
		d.Add(kindProblem(doc, first))
		return
	}
	if !nameOK(doc, first, seen, d) {
		return
	}
	switch first.Value {
	case "topic":
		t := Topic{Node: doc}
		before := d.Len()
		yaml.Decode(doc, &t, d)
		if p := doc.Get("partitions"); p != nil && d.Len() == before && t.Partitions < 1 {
			d.Add(yaml.Problem(p, "topic.partitions", "a topic has at least one partition", "write partitions: 1 or more"))
		}
		m.Topics = append(m.Topics, t)
	case "pipeline":
		m.Pipelines = append(m.Pipelines, doc)
	default:
		m.Connectors = append(m.Connectors, doc)
	}
}

func kindProblem(doc, first *yaml.Node) diag.Problem {
	for _, k := range doc.Keys {
		if slices.Contains(kinds, k.Value) {
			return yaml.Problem(k, "doc.kind-not-first", fmt.Sprintf("%q must be the first key of its document", k.Value),
				fmt.Sprintf("move `%s: …` above `%s: …`", k.Value, first.Value))
		}
	}
	p := yaml.UnknownKey(first, kinds)
	p.Code, p.Message = "doc.unknown-kind", fmt.Sprintf("%q is not a kind of document", first.Value)
	return p
}

// nameOK checks the name behind the first key. Connectors share one name space: source and sink positions are kept by name.
func nameOK(doc, first *yaml.Node, seen map[string]*yaml.Node, d *diag.List) bool {
	name := doc.Get(first.Value)
	if name.Kind != yaml.Scalar || !nameRule.MatchString(name.Value) || name.Value == "." || name.Value == ".." {
		d.Add(yaml.Problem(name, "doc.name", fmt.Sprintf("%q is not a name", name.Value),
			"a name has 1 to 249 of the characters a-z A-Z 0-9 . _ -"))
		return false
	}
	space := first.Value
	if space == "source" || space == "sink" {
		space = "connector"
	}
	if other, twice := seen[space+" "+name.Value]; twice {
		d.Add(yaml.Problem(name, "doc.duplicate-name", fmt.Sprintf("there is already a %s named %q", space, name.Value),
			fmt.Sprintf("the other one is at %s; rename one of them", other.Pos)))
		return false
	}
	seen[space+" "+name.Value] = name
	return true
}
