package apache

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
)

var resetTargets = []string{"to-offset", "to-datetime", "by-duration", "to-earliest", "to-latest", "shift-by", "from-file", "to-current"}

func (g *groups) reset(ctx context.Context) error {
	if !g.has("execute") && !g.has("dry-run") && !g.has("export") {
		fmt.Fprintln(g.Err, "WARN: No action will be performed as the --execute option is missing. Say --dry-run if that is what you want.")
	}
	given := slices.DeleteFunc(slices.Clone(resetTargets), func(t string) bool { return !g.has(t) })
	switch {
	case len(given) != 1:
		return usagef("Option [reset-offsets] takes one of these options: --%s", strings.Join(resetTargets, ", --"))
	case given[0] != "from-file" && g.has("all-topics") == g.has("topic"):
		return usagef("One of the reset scopes should be defined: --all-topics, --topic.")
	}
	names, err := g.names(ctx)
	if err != nil {
		return err
	}
	t := columns{{"GROUP", 15}, {"TOPIC", 15}, {"PARTITION", 10}, {"NEW-OFFSET", 0}}
	var rows [][]string
	for _, name := range names {
		moves, err := g.move(ctx, name, given[0])
		var usage *usageError
		if errors.As(err, &usage) {
			return err
		} else if err != nil {
			fmt.Fprintf(g.Out, "\nError: %s\n", full(err))
			continue
		}
		for _, m := range moves {
			t[0].width, t[1].width = max(t[0].width, len(name)), max(t[1].width, len(m.Topic))
			rows = append(rows, []string{name, m.Topic, strconv.Itoa(int(m.Partition)), strconv.FormatInt(m.To, 10)})
		}
	}
	if g.has("export") {
		g.export(rows, len(names) > 1)
		return nil
	}
	t.print(g.Out, rows)
	return nil
}

// move plans, and with --execute does, what happens to one group.
func (g *groups) move(ctx context.Context, name, target string) ([]admin.Move, error) {
	d, err := admin.DescribeGroup(ctx, g.cl, name)
	if err != nil && !admin.IsNoGroup(err) {
		return nil, err
	}
	if err == nil && d.State != "Empty" && d.State != "Dead" {
		return nil, fmt.Errorf("Assignments can only be reset if the group '%s' is inactive, but the current state is %s.", name, d.State)
	}
	moves, err := g.plan(ctx, name, target)
	if err != nil || !g.has("execute") {
		return moves, err
	}
	return moves, admin.Commit(ctx, g.cl, name, moves)
}

func (g *groups) plan(ctx context.Context, name, target string) ([]admin.Move, error) {
	if target == "from-file" {
		return g.fromFile(ctx, name)
	}
	place, err := g.target(target)
	if err != nil {
		return nil, err
	}
	var parts admin.Partitions
	if g.has("all-topics") {
		parts, err = admin.Committed(ctx, g.cl, name)
	} else {
		parts, err = g.partitions(ctx)
	}
	if err != nil {
		return nil, err
	}
	return admin.Seek(ctx, g.cl, name, parts, place)
}

func (g *groups) target(name string) (admin.Target, error) {
	text := g.value(name, "")
	switch name {
	case "to-earliest":
		return admin.Target{Kind: admin.ToStart}, nil
	case "to-latest":
		return admin.Target{Kind: admin.ToEnd}, nil
	case "to-current":
		return admin.Target{Kind: admin.ToCurrent}, nil
	case "to-offset", "shift-by":
		n, err := g.number(name, 0)
		kind := admin.ToOffset
		if name == "shift-by" {
			kind = admin.ToShift
		}
		return admin.Target{Kind: kind, N: n}, err
	case "by-duration":
		d, err := isoDuration(text)
		return admin.Target{Kind: admin.ToTime, At: time.Now().Add(-d)}, err
	}
	at, err := dateTime(text)
	return admin.Target{Kind: admin.ToTime, At: at}, err
}

// dateTime reads YYYY-MM-DDThh:mm:ss.sss, in UTC if no zone follows.
func dateTime(s string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04:05Z0700", time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("Invalid datetime %q: want YYYY-MM-DDThh:mm:ss.sss, as in 2026-05-01T10:00:00.000", s)
}

var isoDurations = regexp.MustCompile(`^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$`)

// isoDuration reads PnDTnHnMnS.
func isoDuration(s string) (time.Duration, error) {
	m := isoDurations.FindStringSubmatch(s)
	if m == nil || s == "P" || strings.HasSuffix(s, "T") {
		return 0, usagef("Invalid duration %q: want PnDTnHnMnS, as in P1DT12H or PT30M", s)
	}
	total := time.Duration(0)
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if m[i+1] != "" {
			n, err := strconv.ParseFloat(m[i+1], 64)
			if err != nil {
				return 0, err
			}
			total += time.Duration(n * float64(unit))
		}
	}
	return total, nil
}

// fromFile reads what export wrote: topic,partition,offset, with the group in front where there were several.
func (g *groups) fromFile(ctx context.Context, group string) ([]admin.Move, error) {
	file, err := os.Open(g.value("from-file", ""))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := csv.NewReader(bufio.NewReader(file))
	lines.FieldsPerRecord = -1
	var moves []admin.Move
	for {
		row, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return moves, nil
		}
		if err != nil {
			return nil, err
		}
		if len(row) == 4 {
			if row[0] != group {
				continue
			}
			row = row[1:]
		}
		if len(row) != 3 {
			return nil, usagef("Invalid line in %s: want topic,partition,offset", file.Name())
		}
		p, pErr := strconv.ParseInt(row[1], 10, 32)
		offset, oErr := strconv.ParseInt(row[2], 10, 64)
		if err := errors.Join(pErr, oErr); err != nil {
			return nil, usagef("Invalid line in %s: %v", file.Name(), err)
		}
		planned, err := admin.Seek(ctx, g.cl, group, admin.Partitions{row[0]: {int32(p)}}, admin.Target{Kind: admin.ToOffset, N: offset})
		if err != nil {
			return nil, err
		}
		moves = append(moves, planned...)
	}
}

func (g *groups) export(rows [][]string, several bool) {
	for _, row := range rows {
		if !several {
			row = row[1:]
		}
		fmt.Fprintln(g.Out, strings.Join(row, ","))
	}
	fmt.Fprintln(g.Out)
}
