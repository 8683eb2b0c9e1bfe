package apache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var groupsTool = &tool{
	about: "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset consumer group offsets.",
	options: append(slices.Clone(bootstrapOptions),
		option{name: "list", help: "List all consumer groups."},
		option{name: "describe", help: "Show offsets and lag, or --members, or --state."},
		option{name: "delete", help: "Forget groups and their offsets."},
		option{name: "reset-offsets", help: "Move what groups read next. Shows it; --execute does it."},
		option{name: "delete-offsets", help: "Forget the offsets of a group in topics."},
		option{name: "validate-regex", arg: "regex", help: "Check a regular expression of topics."},
		option{name: "group", arg: "group", help: "The group; can be repeated."},
		option{name: "all-groups", help: "All groups."},
		option{name: "topic", arg: "topic", help: "The topic, topic:0,2 for some partitions; can be repeated."},
		option{name: "all-topics", help: "All topics in which the group has committed."},
		option{name: "members", help: "Describe members."},
		option{name: "offsets", help: "Describe offsets (the default)."},
		option{name: "state", arg: "states", bare: true, help: "Describe the state; with --list, show it, or list only groups in these states."},
		option{name: "type", arg: "types", bare: true, help: "With --list, show the type, or list only groups of these types."},
		option{name: "verbose", help: "Describe more."},
		option{name: "execute", help: "Do it."},
		option{name: "dry-run", help: "Only show it."},
		option{name: "export", help: "Print it as CSV."},
		option{name: "to-earliest", help: "Reset to the oldest record."},
		option{name: "to-latest", help: "Reset to the end."},
		option{name: "to-current", help: "Reset to where the group is."},
		option{name: "to-offset", arg: "offset", help: "Reset to an offset."},
		option{name: "shift-by", arg: "number", help: "Reset by so many records, back if negative."},
		option{name: "to-datetime", arg: "datetime", help: "Reset to a time, YYYY-MM-DDThh:mm:ss.sss."},
		option{name: "by-duration", arg: "duration", help: "Reset to so long ago, PnDTnHnMnS."},
		option{name: "from-file", arg: "file", help: "Reset to what --export printed."},
		option{name: "timeout", arg: "ms", help: "Accepted, and of no effect."},
		option{name: "new-consumer", help: "Gone; accepted, and of no effect."},
	),
	run: runGroups,
}

type groups struct {
	*Env
	*flags
	cl *kgo.Client
}

func runGroups(ctx context.Context, e *Env, f *flags) error {
	action, err := f.one("list", "describe", "delete", "reset-offsets", "delete-offsets", "validate-regex")
	if err != nil {
		return err
	}
	if action == "validate-regex" {
		return validateRegex(e, f.value("validate-regex", ""))
	}
	if err := checkGroups(f, action); err != nil {
		return err
	}
	cl, err := administrate(ctx, e, f)
	if err != nil {
		return err
	}
	defer cl.Close()
	g := &groups{Env: e, flags: f, cl: cl}
	err = map[string]func(context.Context) error{
		"list": g.list, "describe": g.describe, "delete": g.delete, "reset-offsets": g.reset, "delete-offsets": g.deleteOffsets,
	}[action](ctx)
	var usage *usageError
	if err == nil || errors.As(err, &usage) {
		return err
	}
	fmt.Fprintf(e.Out, "\nError: Executing consumer group command failed due to %s\n", full(err)) // and yet Apache's tool exits with 0
	return nil
}

func validateRegex(e *Env, expression string) error {
	if _, err := regexp.Compile(expression); err != nil {
		fmt.Fprintf(e.Out, "The regular expression `%s` is invalid: %v.\n", expression, err)
		return nil
	}
	fmt.Fprintf(e.Out, "The regular expression `%s` is valid.\n", expression)
	return nil
}

func checkGroups(f *flags, action string) error {
	named := f.has("group") || f.has("all-groups")
	switch {
	case !f.has("bootstrap-server") && !f.has("zookeeper"):
		return usagef("Missing required argument \"[bootstrap-server]\"")
	case action != "list" && !named:
		return usagef("Option [%s] takes one of these options: [all-groups], [group]", action)
	case action == "delete-offsets" && (!f.has("group") || !f.has("topic")):
		return usagef("Option [delete-offsets] takes the following options: [group], [topic]")
	case action == "delete" && f.has("topic"):
		return usagef("Option [delete] takes either [group] or [all-groups], and no [topic]: to forget offsets of a topic use --delete-offsets")
	case f.has("execute") && f.has("dry-run"):
		return usagef("Option [execute] can't be used with option [dry-run]")
	}
	return nil
}

func (g *groups) list(ctx context.Context) error {
	rows, err := admin.ListGroups(ctx, g.cl)
	if err != nil {
		return err
	}
	states, err := g.words("state", []string{"Dead", "PreparingRebalance", "Assigning", "Reconciling", "Stable", "CompletingRebalance", "Empty"})
	if err != nil {
		return err
	}
	types, err := g.words("type", []string{"Classic", "Consumer"})
	if err != nil {
		return err
	}
	t := columns{{"GROUP", 25}}
	if g.has("type") {
		t = append(t, column{"TYPE", 20})
	}
	if g.has("state") {
		t = append(t, column{"STATE", 20})
	}
	var out [][]string
	for _, r := range rows {
		kind := strings.ToUpper(r.Type[:1]) + r.Type[1:]
		isConsumer := r.ProtocolType == "" || r.ProtocolType == "consumer"
		if !isConsumer || len(states) > 0 && !slices.Contains(states, r.State) || len(types) > 0 && !slices.Contains(types, kind) {
			continue
		}
		t[0].width = max(t[0].width, len(r.Group)+10)
		row := []string{r.Group}
		if g.has("type") {
			row = append(row, kind)
		}
		if g.has("state") {
			row = append(row, r.State)
		}
		out = append(out, row)
	}
	if len(t) == 1 {
		for _, row := range out {
			fmt.Fprintln(g.Out, row[0])
		}
		return nil
	}
	fmt.Fprintln(g.Out, t.head())
	for _, row := range out {
		fmt.Fprintln(g.Out, t.line(row))
	}
	return nil
}

// words reads an option that lists words, in whatever case.
func (g *groups) words(name string, known []string) ([]string, error) {
	var out []string
	for _, w := range strings.Split(g.value(name, ""), ",") {
		if w = strings.TrimSpace(w); w == "" {
			continue
		}
		i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, w) })
		if i < 0 {
			return nil, usagef("Invalid %s list '%s'. Valid %ss are: %s", name, g.value(name, ""), name, strings.Join(known, ", "))
		}
		out = append(out, known[i])
	}
	return out, nil
}

// names are the groups that the command is about.
func (g *groups) names(ctx context.Context) ([]string, error) {
	if !g.has("all-groups") {
		return g.values["group"], nil
	}
	rows, err := admin.ListGroups(ctx, g.cl)
	var out []string
	for _, r := range rows {
		if r.ProtocolType == "" || r.ProtocolType == "consumer" {
			out = append(out, r.Group)
		}
	}
	return out, err
}

func (g *groups) delete(ctx context.Context) error {
	names, err := g.names(ctx)
	if err != nil {
		return err
	}
	resp, err := kadm.NewClient(g.cl).DeleteGroups(ctx, names...)
	if err != nil {
		return err
	}
	var done, failed []string
	for _, name := range names {
		if r := resp[name]; r.Err != nil {
			failed = append(failed, fmt.Sprintf("* Group '%s' could not be deleted due to: %s", name, full(r.Err)))
			continue
		}
		done = append(done, "'"+name+"'")
	}
	if len(failed) == 0 {
		fmt.Fprintf(g.Out, "Deletion of requested consumer groups (%s) was successful.\n", strings.Join(done, ", "))
		return nil
	}
	fmt.Fprintf(g.Out, "\nError: Deletion of some consumer groups failed:\n%s\n", strings.Join(failed, "\n"))
	if len(done) > 0 {
		fmt.Fprintf(g.Out, "\nThese consumer groups were deleted successfully: %s\n", strings.Join(done, ", "))
	}
	return nil
}

func (g *groups) deleteOffsets(ctx context.Context) error {
	group := g.value("group", "")
	parts, err := g.partitions(ctx)
	if err != nil {
		return err
	}
	resp, err := admin.DeleteOffsets(ctx, g.cl, group, parts)
	if err != nil {
		fmt.Fprintf(g.Out, "\nError: %s\n", full(err))
		return nil // Apache's tool exits with 0
	}
	t := columns{{"TOPIC", 15}, {"PARTITION", 10}, {"STATUS", 15}}
	var rows []string
	failed := false
	parts.Each(func(topic string, p int32) {
		status := "Successful"
		if err := resp[topic][p]; err != nil {
			status, failed = "Error: "+full(err), true
		}
		t[0].width = max(t[0].width, len(topic))
		rows = append(rows, topic, strconv.Itoa(int(p)), status)
	})
	if failed {
		fmt.Fprintf(g.Out, "\nError: Encountered some partition-level error, see the follow-up details.\n")
	} else {
		fmt.Fprintf(g.Out, "Request succeeded for deleting offsets from group %s.\n", group)
	}
	fmt.Fprintf(g.Out, "\n%s\n", t.head())
	for row := range slices.Chunk(rows, len(t)) {
		fmt.Fprintln(g.Out, t.line(row))
	}
	return nil
}

// partitions are those of --topic, whole topics where none are named.
func (g *groups) partitions(ctx context.Context) (admin.Partitions, error) {
	parts := admin.Partitions{}
	for _, word := range g.values["topic"] {
		topic, list, some := strings.Cut(word, ":")
		parts[topic] = slices.Clone(parts[topic])
		for _, n := range strings.Split(list, ",") {
			if !some {
				break
			}
			p, err := strconv.ParseInt(n, 10, 32)
			if err != nil || p < 0 {
				return nil, usagef("Invalid partition %q of topic %s", n, topic)
			}
			parts[topic] = append(parts[topic], int32(p))
		}
	}
	return admin.Whole(ctx, g.cl, parts)
}

// column is a column of a table; the last is as wide as what stands in it.
type column struct {
	name  string
	width int
}

type columns []column

// line pads cells, all of them, with a blank between.
func (c columns) line(cells []string) string {
	out := make([]string, len(cells))
	for i, cell := range cells {
		out[i] = fmt.Sprintf("%-*s", c[i].width, cell)
	}
	return strings.Join(out, " ")
}

func (c columns) head() string {
	names := make([]string, len(c))
	for i, col := range c {
		names[i] = col.name
	}
	return c.line(names)
}

// print prints a table that begins with an empty line.
func (c columns) print(w io.Writer, rows [][]string) {
	fmt.Fprintf(w, "\n%s\n", c.head())
	for _, row := range rows {
		fmt.Fprintln(w, c.line(row))
	}
}
