package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func topicAlter(std stdio, c *cluster) *cobra.Command {
	var partitions int
	var set, unset []string
	cmd := &cobra.Command{
		Use:   "alter TOPIC…",
		Short: "add partitions to topics, change their configuration",
		Args:  wantArgs("a topic", "leat topic alter orders --partitions 6 --config retention.ms=86400000"),
		RunE: func(cmd *cobra.Command, names []string) error {
			changes, err := parseChanges("--config", set, unset)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("partitions") && partitions < 1 {
				return usageError("--partitions %d: a topic has at least one", partitions)
			}
			if partitions == 0 && len(changes) == 0 {
				return usageError("alter needs something to change\n  hint: --partitions N, --config KEY=VALUE or --unset KEY")
			}
			return c.ask(cmd.Context(), func(cl *kgo.Client) error {
				adm := kadm.NewClient(cl)
				return eachTopic(names, func(name string) error {
					if err := alterTopic(cmd.Context(), cl, name, changes, partitions); err != nil {
						return unknownTopic(cmd.Context(), adm, name, err)
					}
					fmt.Fprintf(std.err, "altered topic %s\n", name)
					return nil
				})
			})
		},
	}
	cmd.Flags().IntVarP(&partitions, "partitions", "p", 0, "number of partitions from now on; keys may land elsewhere than before")
	cmd.Flags().StringArrayVarP(&set, "config", "c", nil, "topic configuration by Kafka's names, KEY=VALUE")
	cmd.Flags().StringArrayVar(&unset, "unset", nil, "configuration that goes back to the default")
	return cmd
}

// alterTopic makes the changes of configurations, if there are some, and sets the number of partitions, unless it is 0.
func alterTopic(ctx context.Context, cl *kgo.Client, name string, changes []admin.Change, partitions int) error {
	if len(changes) > 0 {
		r := admin.Resource{Type: kmsg.ConfigResourceTypeTopic, Name: name}
		if err := known(ctx, cl, r, changes); err != nil {
			return err
		}
		if err := admin.AlterConfigs(ctx, cl, r, false, changes...); err != nil {
			return err
		}
	}
	if partitions == 0 {
		return nil
	}
	resp, err := kadm.NewClient(cl).UpdatePartitions(ctx, partitions, name)
	if err != nil {
		return err
	}
	return admin.Refuse(resp[name].Err, resp[name].ErrMessage)
}

// parseSettings reads KEY=VALUE words. A value may have commas.
func parseSettings(flag string, words []string) (map[string]string, error) {
	out := map[string]string{}
	for _, kv := range words {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return nil, usageError("%s %s: want KEY=VALUE\n  hint: retention.ms=86400000", flag, kv)
		}
		out[k] = v
	}
	return out, nil
}

// parseChanges reads KEY=VALUE words and keys to unset.
func parseChanges(flag string, set, unset []string) ([]admin.Change, error) {
	settings, err := parseSettings(flag, set)
	if err != nil {
		return nil, err
	}
	var out []admin.Change
	for _, k := range sortedKeys(settings) {
		out = append(out, admin.Change{Name: k, Op: kmsg.IncrementalAlterConfigOpSet, Value: settings[k]})
	}
	for _, k := range unset {
		out = append(out, admin.Change{Name: k, Op: kmsg.IncrementalAlterConfigOpDelete})
	}
	return out, nil
}

func topicPurge(std stdio, c *cluster) *cobra.Command {
	var before string
	var yes bool
	cmd := &cobra.Command{
		Use:   "purge TOPIC[:PARTITION,…]…",
		Short: "delete the records of topics, or those before an offset or a time; the topics stay",
		Example: `  leat topic purge orders                                everything
  leat topic purge orders --before @-24h                 what is older than a day
  leat topic purge orders:0,2 --before 1000`,
		Args: wantArgs("a topic", "leat topic purge orders --before @2026-01-01"),
		RunE: func(cmd *cobra.Command, words []string) error {
			parts, err := parsePartitions("purge", words)
			if err != nil {
				return err
			}
			target, err := parseTarget("--before", before)
			if err != nil {
				return err
			}
			return c.ask(cmd.Context(), func(cl *kgo.Client) error { return purge(cmd.Context(), std, cl, parts, target, yes) })
		},
	}
	cmd.Flags().StringVar(&before, "before", "end", "end, an offset, +N (the first N of each partition), -N (all but the last N), or @TIME")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func purge(ctx context.Context, std stdio, cl *kgo.Client, parts admin.Partitions, target admin.Target, yes bool) error {
	parts, err := wholeTopics(ctx, cl, parts)
	if err != nil {
		return err
	}
	ranges, err := admin.Before(ctx, cl, parts, target)
	if err != nil {
		return err
	}
	total := int64(0)
	before := kadm.Offsets{}
	for _, r := range ranges {
		total += r.To - r.From
		before.AddOffset(r.Topic, r.Partition, r.To, -1)
	}
	if total == 0 {
		fmt.Fprintln(std.err, "there is nothing to delete")
		return nil
	}
	if err := sure(std, yes, fmt.Sprintf("Delete %s from %s for good?", counted(total, "record"), counted(len(ranges), "partition"))); err != nil {
		return err
	}
	resp, err := kadm.NewClient(cl).DeleteRecords(ctx, before)
	if err != nil {
		return err
	}
	if err := resp.Error(); err != nil {
		return err
	}
	t := table{head: []string{"TOPIC", "PARTITION", "FROM", "NOW STARTS AT"}}
	for _, r := range ranges {
		now, _ := resp.Lookup(r.Topic, r.Partition)
		t.rows = append(t.rows, []string{r.Topic, strconv.Itoa(int(r.Partition)), strconv.FormatInt(r.From, 10), strconv.FormatInt(now.LowWatermark, 10)})
	}
	return t.print(std.err)
}
