package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

type seekFlags struct {
	output
	to      string
	topics  []string
	execute bool
	dryRun  bool
}

func groupSeek(std stdio, c *cluster) *cobra.Command {
	var f seekFlags
	cmd := &cobra.Command{
		Use:   "seek GROUP --to PLACE",
		Short: "move what a group reads next; shows what it would do, and does it with --execute",
		Example: `  leat group seek billing --to start                     show what reading everything again would mean
  leat group seek billing --to start --execute           do it
  leat group seek billing --to @-1h -t orders --execute
  leat group seek billing --to +1 -t orders:3 --execute  step over one record of partition 3`,
		Args: oneArg("a group", "leat group seek my-group --to start --topic orders --execute"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if f.to == "" {
				return usageError("seek needs --to PLACE\n  hint: start, end, an offset, +N or -N records from where the group is, %s", timeHint)
			}
			if f.execute && f.dryRun {
				return usageError("--execute and --dry-run exclude each other")
			}
			target, err := parseTarget("--to", f.to)
			if err != nil {
				return err
			}
			parts, err := parsePartitions("--topic", f.topics)
			if err != nil {
				return err
			}
			return c.ask(cmd.Context(), func(cl *kgo.Client) error { return f.run(cmd.Context(), std, cl, args[0], parts, target) })
		},
	}
	cmd.Flags().StringVar(&f.to, "to", "", "start, end, an offset, +N or -N records from where the group is, or @TIME")
	cmd.Flags().StringArrayVarP(&f.topics, "topic", "t", nil, "TOPIC, or TOPIC:0,2 for some partitions; can be repeated (default: all that the group has committed)")
	cmd.Flags().BoolVar(&f.execute, "execute", false, "do it")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only show it, as without --execute")
	f.addTo(cmd)
	return cmd
}

func (f *seekFlags) run(ctx context.Context, std stdio, cl *kgo.Client, group string, parts admin.Partitions, target admin.Target) error {
	g, err := admin.DescribeGroup(ctx, cl, group)
	if err != nil && (!admin.IsNoGroup(err) || len(parts) == 0) { // a group may be given offsets before it exists
		return groupError(ctx, cl, group, err)
	}
	if f.execute && len(g.Members) > 0 {
		return fmt.Errorf("group %s: %w: it has %s, which would go on where they are\n  hint: stop its consumers first; `leat group describe %s` shows where they run",
			group, errNonEmpty, counted(len(g.Members), "active member"), group)
	}
	if len(parts) == 0 {
		parts, err = admin.Committed(ctx, cl, group)
	} else {
		parts, err = wholeTopics(ctx, cl, parts)
	}
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		return fmt.Errorf("group %s has committed nothing yet\n  hint: say where with --topic TOPIC", group)
	}
	moves, err := admin.Seek(ctx, cl, group, parts, target)
	if err != nil {
		return err
	}
	if f.execute {
		if err := admin.Commit(ctx, cl, group, moves); err != nil {
			return groupError(ctx, cl, group, err)
		}
	}
	t := table{head: []string{"TOPIC", "PARTITION", "FROM", "TO"}}
	for _, m := range moves {
		t.rows = append(t.rows, []string{m.Topic, strconv.Itoa(int(m.Partition)), orDash(m.From), strconv.FormatInt(m.To, 10)})
	}
	if err := f.print(std.out, moves, t); err != nil {
		return err
	}
	if f.execute {
		fmt.Fprintf(std.err, "moved group %s in %s\n", group, counted(len(moves), "partition"))
	} else {
		fmt.Fprintln(std.err, "nothing was moved: this is what --execute would do")
	}
	return nil
}

var errNonEmpty = errors.New("NON_EMPTY_GROUP")
