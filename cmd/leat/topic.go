package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
	"github.com/leatstream/leat/internal/diag"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func topicCommand(std stdio) *cobra.Command {
	var c cluster
	cmd := group("topic", "list, create, describe, alter, purge and delete topics")
	c.addTo(cmd)
	cmd.AddCommand(topicList(std, &c), topicCreate(std, &c))
	for _, existing := range []*cobra.Command{topicDescribe(std, &c), topicAlter(std, &c), topicPurge(std, &c), topicDelete(std, &c)} {
		cmd.AddCommand(c.completes(existing, 0, topicNames))
	}
	return cmd
}

type topicRow struct {
	Topic      string `json:"topic"`
	ID         string `json:"id"`
	Partitions int    `json:"partitions"`
	Replicas   int    `json:"replicas"`
}

func topicList(std stdio, c *cluster) *cobra.Command {
	var o output
	var internal bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list topics",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return c.admin(cmd.Context(), func(adm *kadm.Client) error {
				topics, err := adm.ListTopicsWithInternal(cmd.Context())
				if err != nil {
					return err
				}
				rows := []topicRow{}
				t := table{head: []string{"TOPIC", "PARTITIONS", "REPLICAS"}}
				for _, d := range topics.Sorted() {
					if d.IsInternal && !internal {
						continue
					}
					row := topicRow{d.Topic, admin.TopicID(d.ID), len(d.Partitions), d.Partitions.NumReplicas()}
					rows = append(rows, row)
					t.rows = append(t.rows, []string{row.Topic, strconv.Itoa(row.Partitions), strconv.Itoa(row.Replicas)})
				}
				return o.print(std.out, rows, t)
			})
		},
	}
	cmd.Flags().BoolVar(&internal, "internal", false, "also the topics that the cluster keeps for itself")
	o.addTo(cmd)
	return cmd
}

func topicCreate(std stdio, c *cluster) *cobra.Command {
	var partitions int32
	var replicas int16
	var config []string
	var ifNotExists bool
	cmd := &cobra.Command{
		Use:   "create TOPIC…",
		Short: "create topics",
		Args:  wantArgs("a topic", "leat topic create orders --partitions 3"),
		RunE: func(cmd *cobra.Command, names []string) error {
			settings, err := parseSettings("--config", config)
			if err != nil {
				return err
			}
			return c.admin(cmd.Context(), func(adm *kadm.Client) error {
				resp, err := adm.CreateTopics(cmd.Context(), partitions, replicas, pointers(settings), names...)
				if err != nil {
					return err
				}
				return eachTopic(names, func(name string) error {
					r := resp[name]
					switch {
					case errors.Is(r.Err, kerr.TopicAlreadyExists) && ifNotExists:
						fmt.Fprintf(std.err, "topic %s is there already\n", name)
						return nil
					case r.Err != nil:
						return admin.Refuse(r.Err, r.ErrMessage)
					}
					fmt.Fprintf(std.err, "created topic %s with %s\n", name, counted(r.NumPartitions, "partition"))
					return nil
				})
			})
		},
	}
	cmd.Flags().Int32VarP(&partitions, "partitions", "p", -1, "number of partitions (-1: what the cluster is set to)")
	cmd.Flags().Int16VarP(&replicas, "replication-factor", "r", -1, "copies of each partition (-1: what the cluster is set to)")
	cmd.Flags().StringArrayVarP(&config, "config", "c", nil, "topic configuration by Kafka's names, KEY=VALUE")
	cmd.Flags().BoolVar(&ifNotExists, "if-not-exists", false, "succeed if the topic is there")
	return cmd
}

func topicDelete(std stdio, c *cluster) *cobra.Command {
	var yes, ifExists bool
	cmd := &cobra.Command{
		Use:   "delete TOPIC…",
		Short: "delete topics and everything in them",
		Args:  wantArgs("a topic", "leat topic delete orders"),
		RunE: func(cmd *cobra.Command, names []string) error {
			return c.admin(cmd.Context(), func(adm *kadm.Client) error {
				if err := sure(std, yes, fmt.Sprintf("Delete %s and all records in it for good?", strings.Join(names, ", "))); err != nil {
					return err
				}
				resp, err := adm.DeleteTopics(cmd.Context(), names...)
				if err != nil {
					return err
				}
				return eachTopic(names, func(name string) error {
					switch r := resp[name]; {
					case errors.Is(r.Err, kerr.UnknownTopicOrPartition) && ifExists:
						fmt.Fprintf(std.err, "topic %s is not there\n", name)
						return nil
					case r.Err != nil:
						return unknownTopic(cmd.Context(), adm, name, admin.Refuse(r.Err, r.ErrMessage))
					}
					fmt.Fprintf(std.err, "deleted topic %s\n", name)
					return nil
				})
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&ifExists, "if-exists", false, "succeed if the topic is not there")
	return cmd
}

// eachTopic does one thing for every name and keeps the first error until all are done.
func eachTopic(names []string, do func(string) error) error {
	var errs []error
	for _, name := range names {
		if err := do(name); err != nil {
			errs = append(errs, fmt.Errorf("topic %s: %w", named(name), kafkaError(err)))
		}
	}
	return errors.Join(errs...)
}

// unknownTopic adds the nearest existing name to an error about a topic that is not there.
func unknownTopic(ctx context.Context, adm *kadm.Client, name string, err error) error {
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return err
	}
	topics, listErr := adm.ListTopics(ctx)
	if listErr != nil {
		return err
	}
	if near := diag.Nearest(name, topics.Names()); near != "" {
		return fmt.Errorf("%w\n  hint: did you mean %q?", err, near)
	}
	return fmt.Errorf("%w\n  hint: `leat topic list` shows the topics", err)
}

// named is a name as errors show it: between quotes where it could not be told from the sentence.
func named(name string) string {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }) {
		return strconv.Quote(name)
	}
	return name
}

func pointers(config map[string]string) map[string]*string {
	out := make(map[string]*string, len(config))
	for k, v := range config {
		out[k] = &v
	}
	return out
}

func joinIDs(ids []int32) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = strconv.Itoa(int(id))
	}
	return strings.Join(words, ",")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
