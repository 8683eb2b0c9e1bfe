package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/internal/diag"
)

func groupCommand(std stdio) *cobra.Command {
	var c cluster
	cmd := group("group", "list and describe consumer groups, move and delete their offsets")
	c.addTo(cmd)
	cmd.AddCommand(
		groupList(std, &c), c.completes(groupDescribe(std, &c), 0, groupNames), c.completes(groupDelete(std, &c), 0, groupNames),
		c.completes(groupSeek(std, &c), 1, groupNames), c.completes(groupDeleteOffsets(std, &c), 1, groupNames),
	)
	return cmd
}

func groupList(std stdio, c *cluster) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list consumer groups",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return c.ask(cmd.Context(), func(cl *kgo.Client) error {
				rows, err := admin.ListGroups(cmd.Context(), cl)
				if err != nil {
					return err
				}
				t := table{head: []string{"GROUP", "STATE", "TYPE", "PROTOCOL"}}
				for _, g := range rows {
					t.rows = append(t.rows, []string{g.Group, g.State, g.Type, g.ProtocolType})
				}
				return o.print(std.out, rows, t)
			})
		},
	}
	o.addTo(cmd)
	return cmd
}

func groupDescribe(std stdio, c *cluster) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "describe GROUP…",
		Short: "show members, committed offsets and lag of consumer groups",
		Args:  wantArgs("a group", "leat group describe my-group"),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return c.ask(cmd.Context(), func(cl *kgo.Client) error {
				all, err := describeGroups(cmd.Context(), cl, names)
				if err != nil {
					return err
				}
				if o.format != "table" {
					return o.print(std.out, all, table{})
				}
				for i, g := range all {
					if i > 0 {
						fmt.Fprintln(std.out)
					}
					if err := printGroup(std, &o, g); err != nil {
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

func printGroup(std stdio, o *output, g admin.Group) error {
	fmt.Fprintf(std.out, "group %s  %s  %s  %s  lag %d\n", g.Group, g.State, g.Type, counted(len(g.Members), "member"), g.Lag)
	t := table{head: []string{"TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER", "CLIENT", "HOST"}}
	for _, r := range g.Offsets {
		t.rows = append(t.rows, []string{
			r.Topic, strconv.Itoa(int(r.Partition)), orDash(r.Committed), orDash(r.End), orDash(r.Lag),
			cmp.Or(r.Member, "-"), cmp.Or(r.Client, "-"), cmp.Or(r.Host, "-"),
		})
	}
	for _, m := range g.Members {
		if len(m.Assigned) == 0 {
			t.rows = append(t.rows, []string{"-", "-", "-", "-", "-", m.Member, m.Client, m.Host})
		}
	}
	return o.print(std.out, nil, t)
}

// orDash is an offset, or a dash where there is none.
func orDash(offset int64) string {
	if offset < 0 {
		return "-"
	}
	return strconv.FormatInt(offset, 10)
}

func describeGroups(ctx context.Context, cl *kgo.Client, names []string) ([]admin.Group, error) {
	var all []admin.Group
	for _, name := range names {
		g, err := admin.DescribeGroup(ctx, cl, name)
		if err != nil {
			return nil, groupError(ctx, cl, name, err)
		}
		all = append(all, g)
	}
	return all, nil
}

// groupError names the group that something is wrong with, and what to do about it.
func groupError(ctx context.Context, cl *kgo.Client, name string, err error) error {
	err = fmt.Errorf("group %s: %w", name, kafkaError(err))
	switch {
	case errors.Is(err, kerr.GroupIDNotFound):
		return fmt.Errorf("%w\n  hint: %s", err, nearGroup(ctx, cl, name))
	case errors.Is(err, kerr.NonEmptyGroup), errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.GroupSubscribedToTopic):
		return fmt.Errorf("%w\n  hint: stop the group's consumers first; `leat group describe %s` shows where they run", err, name)
	}
	return err
}

func nearGroup(ctx context.Context, cl *kgo.Client, name string) string {
	groups, err := kadm.NewClient(cl).ListGroups(ctx)
	if near := diag.Nearest(name, groups.Groups()); err == nil && near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "`leat group list` shows the groups"
}

func groupDelete(std stdio, c *cluster) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete GROUP…",
		Short: "forget groups and what they have committed; no record is touched",
		Args:  wantArgs("a group", "leat group delete my-group"),
		RunE: func(cmd *cobra.Command, names []string) error {
			return c.ask(cmd.Context(), func(cl *kgo.Client) error {
				if err := sure(std, yes, fmt.Sprintf("Forget how far %v came?", names)); err != nil {
					return err
				}
				resp, err := kadm.NewClient(cl).DeleteGroups(cmd.Context(), names...)
				if err != nil {
					return err
				}
				var errs []error
				for _, name := range names {
					if r := resp[name]; r.Err != nil {
						errs = append(errs, groupError(cmd.Context(), cl, name, r.Err))
						continue
					}
					fmt.Fprintf(std.err, "deleted group %s\n", name)
				}
				return errors.Join(errs...)
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func groupDeleteOffsets(std stdio, c *cluster) *cobra.Command {
	var topics []string
	cmd := &cobra.Command{
		Use:   "delete-offsets GROUP --topic TOPIC[:PARTITION,…]",
		Short: "forget what a group has committed in some topics",
		Args:  oneArg("a group", "leat group delete-offsets my-group --topic orders"),
		RunE: func(cmd *cobra.Command, args []string) error {
			parts, err := parsePartitions("--topic", topics)
			if err != nil {
				return err
			}
			if len(parts) == 0 {
				return usageError("delete-offsets needs --topic TOPIC\n  hint: to forget the whole group, `leat group delete %s`", args[0])
			}
			return c.ask(cmd.Context(), func(cl *kgo.Client) error {
				return deleteOffsets(cmd.Context(), std, cl, args[0], parts)
			})
		},
	}
	cmd.Flags().StringArrayVarP(&topics, "topic", "t", nil, "TOPIC, or TOPIC:0,2 for some partitions; can be repeated")
	return cmd
}

func deleteOffsets(ctx context.Context, std stdio, cl *kgo.Client, group string, parts admin.Partitions) error {
	parts, err := wholeTopics(ctx, cl, parts)
	if err != nil {
		return err
	}
	resp, err := admin.DeleteOffsets(ctx, cl, group, parts)
	if err != nil {
		return groupError(ctx, cl, group, err)
	}
	var errs []error
	parts.Each(func(topic string, p int32) {
		if err := resp[topic][p]; err != nil {
			errs = append(errs, fmt.Errorf("topic %s partition %d: %w", topic, p, groupError(ctx, cl, group, err)))
			return
		}
		fmt.Fprintf(std.err, "group %s has nothing committed in %s/%d any more\n", group, topic, p)
	})
	return errors.Join(errs...)
}

// wholeTopics is admin.Whole with a hint for a topic that is not there.
func wholeTopics(ctx context.Context, cl *kgo.Client, parts admin.Partitions) (admin.Partitions, error) {
	whole, err := admin.Whole(ctx, cl, parts)
	var topic *admin.TopicError
	if errors.As(err, &topic) {
		return nil, unknownTopic(ctx, kadm.NewClient(cl), topic.Topic, err)
	}
	return whole, err
}
