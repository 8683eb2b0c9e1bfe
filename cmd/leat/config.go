package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
	"github.com/leatstream/leat/internal/diag"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func configCommand(std stdio) *cobra.Command {
	var c cluster
	cmd := group("config", "get, set and unset configurations of topics, brokers and groups")
	c.addTo(cmd)
	cmd.AddCommand(configGet(std, &c), configSet(std, &c), configUnset(std, &c))
	return cmd
}

const resourceWords = "topic NAME, broker ID, brokers (all of them) or group NAME"

// parseResource takes the words that name a resource off args.
func parseResource(cmd *cobra.Command, args []string, example string) (admin.Resource, []string, error) {
	if len(args) == 0 {
		return admin.Resource{}, nil, usageError("%s needs %s\n  hint: %s", cmd.Name(), resourceWords, example)
	}
	kinds := map[string]kmsg.ConfigResourceType{
		"topic": kmsg.ConfigResourceTypeTopic, "broker": kmsg.ConfigResourceTypeBroker, "group": kmsg.ConfigResourceTypeGroupConfig,
	}
	if args[0] == "brokers" {
		return admin.Resource{Type: kmsg.ConfigResourceTypeBroker}, args[1:], nil
	}
	kind, ok := kinds[args[0]]
	if !ok {
		return admin.Resource{}, nil, usageError("%q has no configuration: want %s\n  hint: %s", args[0], resourceWords, example)
	}
	if len(args) < 2 {
		return admin.Resource{}, nil, usageError("%s needs the name of a %s\n  hint: %s", cmd.Name(), args[0], example)
	}
	return admin.Resource{Type: kind, Name: args[1]}, args[2:], nil
}

func resourceName(r admin.Resource) string {
	switch {
	case r.Type == kmsg.ConfigResourceTypeTopic:
		return "topic " + r.Name
	case r.Type == kmsg.ConfigResourceTypeGroupConfig:
		return "group " + r.Name
	case r.Name == "":
		return "all brokers"
	}
	return "broker " + r.Name
}

func configGet(std stdio, c *cluster) *cobra.Command {
	var o output
	var changed bool
	example := "leat config get topic orders retention.ms"
	cmd := &cobra.Command{
		Use:   "get (topic NAME | broker ID | brokers | group NAME) [KEY…]",
		Short: "show configurations, where their values come from, and, of named keys, what they mean",
		Example: `  leat config get topic orders                           all of a topic
  leat config get topic orders retention.ms              one, with its meaning
  leat config get broker 0 --changed`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			r, keys, err := parseResource(cmd, args, example)
			if err != nil {
				return err
			}
			return c.ask(cmd.Context(), func(cl *kgo.Client) error {
				all, err := admin.Configs(cmd.Context(), cl, r)
				if err != nil {
					return configError(cmd.Context(), cl, r, err)
				}
				shown, err := pick(all, keys, changed)
				if err != nil {
					return fmt.Errorf("%s: %w", resourceName(r), err)
				}
				if len(keys) > 0 && o.format == "table" {
					return explain(std, shown)
				}
				t := table{head: []string{"KEY", "VALUE", "SOURCE"}}
				for _, cfg := range shown {
					t.rows = append(t.rows, []string{cfg.Name, shownValue(cfg), shownSource(cfg)})
				}
				return o.print(std.out, shown, t)
			})
		},
	}
	cmd.Flags().BoolVar(&changed, "changed", false, "only what is not a default")
	o.addTo(cmd)
	return cmd
}

// pick takes keys out of all. Without keys it takes everything.
func pick(all []admin.Config, keys []string, changed bool) ([]admin.Config, error) {
	byName := map[string]admin.Config{}
	names := make([]string, 0, len(all))
	for _, c := range all {
		byName[c.Name] = c
		names = append(names, c.Name)
	}
	out := []admin.Config{}
	if len(keys) == 0 {
		keys = names
	}
	for _, k := range keys {
		c, ok := byName[k]
		if !ok {
			return nil, unknownKey(k, names)
		}
		if !changed || c.Source != "DEFAULT_CONFIG" {
			out = append(out, c)
		}
	}
	return out, nil
}

func unknownKey(key string, known []string) error {
	if near := diag.Nearest(key, known); near != "" {
		return usageError("there is no configuration %q\n  hint: did you mean %q?", key, near)
	}
	return usageError("there is no configuration %q\n  hint: `leat config get` without a key lists them", key)
}

// explain shows configurations at length.
func explain(std stdio, configs []admin.Config) error {
	for i, c := range configs {
		if i > 0 {
			fmt.Fprintln(std.out)
		}
		fmt.Fprintf(std.out, "%s = %s  (%s, %s)\n", c.Name, shownValue(c), strings.ToLower(c.Type), shownSource(c))
		if c.Doc != "" {
			fmt.Fprintf(std.out, "  %s\n", c.Doc)
		}
		for _, s := range c.Synonyms {
			fmt.Fprintf(std.out, "  %s: %s = %s\n", sourceWords(s.Source), s.Name, admin.Text(s.Value))
		}
		if c.ReadOnly {
			fmt.Fprintln(std.out, "  cannot be changed while the broker runs")
		}
	}
	return nil
}

func shownValue(c admin.Config) string {
	if c.Sensitive {
		return "(hidden)"
	}
	if c.Value == nil {
		return "-"
	}
	return cmp.Or(*c.Value, `""`)
}

func shownSource(c admin.Config) string { return sourceWords(c.Source) }

// sourceWords says in plain words where a value comes from.
func sourceWords(source string) string {
	words := map[string]string{
		"DYNAMIC_TOPIC_CONFIG": "set on the topic", "DYNAMIC_BROKER_CONFIG": "set on the broker", "DYNAMIC_DEFAULT_BROKER_CONFIG": "set on all brokers",
		"STATIC_BROKER_CONFIG": "the broker was started with it", "DEFAULT_CONFIG": "default", "GROUP_CONFIG": "set on the group", "DYNAMIC_GROUP_CONFIG": "set on the group",
	}
	return cmp.Or(words[source], strings.ToLower(source))
}

func configSet(std stdio, c *cluster) *cobra.Command {
	var dry bool
	example := "leat config set topic orders retention.ms=86400000"
	cmd := &cobra.Command{
		Use:   "set (topic NAME | broker ID | brokers | group NAME) KEY=VALUE…",
		Short: "set configurations, all or none",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, words, err := parseResource(cmd, args, example)
			if err != nil {
				return err
			}
			changes, err := parseChanges("set", words, nil)
			if err != nil {
				return err
			}
			return alterConfigs(cmd, std, c, r, changes, dry, "set", example)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only let the cluster check it")
	return cmd
}

func configUnset(std stdio, c *cluster) *cobra.Command {
	example := "leat config unset topic orders retention.ms"
	return &cobra.Command{
		Use:   "unset (topic NAME | broker ID | brokers | group NAME) KEY…",
		Short: "let configurations go back to their defaults",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, keys, err := parseResource(cmd, args, example)
			if err != nil {
				return err
			}
			changes, err := parseChanges("unset", nil, keys)
			if err != nil {
				return err
			}
			return alterConfigs(cmd, std, c, r, changes, false, "unset", example)
		},
	}
}

func alterConfigs(cmd *cobra.Command, std stdio, c *cluster, r admin.Resource, changes []admin.Change, dry bool, verb, example string) error {
	if len(changes) == 0 {
		return usageError("%s needs what to %s\n  hint: %s", verb, verb, example)
	}
	return c.ask(cmd.Context(), func(cl *kgo.Client) error {
		if err := known(cmd.Context(), cl, r, changes); err != nil {
			return configError(cmd.Context(), cl, r, err)
		}
		if err := admin.AlterConfigs(cmd.Context(), cl, r, dry, changes...); err != nil {
			return configError(cmd.Context(), cl, r, err)
		}
		if dry {
			fmt.Fprintf(std.err, "%s: the cluster would accept this; nothing was changed\n", resourceName(r))
			return nil
		}
		for _, ch := range changes {
			fmt.Fprintf(std.err, "%s: %s %s\n", resourceName(r), verb, ch.Name)
		}
		return nil
	})
}

// known refuses to unset what there is not, which a cluster does without a word. What is set on all brokers is listed by
// no cluster unless it is set.
func known(ctx context.Context, cl *kgo.Client, r admin.Resource, changes []admin.Change) error {
	var unset []string
	for _, ch := range changes {
		if ch.Op == kmsg.IncrementalAlterConfigOpDelete {
			unset = append(unset, ch.Name)
		}
	}
	if len(unset) == 0 || r.Name == "" {
		return nil
	}
	all, err := admin.Configs(ctx, cl, r)
	if err != nil {
		return err
	}
	_, err = pick(all, unset, false)
	return err
}

// configError names the resource, and the topic or the key that may have been meant.
func configError(ctx context.Context, cl *kgo.Client, r admin.Resource, err error) error {
	err = fmt.Errorf("%s: %w", resourceName(r), kafkaError(err))
	if r.Type == kmsg.ConfigResourceTypeTopic {
		return unknownTopic(ctx, kadm.NewClient(cl), r.Name, err)
	}
	return err
}
