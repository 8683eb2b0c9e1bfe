package sdktest

import (
	"context"
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/connect/sdk/proto"
)

// Case is what the suite needs to know of a plugin.
type Case struct {
	// Argv starts the plugin; empty: the test binary itself (see Main).
	Argv []string
	// Source is nil for a plugin that is none.
	Source *SourceCase
	// Sink is nil for a plugin that is none.
	Sink *SinkCase
}

// SourceCase is a source that gives the same records each time it begins without positions.
type SourceCase struct {
	Config any
	// Records is how many it gives; at least a few thousand, so that there is a middle to be killed in. 0: the
	// source waits for somebody, and only what needs no records is tested.
	Records int
}

// SinkCase is a sink.
type SinkCase struct {
	// Config makes a config for a fresh target.
	Config func(t *testing.T) any
	// Value is one that the target takes; "": {"n":1}.
	Value string
}

// Conform runs the conformance suite: what every plugin must do, whatever it connects and whatever it is written in.
func Conform(t *testing.T, c Case) {
	t.Run("Describe", c.describe)
	t.Run("NoCookie", c.noCookie)
	t.Run("Orphan", c.orphan)
	if c.Source != nil {
		t.Run("Source", func(t *testing.T) {
			t.Run("Config", func(t *testing.T) { c.config(t, proto.Role_ROLE_SOURCE, c.Source.Config) })
			t.Run("Order", func(t *testing.T) { c.order(t, proto.Role_ROLE_SOURCE, c.Source.Config) })
			t.Run("StopAtOnce", c.stopAtOnce)
			if c.Source.Records > 0 {
				t.Run("Credit", c.credit)
				t.Run("StaleEpoch", c.staleCredit)
				t.Run("Drain", c.drain)
				t.Run("Resume", c.resume)
			}
		})
	}
	if c.Sink != nil {
		t.Run("Sink", func(t *testing.T) {
			t.Run("Config", func(t *testing.T) { c.config(t, proto.Role_ROLE_SINK, c.Sink.Config(t)) })
			t.Run("Order", func(t *testing.T) { c.order(t, proto.Role_ROLE_SINK, c.Sink.Config(t)) })
			c.sink(t)
		})
	}
}

var pluginName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

func (c Case) describe(t *testing.T) {
	m, err := Start(t, c.Argv...).Describe(t.Context(), &proto.DescribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if !pluginName.MatchString(m.GetName()) || m.GetVersion() == "" || m.GetSummary() == "" {
		t.Errorf("name %q (lower case letters, digits, dashes), version %q, summary %q: all are needed", m.GetName(), m.GetVersion(), m.GetSummary())
	}
	roles := map[proto.Role]bool{}
	for _, r := range m.GetRoles() {
		roles[r.GetRole()] = true
		var schema struct {
			Type       string                     `json:"type"`
			Properties map[string]json.RawMessage `json:"properties"`
		}
		if err := json.Unmarshal(r.GetConfigSchema(), &schema); err != nil || schema.Type != "object" {
			t.Errorf("%v: config_schema is no JSON Schema of an object: %v %s", r.GetRole(), err, r.GetConfigSchema())
		}
		for name, p := range schema.Properties {
			if !strings.Contains(string(p), `"description"`) {
				t.Errorf("%v: config key %s has no description", r.GetRole(), name)
			}
		}
	}
	if roles[proto.Role_ROLE_SOURCE] != (c.Source != nil) || roles[proto.Role_ROLE_SINK] != (c.Sink != nil) {
		t.Errorf("roles %v differ from the case's", roles)
	}
}

// noCookie starts the binary as a user might by mistake: it says what it is.
func (c Case) noCookie(t *testing.T) {
	if len(c.Argv) == 0 {
		t.Skip("the test binary is no plugin without the cookie")
	}
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Env = []string{}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "plugin") {
		t.Errorf("started without the host it must fail and say that it is a plugin: %v\n%s", err, out)
	}
}

func (c Case) orphan(t *testing.T) { Start(t, c.Argv...).Orphan() }

func (c Case) config(t *testing.T, role proto.Role, good any) {
	p := Start(t, c.Argv...)
	if got := p.Problems(role, good); len(got) != 0 {
		t.Errorf("problems of a good config: %v", got)
	}
	var tree map[string]any
	if err := json.Unmarshal(encode(t, good), &tree); err != nil {
		t.Fatal(err)
	}
	tree["no_such_key"] = 1
	got := p.Problems(role, tree)
	if len(got) != 1 || got[0].GetPath() != "no_such_key" || got[0].GetCode() == "" || got[0].GetMessage() == "" || got[0].GetHint() == "" {
		t.Errorf("an unknown key must be one problem with path, code, message and hint: %v", got)
	}
	for _, rubbish := range []any{[]int{1}, "text", 1, map[string]any{"no_such_key": map[string]any{"deep": []any{nil}}}} {
		if got := p.Problems(role, rubbish); len(got) == 0 {
			t.Errorf("%v passes for a config", rubbish)
		}
	}
}

// order calls things before their time.
func (c Case) order(t *testing.T, role proto.Role, config any) {
	p := Start(t, c.Argv...)
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	source, err := p.PluginClient.Source(ctx)
	if err == nil {
		_, err = source.Recv()
	}
	if err == nil || ctx.Err() != nil {
		t.Errorf("Source before Open: %v", err)
	}
	sink, err := p.PluginClient.Sink(ctx)
	if err == nil {
		_, err = sink.Recv()
	}
	if err == nil || ctx.Err() != nil {
		t.Errorf("Sink before Open: %v", err)
	}
	req := &proto.OpenRequest{Role: role, Connector: "test", Epoch: 1, Config: encode(t, config)}
	for i := range 2 {
		resp, err := p.Open(ctx, req)
		if first := i == 0; first != (err == nil && resp.GetFailure() == nil) {
			t.Errorf("Open number %d: %v %v", i+1, resp, err)
		}
	}
	if _, err := p.Close(ctx, &proto.CloseRequest{}); err != nil {
		t.Errorf("Close: %v", err)
	}
	if resp, err := p.Open(ctx, req); err != nil || resp.GetFailure() != nil {
		t.Errorf("Open after Close: %v %v", resp, err)
	}
}

// quiet is how long a source is watched for what it must not do.
const quiet = 200 * time.Millisecond
