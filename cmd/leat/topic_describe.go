package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type topicDescription struct {
	Topic      string            `json:"topic"`
	ID         string            `json:"id"`
	Config     map[string]string `json:"config"` // what was set on the topic, not the defaults
	Partitions []partitionRow    `json:"partitions"`
}

type partitionRow struct {
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"`
	Epoch     int32   `json:"leader_epoch"`
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
	Start     int64   `json:"start_offset"`
	End       int64   `json:"end_offset"`
}

func topicDescribe(std stdio, c *cluster) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "describe TOPIC…",
		Short: "show partitions, leaders, offsets and configuration of topics",
		Args:  wantArgs("a topic", "leat topic describe orders"),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return c.admin(cmd.Context(), func(adm *kadm.Client) error {
				all, err := describeTopics(cmd.Context(), adm, names)
				if err != nil {
					return err
				}
				if o.format != "table" {
					return o.print(std.out, all, table{})
				}
				for i, d := range all {
					if i > 0 {
						fmt.Fprintln(std.out)
					}
					if err := d.print(std, &o); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	o.addTo(cmd)
	return cmd
}

func (d topicDescription) print(std stdio, o *output) error {
	words := make([]string, 0, len(d.Config))
	for _, k := range sortedKeys(d.Config) {
		words = append(words, k+"="+d.Config[k])
	}
	fmt.Fprintf(std.out, "topic %s  id %s  config %s\n", d.Topic, d.ID, cmp.Or(strings.Join(words, " "), "(defaults)"))
	t := table{head: []string{"PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "START", "END"}}
	for _, p := range d.Partitions {
		t.rows = append(t.rows, []string{
			strconv.Itoa(int(p.Partition)), strconv.Itoa(int(p.Leader)), strconv.Itoa(int(p.Epoch)),
			joinIDs(p.Replicas), joinIDs(p.ISR), strconv.FormatInt(p.Start, 10), strconv.FormatInt(p.End, 10),
		})
	}
	return o.print(std.out, nil, t)
}

func describeTopics(ctx context.Context, adm *kadm.Client, names []string) ([]topicDescription, error) {
	details, err := adm.ListTopics(ctx, names...)
	if err != nil {
		return nil, err
	}
	if err := eachTopic(names, func(name string) error {
		if d, ok := details[name]; !ok || d.Err != nil {
			return unknownTopic(ctx, adm, name, cmp.Or(d.Err, error(kerr.UnknownTopicOrPartition)))
		}
		return nil
	}); err != nil {
		return nil, err
	}
	starts, err := adm.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	ends, err := adm.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	configs, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, err
	}
	var all []topicDescription
	for _, name := range names {
		all = append(all, describe(details[name], starts, ends, configs))
	}
	return all, nil
}

func describe(d kadm.TopicDetail, starts, ends kadm.ListedOffsets, configs kadm.ResourceConfigs) topicDescription {
	out := topicDescription{Topic: d.Topic, ID: admin.TopicID(d.ID), Config: map[string]string{}, Partitions: []partitionRow{}}
	if rc, err := configs.On(d.Topic, nil); err == nil && rc.Err == nil { // a topic without readable configuration is still described
		for _, c := range rc.Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				out.Config[c.Key] = c.MaybeValue()
			}
		}
	}
	for _, p := range d.Partitions {
		start, _ := starts.Lookup(d.Topic, p.Partition)
		end, _ := ends.Lookup(d.Topic, p.Partition)
		out.Partitions = append(out.Partitions, partitionRow{p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR, start.Offset, end.Offset})
	}
	slices.SortFunc(out.Partitions, func(a, b partitionRow) int { return cmp.Compare(a.Partition, b.Partition) })
	return out
}
