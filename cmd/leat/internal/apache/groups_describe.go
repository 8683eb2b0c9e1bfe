package apache

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
)

func (g *groups) describe(ctx context.Context) error {
	names, err := g.names(ctx)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		d, err := admin.DescribeGroup(ctx, g.cl, name)
		if admin.IsNoGroup(err) {
			return admin.Refuse(err, "Group "+name+" not found.")
		} else if err != nil {
			return err
		}
		switch d.State {
		case "Empty":
			fmt.Fprintf(g.Err, "\nConsumer group '%s' has no active members.\n", name)
		case "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling":
			fmt.Fprintf(g.Err, "\nWarning: Consumer group '%s' is rebalancing.\n", name)
		}
		switch {
		case g.has("members"):
			g.printMembers(d)
		case g.has("state") && !g.has("offsets"):
			g.printState(d)
		default:
			g.printOffsets(d)
		}
	}
	return nil
}

// orDash is a number, or what stands for none.
func orDash(n int64) string {
	if n < 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

func (g *groups) printOffsets(d admin.Group) {
	t := columns{{"GROUP", 15}, {"TOPIC", 15}, {"PARTITION", 10}}
	if g.has("verbose") {
		t = append(t, column{"LEADER-EPOCH", 15})
	}
	t = append(t, column{"CURRENT-OFFSET", 15}, column{"LOG-END-OFFSET", 15}, column{"LAG", 15}, column{"CONSUMER-ID", 15}, column{"HOST", 15}, column{"CLIENT-ID", 0})
	id, host := len(t)-3, len(t)-2
	var rows [][]string
	add := func(topic, partition string, epoch int32, current, end, lag int64, member, from, client string) {
		row := []string{d.Group, topic, partition}
		if g.has("verbose") {
			row = append(row, orDash(int64(epoch)))
		}
		rows = append(rows, append(row, orDash(current), orDash(end), orDash(lag), first(member, "-"), first(from, "-"), first(client, "-")))
		t[0].width, t[1].width = max(t[0].width, len(d.Group)), max(t[1].width, len(topic))
		t[id].width, t[host].width = max(t[id].width, len(member)), max(t[host].width, len(from))
	}
	for _, o := range d.Offsets {
		lag := o.Lag
		if o.Committed < 0 { // Apache's tool does not know how far such a group would have to go
			lag = -1
		}
		add(o.Topic, strconv.Itoa(int(o.Partition)), o.Epoch, o.Committed, o.End, lag, o.Member, o.Host, o.Client)
	}
	for _, m := range d.Members {
		if len(m.Assigned) == 0 {
			add("-", "-", -1, -1, -1, -1, m.Member, m.Host, m.Client)
		}
	}
	if len(rows) > 0 {
		t.print(g.Out, rows)
	}
}

func (g *groups) printMembers(d admin.Group) {
	t := columns{{"GROUP", 15}, {"CONSUMER-ID", 15}}
	static := slices.ContainsFunc(d.Members, func(m admin.Member) bool { return m.Instance != "" })
	if static {
		t = append(t, column{"GROUP-INSTANCE-ID", 17})
	}
	t = append(t, column{"HOST", 15}, column{"CLIENT-ID", 15}, column{"#PARTITIONS", 15})
	if g.has("verbose") {
		t = append(t, column{"CURRENT-EPOCH", 15}, column{"CURRENT-ASSIGNMENT", 20}, column{"TARGET-EPOCH", 15}, column{"TARGET-ASSIGNMENT", 20})
	}
	var rows [][]string
	for _, m := range d.Members {
		n := 0
		for _, ps := range m.Assigned {
			n += len(ps)
		}
		row := []string{d.Group, m.Member}
		if static {
			row = append(row, m.Instance)
		}
		row = append(row, m.Host, m.Client, strconv.Itoa(n))
		if g.has("verbose") {
			target := int64(-1)
			if m.Epoch >= 0 {
				target = int64(d.AssignmentEpoch)
			}
			row = append(row, orDash(int64(m.Epoch)), assignment(m.Assigned), orDash(target), assignment(m.Target))
		}
		for i, cell := range row {
			t[i].width = max(t[i].width, len(cell))
		}
		rows = append(rows, row)
	}
	// every line ends in a blank where no assignments follow
	if !g.has("verbose") {
		t = append(t, column{})
		for i := range rows {
			rows[i] = append(rows[i], "")
		}
	}
	t.print(g.Out, rows)
}

// assignment is topic:0,1;other:2.
func assignment(parts map[string][]int32) string {
	var words []string
	for _, topic := range slices.Sorted(maps.Keys(parts)) {
		words = append(words, topic+":"+ids(parts[topic]))
	}
	return first(strings.Join(words, ";"), "-")
}

func (g *groups) printState(d admin.Group) {
	coordinator := fmt.Sprintf("%s:%d  (%d)", d.Coordinator.Host, d.Coordinator.Port, d.Coordinator.ID)
	t := columns{{"GROUP", max(15, len(d.Group))}, {"COORDINATOR (ID)", max(25, len(coordinator))}, {"ASSIGNMENT-STRATEGY", 20}, {"STATE", 20}}
	row := []string{d.Group, coordinator, first(d.Assignor, "-"), d.State}
	if g.has("verbose") {
		t = append(t, column{"GROUP-EPOCH", 15}, column{"TARGET-ASSIGNMENT-EPOCH", 25})
		row = append(row, orDash(int64(d.Epoch)), orDash(int64(d.AssignmentEpoch)))
	}
	t = append(t, column{"#MEMBERS", 0})
	t.print(g.Out, [][]string{append(row, strconv.Itoa(len(d.Members)))})
}
