package connect

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/leatstream/leat/connect/internal/host"
	"github.com/leatstream/leat/connect/internal/spec"
	"github.com/leatstream/leat/connect/sdk/proto"
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/yaml"
)

// checkTime bounds how long a plugin may take to judge its settings.
const checkTime = 15 * time.Second

// checkConfig starts the plugin to have it judge its settings, and ends it.
func checkConfig(ctx context.Context, cfg *Config, c planned, d *diag.List) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	p, err := host.Start(ctx, c.argv, cfg.stdout(), cfg.logger(), c.Redact)
	if err != nil {
		d.Add(yaml.Problem(c.Node.Get("plugin"), "connector.plugin", c.Redact(err.Error()), ""))
		return
	}
	defer p.Kill()
	role := proto.Role_ROLE_SOURCE
	if c.Kind == spec.Sink {
		role = proto.Role_ROLE_SINK
	}
	resp, err := p.Validate(ctx, &proto.ConfigRequest{Role: role, Config: c.Config})
	if err != nil {
		d.Add(yaml.Problem(c.Node.Get("plugin"), "connector.plugin", c.Redact(err.Error()), ""))
		return
	}
	for _, problem := range resp.GetProblems() {
		at := place(c.Node, problem.GetPath(), problem.GetCode() == unknownKey)
		d.Add(yaml.Problem(at, problem.GetCode(), c.Redact(problem.GetMessage()), c.Redact(problem.GetHint())))
	}
}

var pathStep = regexp.MustCompile(`[^.\[\]]+|\[\d+\]`)

// unknownKey is the code by which the SDK says that a setting does not exist: then its name is to blame, not its value.
const unknownKey = "config.unknown-key"

// place finds the node that a plugin means by a path in its settings; what is missing is blamed on what should hold it.
func place(doc *yaml.Node, path string, name bool) *yaml.Node {
	at := doc.Get("config")
	if at.IsNull() {
		return doc.Get("plugin")
	}
	steps := pathStep.FindAllString(path, -1)
	for i, step := range steps {
		key, next := child(at, step)
		if next == nil {
			break
		}
		if at = next; name && key != nil && i == len(steps)-1 {
			return key
		}
	}
	if at == doc.Get("config") {
		return doc.Get("plugin")
	}
	return at
}

// child finds one step of a path, with its key if it is a member of a map.
func child(n *yaml.Node, step string) (key, value *yaml.Node) {
	if index, ok := strings.CutPrefix(step, "["); ok {
		i, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
		if err != nil || n.Kind != yaml.List || i >= len(n.Items) {
			return nil, nil
		}
		return nil, n.Items[i]
	}
	for i, k := range n.Keys {
		if k.Value == step {
			return k, n.Vals[i]
		}
	}
	return nil, nil
}
