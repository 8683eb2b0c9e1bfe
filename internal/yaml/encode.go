package yaml

import (
	"encoding/json"
	"io"

	yamlv3 "gopkg.in/yaml.v3"
)

// Encode writes v as one YAML document, with the names of its json tags, so that `-o yaml` and `-o json` agree.
func Encode(w io.Writer, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var n yamlv3.Node
	if err := yamlv3.Unmarshal(raw, &n); err != nil { // JSON is YAML; nodes keep the order of keys
		return err
	}
	plain(&n)
	enc := yamlv3.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(&n); err != nil {
		return err
	}
	return enc.Close()
}

// plain takes off the quotes and braces that came from JSON; the encoder quotes again where YAML needs it.
func plain(n *yamlv3.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}
