package tidy

import (
	"path/filepath"
	"testing"
)

// TestEveryAPIHasAStory demands broker/testdata/NN_*.txt for each broker/internal/api/NN_*.go.
func TestEveryAPIHasAStory(t *testing.T) {
	root := repoRoot(t)
	apis, err := filepath.Glob(filepath.Join(root, "broker", "internal", "api", "[0-9][0-9]_*.go"))
	if err != nil || len(apis) == 0 {
		t.Fatalf("no APIs: %v", err)
	}
	for _, file := range apis {
		key := filepath.Base(file)[:2]
		if stories, err := filepath.Glob(filepath.Join(root, "broker", "testdata", key+"_*.txt")); err != nil || len(stories) == 0 {
			t.Errorf("%s has no story: add broker/testdata/%s_*.txt", filepath.Base(file), key)
		}
	}
}
