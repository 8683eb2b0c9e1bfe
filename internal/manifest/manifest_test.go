package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leatstream/leat/internal/diag"
)

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFolderBecomesDocumentsInNameOrder(t *testing.T) {
	dir := write(t, map[string]string{
		"b.yaml": "pipeline: p\n---\nsink: out\n", "a.yml": "topic: t\npartitions: 3\nconfig: {retention.ms: 1000}\n",
		"notes.txt": "not ours", ".hidden.yaml": "bad: [",
	})
	var d diag.List
	m, err := Load([]string{dir}, &d)
	if err != nil || d.Len() != 0 {
		t.Fatal(err, d.Err())
	}
	if len(m.Files) != 2 || len(m.Topics) != 1 || len(m.Pipelines) != 1 || len(m.Connectors) != 1 {
		t.Fatalf("got %+v", m)
	}
	if topic := m.Topics[0]; topic.Name != "t" || topic.Partitions != 3 || topic.Config["retention.ms"] != "1000" {
		t.Errorf("topic %+v", topic)
	}
}

func TestMistakesAreFoundAllAtOnce(t *testing.T) {
	dir := write(t, map[string]string{"a.yaml": strings.Join([]string{
		"pipelin: p", "from: x\npipeline: q", "source: a", "sink: a", "topic: ../etc", "topic: t\npartitons: 3", "topic: u\npartitions: 0", "- list",
	}, "\n---\n")})
	var d diag.List
	if _, err := Load([]string{dir}, &d); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`did you mean "pipeline"?`, `"pipeline" must be the first key`, `already a connector named "a"`,
		`"../etc" is not a name`, `did you mean "partitions"?`, "at least one partition", "a document is a map",
	} {
		if !strings.Contains(d.Error(), want) {
			t.Errorf("missing %q in\n%s", want, d.Error())
		}
	}
}

func TestUnreadablePathsAreOneSentence(t *testing.T) {
	var d diag.List
	empty := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(empty, "none.yaml"): "none.yaml: no such file or directory", empty: "holds no .yaml file",
	} {
		if _, err := Load([]string{path}, &d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
