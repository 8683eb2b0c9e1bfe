package yaml

import (
	"strings"
	"testing"
)

func TestEncodeKeepsOrderAndTypes(t *testing.T) {
	type row struct {
		Name  string   `json:"name"`
		Count int      `json:"count"`
		Text  string   `json:"text"`
		Tags  []string `json:"tags"`
	}
	var out strings.Builder
	if err := Encode(&out, []row{{"b", 3, "3", []string{"true", "x: y"}}}); err != nil {
		t.Fatal(err)
	}
	want := "- name: b\n  count: 3\n  text: \"3\"\n  tags:\n    - \"true\"\n    - 'x: y'\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
