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
	p, err := host.Start(ctx, c.argv, cfg.stdout(), cfg.logger())
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
		at := place(c.Node, problem.GetPath())
		d.Add(yaml.Problem(at, problem.GetCode(), c.Redact(problem.GetMessage()), c.Redact(problem.GetHint())))
	}
}

var pathStep = regexp.MustCompile(`[^.\[\]]+|\[\d+\]`)

// place finds the node that a plugin means by a path in its settings; what is missing is blamed on what should hold it.
func place(doc *yaml.Node, path string) *yaml.Node {
	at := doc.Get("config")
	if at.IsNull() {
		return doc.Get("plugin")
	}
	for _, step := range pathStep.FindAllString(path, -1) {
		next := child(at, step)
		if next == nil {
			break
		}
		at = next
	}
	if at == doc.Get("config") {
		return doc.Get("plugin")
	}
	return at
}

func child(n *yaml.Node, step string) *yaml.Node {
	if index, ok := strings.CutPrefix(step, "["); ok {
		i, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
		if err != nil || n.Kind != yaml.List || i >= len(n.Items) {
			return nil
		}
		return n.Items[i]
	}
	for i, k := range n.Keys {
		if k.Value == step {
			return n.Vals[i]
		}
	}
	return nil
}
