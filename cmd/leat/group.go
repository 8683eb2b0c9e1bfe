package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/leatstream/leat/internal/diag"
)

func groupCommand(std stdio) *cobra.Command {
	var c cluster
	cmd := group("group", "list and describe consumer groups")
	c.addTo(cmd)
	cmd.AddCommand(groupList(std, &c), groupDescribe(std, &c))
	return cmd
}

type groupRow struct {
	Group    string `json:"group"`
	State    string `json:"state"`
	Protocol string `json:"protocol_type"`
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
			return c.admin(cmd.Context(), func(adm *kadm.Client) error {
				groups, err := adm.ListGroups(cmd.Context())
				if err != nil {
					return err
				}
				rows := []groupRow{}
				t := table{head: []string{"GROUP", "STATE", "PROTOCOL"}}
				for _, g := range groups.Sorted() {
					rows = append(rows, groupRow{g.Group, g.State, g.ProtocolType})
					t.rows = append(t.rows, []string{g.Group, g.State, g.ProtocolType})
				}
				return o.print(std.out, rows, t)
			})
		},
	}
	o.addTo(cmd)
	return cmd
}

type groupDescription struct {
	Group   string      `json:"group"`
	State   string      `json:"state"`
	Members []memberRow `json:"members"`
	Offsets []lagRow    `json:"offsets"`
	Lag     int64       `json:"lag"`
}

type memberRow struct {
	Member   string `json:"member"`
	Instance string `json:"instance,omitempty"`
	Client   string `json:"client"`
	Host     string `json:"host"`
}

type lagRow struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"` // -1: nothing committed
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"`
	Member    string `json:"member,omitempty"`
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
			return c.admin(cmd.Context(), func(adm *kadm.Client) error {
				all, err := describeGroups(cmd.Context(), adm, names)
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
					if err := g.print(std, &o); err != nil {
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

func (g groupDescription) print(std stdio, o *output) error {
	fmt.Fprintf(std.out, "group %s  %s  %d members  lag %d\n", g.Group, g.State, len(g.Members), g.Lag)
	t := table{head: []string{"TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER"}}
	for _, r := range g.Offsets {
		committed := "-"
		if r.Committed >= 0 {
			committed = strconv.FormatInt(r.Committed, 10)
		}
		t.rows = append(t.rows, []string{
			r.Topic, strconv.Itoa(int(r.Partition)), committed,
			strconv.FormatInt(r.End, 10), strconv.FormatInt(r.Lag, 10), cmp.Or(r.Member, "-"),
		})
	}
	return o.print(std.out, nil, t)
}

func describeGroups(ctx context.Context, adm *kadm.Client, names []string) ([]groupDescription, error) {
	lags, err := adm.Lag(ctx, names...)
	if err != nil {
		return nil, err
	}
	var all []groupDescription
	for _, name := range names {
		l, ok := lags[name]
		if errors.Is(l.DescribeErr, kerr.GroupIDNotFound) {
			return nil, unknownGroup(ctx, adm, name)
		}
		if err := cmp.Or(l.DescribeErr, l.FetchErr); err != nil {
			return nil, fmt.Errorf("group %s: %w", name, err)
		}
		if !ok || l.State == "Dead" {
			return nil, unknownGroup(ctx, adm, name)
		}
		all = append(all, describeGroup(l))
	}
	return all, nil
}

func unknownGroup(ctx context.Context, adm *kadm.Client, name string) error {
	err := fmt.Errorf("group %s: %w", name, kerr.GroupIDNotFound)
	groups, listErr := adm.ListGroups(ctx)
	if listErr != nil {
		return errors.Join(err, listErr)
	}
	if near := diag.Nearest(name, groups.Groups()); near != "" {
		return fmt.Errorf("%w\n  hint: did you mean %q?", err, near)
	}
	return fmt.Errorf("%w\n  hint: `leat group list` shows the groups", err)
}

func describeGroup(l kadm.DescribedGroupLag) groupDescription {
	g := groupDescription{Group: l.Group, State: l.State, Members: []memberRow{}, Offsets: []lagRow{}, Lag: l.Lag.Total()}
	for _, m := range l.Members {
		row := memberRow{Member: m.MemberID, Client: m.ClientID, Host: m.ClientHost}
		if m.InstanceID != nil {
			row.Instance = *m.InstanceID
		}
		g.Members = append(g.Members, row)
	}
	for _, p := range l.Lag.Sorted() {
		row := lagRow{Topic: p.Topic, Partition: p.Partition, Committed: p.Commit.At, End: p.End.Offset, Lag: p.Lag}
		if p.Member != nil {
			row.Member = p.Member.MemberID
		}
		g.Offsets = append(g.Offsets, row)
	}
	slices.SortFunc(g.Offsets, func(a, b lagRow) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return g
}
