package tidy

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const module = "github.com/leatstream/leat"

type pkg struct {
	ImportPath string
	Dir        string
	Doc        string
	Imports    []string
	GoFiles    []string
}

// packages lists every package of the module as the go command sees it.
func packages(t *testing.T) []pkg {
	t.Helper()
	root := repoRoot(t)
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Dir,Doc,Imports,GoFiles", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("decode go list output: %v", err)
		}
		pkgs = append(pkgs, p)
	}
	return pkgs
}

func repoRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// TestEveryPackageHasDoorSign demands a package comment: what the room owns, promises and must not know.
func TestEveryPackageHasDoorSign(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment: add a doc.go", p.ImportPath)
		}
	}
}

// arrows maps a room to the module packages it may not import, directly. Prefix match.
var arrows = map[string][]string{
	"broker":                  {"connect", "streams", "cmd", "plugins", "internal/kafka"},
	"connect":                 {"broker", "streams", "cmd", "plugins"},
	"streams":                 {"broker", "connect", "cmd", "plugins"},
	"plugins":                 {"broker", "streams", "cmd", "connect/internal", "internal"},
	"internal":                {"broker", "connect", "streams", "cmd", "plugins"},
	"broker/internal/storage": {"broker/internal/replica", "broker/internal/meta", "broker/internal/wire", "broker/internal/api"},
	"broker/internal/replica": {"broker/internal/wire", "broker/internal/api", "broker/internal/coord", "broker/internal/group"},
	"broker/internal/meta":    {"broker/internal/wire", "broker/internal/api", "broker/internal/replica", "broker/internal/storage"},
	"broker/internal/group":   {"broker/internal/storage", "broker/internal/replica", "broker/internal/wire", "broker/internal/api"},
	"broker/internal/coord":   {"broker/internal/wire", "broker/internal/api"},
	"broker/internal/auth":    {"broker"}, // the words of access control are below all rooms
}

// wires names packages that must not see a protocol struct.
var noProtocolStructs = []string{"internal/batch", "broker/internal/storage", "broker/internal/replica", "broker/internal/meta"}

func TestArrowsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		rel := strings.TrimPrefix(p.ImportPath, module+"/")
		for room, forbidden := range arrows {
			if !within(rel, room) {
				continue
			}
			for _, imp := range p.Imports {
				impRel, ours := strings.CutPrefix(imp, module+"/")
				if !ours {
					continue
				}
				for _, f := range forbidden {
					if within(impRel, f) {
						t.Errorf("%s imports %s: %s may not know %s (docs/ARCHITECTURE.md, rooms)", rel, impRel, room, f)
					}
				}
			}
		}
		for _, room := range noProtocolStructs {
			if !within(rel, room) {
				continue
			}
			for _, imp := range p.Imports {
				if strings.HasPrefix(imp, "github.com/twmb/franz-go") {
					t.Errorf("%s imports %s: this room never sees a protocol struct", rel, imp)
				}
			}
		}
		for _, imp := range p.Imports {
			if imp == "gopkg.in/yaml.v3" && rel != "internal/yaml" {
				t.Errorf("%s imports gopkg.in/yaml.v3: only internal/yaml may", rel)
			}
		}
	}
}

func within(rel, room string) bool { return rel == room || strings.HasPrefix(rel, room+"/") }

// TestEveryPipelineFolderIsWhole demands documents, tests and a README in each folder of pipelines/.
func TestEveryPipelineFolderIsWhole(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join(repoRoot(t), "pipelines", "*", ""))
	if err != nil || len(folders) == 0 {
		t.Fatalf("no pipelines: %v", err)
	}
	for _, folder := range folders {
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			continue
		}
		doc, err := os.ReadFile(filepath.Join(folder, "pipeline.yaml"))
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.Contains(string(doc), "\ntests:\n") {
			t.Errorf("%s/pipeline.yaml has no tests: block", folder)
		}
		if _, err := os.Stat(filepath.Join(folder, "README.md")); err != nil {
			t.Error(err)
		}
	}
}

var markdownLink = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

// TestLinksInDocsLeadSomewhere follows every relative link of every Markdown file.
func TestLinksInDocsLeadSomewhere(t *testing.T) {
	root := repoRoot(t)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && strings.HasPrefix(e.Name(), ".") && path != root {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range markdownLink.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", path, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
