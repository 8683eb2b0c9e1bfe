package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
)

// reference is ${dir}, ${env:NAME} or ${file:PATH}.
var reference = regexp.MustCompile(`\$\{([^}]*)\}`)

// secretMin is the length from which a value from outside is taken out of texts: shorter ones would garble them.
const secretMin = 4

// resolver turns a config into plain values and remembers what came from outside.
type resolver struct {
	d       *diag.List
	secrets []string
}

func (r *resolver) value(n *yaml.Node) any {
	switch n.Kind {
	case yaml.Map:
		m := make(map[string]any, len(n.Keys))
		for i, k := range n.Keys {
			m[k.Value] = r.value(n.Vals[i])
		}
		return m
	case yaml.List:
		l := make([]any, len(n.Items))
		for i, item := range n.Items {
			l[i] = r.value(item)
		}
		return l
	case yaml.Scalar:
	}
	if !strings.Contains(n.Value, "${") {
		return n.Any()
	}
	return reference.ReplaceAllStringFunc(n.Value, func(ref string) string { return r.resolve(n, ref[2:len(ref)-1]) })
}

func (r *resolver) resolve(n *yaml.Node, ref string) string {
	kind, name, _ := strings.Cut(ref, ":")
	switch {
	case ref == "dir":
		return filepath.Dir(n.Pos.File)
	case kind == "env":
		v, ok := os.LookupEnv(name)
		if !ok {
			r.d.Add(yaml.Problem(n, "connector.env", fmt.Sprintf("the environment has no variable %s", name), "set it before leat is started"))
		}
		return r.secret(v)
	case kind == "file":
		raw, err := os.ReadFile(name)
		if err != nil {
			r.d.Add(yaml.Problem(n, "connector.file", err.Error(), "${file:PATH} is relative to where leat is started"))
		}
		return r.secret(strings.TrimRight(string(raw), "\r\n"))
	}
	r.d.Add(yaml.Problem(n, "connector.reference", fmt.Sprintf("${%s} is not known", ref), "${env:NAME}, ${file:PATH}, or ${dir} for the folder of this file"))
	return ""
}

func (r *resolver) secret(v string) string {
	if len(v) >= secretMin {
		r.secrets = append(r.secrets, v)
	}
	return v
}
