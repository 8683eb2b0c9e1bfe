package apache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// entityTypes are what has configurations, with the options that name one of them at once.
var entityTypes = []struct{ name, option, defaults string }{
	{"topics", "topic", ""}, {"clients", "client", "client-defaults"}, {"users", "user", "user-defaults"}, {"brokers", "broker", "broker-defaults"},
	{"ips", "ip", "ip-defaults"}, {"client-metrics", "client-metrics", ""}, {"groups", "group", ""}, {"broker-loggers", "broker-logger", ""},
}

var configsTool = &tool{
	about: "This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip, client-metrics or group",
	options: append(slices.Clone(bootstrapOptions),
		option{name: "describe", help: "Show configurations."},
		option{name: "alter", help: "Change configurations."},
		option{name: "entity-type", arg: "type", help: "topics, clients, users, brokers, ips, client-metrics, groups or broker-loggers."},
		option{name: "entity-name", arg: "name", help: "The name of the topic, user…"},
		option{name: "entity-default", help: "The default of all clients, users, brokers or addresses."},
		option{name: "topic", arg: "name", help: "The topic."},
		option{name: "client", arg: "id", help: "The client id."},
		option{name: "client-defaults", help: "All clients."},
		option{name: "user", arg: "name", help: "The user."},
		option{name: "user-defaults", help: "All users."},
		option{name: "broker", arg: "id", help: "The broker."},
		option{name: "broker-defaults", help: "All brokers."},
		option{name: "broker-logger", arg: "id", help: "The broker whose loggers these are."},
		option{name: "ip", arg: "address", help: "The address."},
		option{name: "ip-defaults", help: "All addresses."},
		option{name: "group", arg: "group", help: "The group."},
		option{name: "client-metrics", arg: "name", help: "The subscription to clients' metrics."},
		option{name: "add-config", arg: "k=v,k=[v,v]", help: "What to set; brackets hold values with commas."},
		option{name: "add-config-file", arg: "file", help: "What to set, as properties in a file."},
		option{name: "delete-config", arg: "k,k", help: "What goes back to its default."},
		option{name: "all", help: "Describe all configurations, not only those that were set."},
		option{name: "bootstrap-controller", arg: "host:port", instead: "bootstrap-server"},
		option{name: "force", help: "Accepted, and of no effect."},
	),
	run: runConfigs,
}

// entity is something that has configurations.
type entity struct {
	kind  string
	named bool    // else all of the kind are meant
	name  *string // nil: the default
}

func (e entity) isDefault() bool { return e.named && e.name == nil }

type configs struct {
	*Env
	*flags
	cl       *kgo.Client
	adm      *kadm.Client
	entities []entity
	add      map[string]string
	remove   []string
}

func runConfigs(ctx context.Context, e *Env, f *flags) error {
	action, err := f.one("describe", "alter")
	if err != nil {
		return err
	}
	c := &configs{Env: e, flags: f}
	if c.entities, err = f.entities(); err != nil {
		return err
	}
	if err := c.check(action); err != nil {
		return err
	}
	if c.cl, err = administrate(ctx, e, f); err != nil {
		return err
	}
	defer c.cl.Close()
	c.adm = kadm.NewClient(c.cl)
	run := c.describe
	switch {
	case action == "alter" && c.areQuotas():
		run = c.alterQuotas
	case action == "alter":
		run = c.alter
	case c.areQuotas():
		run = c.describeQuotas
	}
	err = run(ctx)
	var usage *usageError
	if err == nil || errors.As(err, &usage) {
		return err
	}
	var words []string
	for _, g := range f.given {
		words = append(words, strings.TrimSpace("--"+g.name+" "+secrets.ReplaceAllString(g.value, "${1}***")))
	}
	return fmt.Errorf("Error while executing config command with args '%s'\n%s", strings.Join(words, " "), full(err)) //nolint:revive // Apache's words
}

// secrets are what an error does not repeat.
var secrets = regexp.MustCompile(`(?i)([^=,\[]*(?:password|secret|jaas)[^=,\[]*=)[^,\]]*`)

// entities reads what the command is about from the order of its options.
func (f *flags) entities() ([]entity, error) {
	var out []entity
	var names []*string
	var typed []int // those of out that wait for a name
	for _, g := range f.given {
		switch g.name {
		case "entity-type":
			typed = append(typed, len(out))
			out = append(out, entity{kind: g.value})
		case "entity-name":
			names = append(names, &g.value)
		case "entity-default":
			names = append(names, nil)
		}
		for _, t := range entityTypes {
			switch g.name {
			case t.option:
				out = append(out, entity{t.name, true, &g.value})
			case t.defaults:
				out = append(out, entity{t.name, true, nil})
			}
		}
	}
	if len(names) > len(typed) {
		return nil, usagef("Each --entity-name and --entity-default needs an --entity-type")
	}
	for i, name := range names {
		out[typed[i]].named, out[typed[i]].name = true, name
	}
	return out, nil
}

func (c *configs) areQuotas() bool {
	return slices.Contains([]string{"users", "clients", "ips"}, c.entities[0].kind)
}

func (c *configs) check(action string) error {
	if !c.has("bootstrap-server") && !c.has("zookeeper") {
		return usagef("Either --bootstrap-server or --bootstrap-controller must be specified")
	}
	if len(c.entities) == 0 {
		return usagef("At least one entity type must be specified")
	}
	var known, kinds []string
	for _, t := range entityTypes {
		known = append(known, t.name)
	}
	for _, e := range c.entities {
		if !slices.Contains(known, e.kind) {
			return usagef("Invalid entity type %s, the entity type must be one of %s", e.kind, strings.Join(known, ", "))
		}
		kinds = append(kinds, e.kind)
	}
	slices.Sort(kinds)
	if len(kinds) > 1 && !slices.Equal(kinds, []string{"clients", "users"}) {
		return usagef("Only '%s' and '%s' entity types may be specified together", "users", "clients")
	}
	if e := c.entities[0]; e.isDefault() && !c.areQuotas() && e.kind != "brokers" {
		return usagef("There is no default of %s", e.kind)
	}
	if action == "describe" {
		return nil
	}
	for _, e := range c.entities {
		if !e.named {
			return usagef("An entity-name or default entity must be specified with --alter of %s", e.kind)
		}
	}
	return c.changes()
}

// changes reads what is to be set and what goes.
func (c *configs) changes() error {
	if !c.has("add-config") && !c.has("add-config-file") && !c.has("delete-config") {
		return usagef("At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter")
	}
	c.add = map[string]string{}
	for _, file := range c.values["add-config-file"] {
		read, err := c.Properties(file)
		if err != nil {
			return err
		}
		maps.Copy(c.add, read)
	}
	for _, list := range c.values["add-config"] {
		for _, kv := range splitList(list) {
			k, v, ok := strings.Cut(kv, "=")
			if !ok {
				return usagef("Invalid entity config: all configs to be added must be in the format \"key=val\".")
			}
			c.add[strings.TrimSpace(k)] = strings.TrimSpace(strings.NewReplacer("[", "", "]", "").Replace(v))
		}
	}
	for _, list := range c.values["delete-config"] {
		for _, k := range strings.Split(list, ",") {
			c.remove = append(c.remove, strings.TrimSpace(k))
		}
	}
	return nil
}

// splitList splits at commas that do not stand in brackets.
func splitList(s string) []string {
	var out []string
	depth, from := 0, 0
	for i, r := range s {
		switch r {
		case '[':
			depth++
		case ']':
			depth--
		case ',':
			if depth == 0 {
				out = append(out, s[from:i])
				from = i + 1
			}
		}
	}
	return append(out, s[from:])
}

func (e entity) resource() admin.Resource {
	kinds := map[string]kmsg.ConfigResourceType{
		"topics": kmsg.ConfigResourceTypeTopic, "brokers": kmsg.ConfigResourceTypeBroker, "groups": kmsg.ConfigResourceTypeGroupConfig,
		"client-metrics": kmsg.ConfigResourceTypeClientMetrics, "broker-loggers": kmsg.ConfigResourceTypeBrokerLogger,
	}
	return admin.Resource{Type: kinds[e.kind], Name: deref(e.name)}
}

// singular is the kind of one.
func (e entity) singular() string {
	if e.kind == "client-metrics" {
		return e.kind
	}
	return strings.TrimSuffix(e.kind, "s")
}

func (c *configs) alter(ctx context.Context) error {
	e := c.entities[0]
	var changes []admin.Change
	for _, k := range slices.Sorted(maps.Keys(c.add)) {
		changes = append(changes, admin.Change{Name: k, Op: kmsg.IncrementalAlterConfigOpSet, Value: c.add[k]})
	}
	for _, k := range c.remove {
		changes = append(changes, admin.Change{Name: k, Op: kmsg.IncrementalAlterConfigOpDelete})
	}
	if err := admin.AlterConfigs(ctx, c.cl, e.resource(), false, changes...); err != nil {
		return err
	}
	c.completed()
	return nil
}

func (c *configs) completed() {
	e := c.entities[0]
	if e.name == nil {
		fmt.Fprintf(c.Out, "Completed updating default config for %s in the cluster.\n", e.kind)
		return
	}
	fmt.Fprintf(c.Out, "Completed updating config for %s %s.\n", e.singular(), *e.name)
}

func (c *configs) describe(ctx context.Context) error {
	all, err := c.each(ctx, c.entities[0])
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := c.describeOne(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// each gives the entities that are meant, where a name was left out all of the kind.
func (c *configs) each(ctx context.Context, e entity) ([]entity, error) {
	if e.named {
		return []entity{e}, nil
	}
	var names []string
	switch e.kind {
	case "topics":
		topics, err := c.adm.ListTopicsWithInternal(ctx)
		if err != nil {
			return nil, err
		}
		names = topics.Names()
	case "brokers", "broker-loggers":
		brokers, err := c.adm.ListBrokers(ctx)
		if err != nil {
			return nil, err
		}
		for _, id := range brokers.NodeIDs() {
			names = append(names, strconv.Itoa(int(id)))
		}
	default:
		listed, err := c.adm.ListConfigResources(ctx, e.resource().Type)
		if err != nil {
			return nil, err
		}
		for _, r := range listed.Resources {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	var out []entity
	for _, name := range names {
		out = append(out, entity{e.kind, true, &name})
	}
	if e.kind == "brokers" {
		out = append(out, entity{e.kind, true, nil})
	}
	return out, nil
}

func (c *configs) describeOne(ctx context.Context, e entity) error {
	described, err := admin.Configs(ctx, c.cl, e.resource())
	if errors.Is(err, kerr.UnknownTopicOrPartition) || err == nil && c.isUnknownGroup(ctx, e, described) {
		fmt.Fprintf(c.Out, "The %s '%s' doesn't exist and doesn't have dynamic config.\n", e.singular(), *e.name)
		return nil
	} else if err != nil {
		return err
	}
	kind := "Dynamic"
	if c.has("all") || e.kind == "broker-loggers" {
		kind = "All"
	}
	if e.name == nil {
		fmt.Fprintf(c.Out, "Default configs for %s in the cluster are:\n", e.kind)
	} else {
		fmt.Fprintf(c.Out, "%s configs for %s %s are:\n", kind, e.singular(), *e.name)
	}
	for _, cfg := range described {
		if kind == "Dynamic" && e.name != nil && (!cfg.IsSet() || cfg.Source == "DYNAMIC_DEFAULT_BROKER_CONFIG") {
			continue
		}
		fmt.Fprintf(c.Out, "  %s=%s sensitive=%t synonyms={%s}\n", cfg.Name, admin.Text(cfg.Value), cfg.Sensitive, synonyms(cfg))
	}
	return nil
}

// isUnknownGroup tells whether a group is neither there nor has configurations of its own.
func (c *configs) isUnknownGroup(ctx context.Context, e entity, described []admin.Config) bool {
	if e.kind != "groups" || slices.ContainsFunc(described, admin.Config.IsSet) {
		return false
	}
	rows, err := admin.ListGroups(ctx, c.cl)
	return err == nil && !slices.ContainsFunc(rows, func(r admin.GroupRow) bool { return r.Group == *e.name })
}

func synonyms(c admin.Config) string {
	var words []string
	for _, s := range c.Synonyms {
		words = append(words, sourceName(s.Source)+":"+s.Name+"="+admin.Text(s.Value))
	}
	return strings.Join(words, ", ")
}

// sourceName is a source as Java programs call it.
func sourceName(s string) string {
	if s == "GROUP_CONFIG" || s == "CLIENT_METRICS_CONFIG" {
		return "DYNAMIC_" + s
	}
	return s
}
