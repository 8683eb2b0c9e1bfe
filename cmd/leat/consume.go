package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
	"github.com/leatstream/leat/streams"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type consumeFlags struct {
	cluster
	offset     string
	until      string
	beginning  bool
	layout     string
	json       bool
	null       string
	group      string
	partitions []int32
	count      int
	untilEnd   bool
	condition  string
	isolation  string
	idle       time.Duration
}

func consumeCommand(std stdio) *cobra.Command {
	var f consumeFlags
	cmd := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "print the records of a topic",
		Example: `  leat consume orders                                    everything, and what comes
  leat consume orders -o -10 -e -f '%p@%o %k %v\n'       the last ten of each partition
  leat consume orders -o @-1h --where 'value.amount > 100'
  leat consume orders -g billing                         go on where the group stopped
  leat consume orders -e --json | jq .value`,
		Args: oneArg("a topic", "leat consume orders -n 10 -f '%k %v\\n'"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), std, args[0], cmd.Flags().Changed("number"))
		},
	}
	f.addTo(cmd)
	cmd.Flags().StringVarP(&f.offset, "offset", "o", "start", "start, end, an offset, +N after the start, -N before the end, or @TIME (ms since 1970, 2026-05-01T10:00:00Z, or -1h); FROM:UNTIL reads a range")
	cmd.Flags().StringVar(&f.until, "until", "", "stop before this place: end (as of now), an offset, +N, -N or @TIME")
	cmd.Flags().BoolVar(&f.beginning, "from-beginning", false, "the same as -o start")
	cmd.Flags().StringVarP(&f.layout, "format", "f", `%v\n`, formatHelp)
	cmd.Flags().BoolVarP(&f.json, "json", "J", false, "the same as -f json")
	cmd.Flags().StringVarP(&f.null, "null", "Z", "", "what to print for a key or value that is null")
	cmd.Flags().StringVarP(&f.group, "group", "g", "", "share the partitions with the members of this group and go on where it stopped")
	cmd.Flags().Int32SliceVarP(&f.partitions, "partition", "p", nil, "these partitions only")
	cmd.Flags().IntVarP(&f.count, "number", "n", 0, "stop after printing this many records")
	cmd.Flags().BoolVarP(&f.untilEnd, "exit", "e", false, "the same as --until end")
	cmd.Flags().StringVar(&f.condition, "where", "", "print only records for which this expression holds, such as 'value.amount > 100 and key != nil'")
	cmd.Flags().StringVar(&f.isolation, "isolation", "uncommitted", "uncommitted, or committed: only records of transactions that were committed")
	cmd.Flags().DurationVar(&f.idle, "idle", 0, "stop when nothing came for this long")
	oneOf(cmd, "isolation", "committed", "uncommitted")
	return f.completes(cmd, 1, topicNames)
}

// consumer prints the records of one topic until it has printed enough.
type consumer struct {
	*consumeFlags
	topic   string
	format  recordFormat
	where   *streams.Where // nil: everything is printed
	reader  *kgo.Client
	out     *bufio.Writer
	spans   map[int32]*span // what is read of each partition; nil in a group
	bounded bool            // there is an end to what is read
	answers *fetchAnswers
	printed int
	unknown int   // records that --where could not judge
	why     error // the first one's reason
}

// span is what is read of a partition: [from, until).
type span struct {
	from, until int64
	leader      int32
}

func (f *consumeFlags) run(ctx context.Context, std stdio, topic string, limited bool) error {
	c := &consumer{consumeFlags: f, topic: topic, out: bufio.NewWriterSize(std.out, 64<<10), answers: &fetchAnswers{}}
	start, until, err := c.parse(limited)
	if err != nil {
		return err
	}
	cl, err := f.client(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := c.look(ctx, cl, start, until); err != nil {
		return kafkaError(err)
	}
	if c.bounded && len(c.spans) == 0 {
		return nil
	}
	if c.reader, err = kgo.NewClient(append(f.options(), c.reading(start)...)...); err != nil {
		return err
	}
	defer c.reader.Close()
	err = c.print(ctx)
	if c.unknown > 0 {
		fmt.Fprintf(std.err, "left out, because --where could not judge it: %s; the first: %v\n", counted(c.unknown, "record"), c.why)
	}
	return cmp.Or(err, c.out.Flush())
}

// parse reads the flags that are words of their own. limited: somebody has said how many records to print.
func (c *consumer) parse(limited bool) (start, until admin.Target, err error) {
	if c.json {
		c.layout = "json"
	}
	if c.format, err = parseFormat(c.layout, c.null); err != nil {
		return start, until, err
	}
	if c.condition != "" {
		if c.where, err = streams.ParseWhere("--where", c.condition); err != nil {
			return start, until, err
		}
	}
	if c.beginning && c.offset != "start" {
		return start, until, usageError("--from-beginning and -o %s both say where to start\n  hint: leave one of them out", c.offset)
	}
	if start, until, err = c.places(); err != nil {
		return start, until, err
	}
	if c.group != "" && (len(c.partitions) > 0 || c.bounded) {
		return start, until, usageError("--group cannot be used with --partition, --exit, --until or a range: the group decides what is read here\n  hint: --idle 2s stops when nothing more comes")
	}
	if limited && c.count < 1 {
		return start, until, usageError("-n %d prints nothing\n  hint: leave it out to print everything", c.count)
	}
	switch c.isolation {
	case "committed", "read_committed", "uncommitted", "read_uncommitted":
	default:
		return start, until, usageError("--isolation %s is not one of committed and uncommitted", c.isolation)
	}
	return start, until, nil
}

// places reads where to start and where to stop.
func (c *consumer) places() (start, until admin.Target, err error) {
	if c.untilEnd {
		if c.until != "" && c.until != "end" {
			return start, until, usageError("--exit and --until %s both say where to stop\n  hint: leave one of them out", c.until)
		}
		c.until = "end"
	}
	if start, err = parseTarget("-o", c.offset); err != nil {
		i := strings.LastIndexByte(c.offset, ':')
		if i < 0 {
			return start, until, err
		}
		first, rangeErr := parseTarget("-o", c.offset[:i])
		if rangeErr != nil {
			return start, until, err
		}
		if c.until != "" {
			return start, until, usageError("-o %s says where to stop, and so does --until or --exit", c.offset)
		}
		start, c.until = first, c.offset[i+1:]
	}
	if c.until == "" {
		return start, until, nil
	}
	c.bounded = true
	if until, err = parseTarget("--until", c.until); err != nil {
		return start, until, err
	}
	backwards := start.Kind == admin.ToOffset && until.Kind == admin.ToOffset && until.N < start.N
	if backwards || until.Kind == admin.ToStart {
		return start, until, usageError("nothing is between %s and %s\n  hint: a range is FROM:UNTIL, and UNTIL comes later", strings.TrimSuffix(c.offset, ":"+c.until), c.until)
	}
	return start, until, nil
}

func (c *consumer) committed() bool { return strings.HasSuffix("_"+c.isolation, "_committed") }

// look finds the topic, and what to read of each of its partitions. Where there is an end, a partition with nothing before
// it is left out.
func (c *consumer) look(ctx context.Context, cl *kgo.Client, start, until admin.Target) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	parts, err := wholeTopics(ctx, cl, admin.Partitions{c.topic: c.partitions})
	if err != nil || c.group != "" {
		return err
	}
	froms, err := admin.Before(ctx, cl, parts, start)
	if err != nil {
		return err
	}
	c.spans = map[int32]*span{}
	for _, m := range froms {
		c.spans[m.Partition] = &span{from: m.To, until: -1}
		if start.Kind == admin.ToOffset {
			c.spans[m.Partition].from = max(m.To, start.N)
		}
	}
	if c.bounded {
		if err := c.bound(ctx, cl, parts, until); err != nil {
			return err
		}
	}
	return c.leaders(ctx, cl)
}

// bound sets where each span ends. Of a topic with open transactions, only what is before them is there.
func (c *consumer) bound(ctx context.Context, cl *kgo.Client, parts admin.Partitions, until admin.Target) error {
	untils, err := admin.Before(ctx, cl, parts, until)
	if err != nil {
		return err
	}
	var stable kadm.ListedOffsets
	if c.committed() {
		if stable, err = kadm.NewClient(cl).ListCommittedOffsets(ctx, c.topic); err != nil {
			return err
		}
	}
	for _, m := range untils {
		s := c.spans[m.Partition]
		s.until = m.To
		if last, ok := stable.Lookup(c.topic, m.Partition); ok {
			s.until = min(s.until, last.Offset)
		}
		if s.from >= s.until {
			delete(c.spans, m.Partition)
		}
	}
	return nil
}

func (c *consumer) leaders(ctx context.Context, cl *kgo.Client) error {
	topics, err := kadm.NewClient(cl).ListTopics(ctx, c.topic)
	if err != nil {
		return err
	}
	for p, s := range c.spans {
		s.leader = topics[c.topic].Partitions[p].Leader
	}
	return nil
}

// reading is how the reader reads.
func (c *consumer) reading(start admin.Target) []kgo.Opt {
	opts := []kgo.Opt{kgo.KeepControlRecords(), kgo.WithHooks(c.answers)}
	if c.committed() {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	if c.bounded {
		opts = append(opts, kgo.FetchMaxWait(endWait))
	}
	if c.group != "" {
		return append(opts, kgo.ConsumerGroup(c.group), kgo.ConsumeTopics(c.topic), kgo.AutoCommitMarks(), kgo.ConsumeResetOffset(resetOffset(start)))
	}
	from := map[int32]kgo.Offset{}
	for p, s := range c.spans {
		from[p] = kgo.NewOffset().At(s.from)
	}
	return append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.topic: from}))
}

// resetOffset is where a group starts that has committed nothing.
func resetOffset(t admin.Target) kgo.Offset {
	o := kgo.NewOffset()
	switch t.Kind {
	case admin.ToEnd:
		return o.AtEnd()
	case admin.ToOffset:
		return o.At(t.N)
	case admin.ToTime:
		return o.AfterMilli(t.At.UnixMilli())
	case admin.ToShift:
		if t.N < 0 {
			return o.AtEnd().Relative(t.N)
		}
		return o.AtStart().Relative(t.N)
	}
	return o.AtStart()
}

// print prints records until there are enough, and says so to the group.
func (c *consumer) print(ctx context.Context) error {
	last := time.Now()
	for {
		fetches, err := c.poll(ctx)
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, c.commit())
		}
		if fetches.NumRecords() > 0 {
			last = time.Now()
		}
		for it := fetches.RecordIter(); !it.Done(); {
			if err := c.take(it.Next()); err != nil {
				return err
			}
			if c.count > 0 && c.printed == c.count {
				return c.commit()
			}
		}
		if err := c.out.Flush(); err != nil {
			return err
		}
		if c.bounded && len(c.spans) == 0 || c.idle > 0 && time.Since(last) >= c.idle {
			return c.commit()
		}
	}
}

// poll waits for records, but not for ever where something ends by itself.
func (c *consumer) poll(ctx context.Context) (kgo.Fetches, error) {
	wait := ctx
	if c.bounded || c.idle > 0 {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, endWait)
		defer cancel()
	}
	fetches := c.reader.PollFetches(wait)
	for _, e := range fetches.Errors() {
		if !kerr.IsRetriable(e.Err) && wait.Err() == nil {
			if e.Topic == "" { // of the whole group
				return nil, kafkaError(e.Err)
			}
			return nil, fmt.Errorf("topic %s partition %d: %w", e.Topic, e.Partition, kafkaError(e.Err))
		}
	}
	if fetches.NumRecords() > 0 {
		c.answers.reset()
	} else if c.bounded {
		c.dropEmpty()
	}
	return fetches, nil
}

// take prints one record, if it is one to print, and notes how far its partition has come.
func (c *consumer) take(r *kgo.Record) error {
	s := c.spans[r.Partition]
	if s == nil && c.group == "" { // behind the end
		return nil
	}
	if s != nil && c.bounded && r.Offset+1 >= s.until {
		delete(c.spans, r.Partition)
		c.reader.PauseFetchPartitions(map[string][]int32{c.topic: {r.Partition}})
	}
	c.reader.MarkCommitRecords(r)
	if r.Attrs.IsControl() || s != nil && (r.Offset < s.from || c.bounded && r.Offset >= s.until) {
		return nil
	}
	if c.where != nil {
		holds, err := c.where.Test(r)
		if err != nil {
			if c.unknown++; c.unknown == 1 {
				c.why = fmt.Errorf("topic %s partition %d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
			}
			return nil
		}
		if !holds {
			return nil
		}
	}
	c.format.write(c.out, r)
	c.printed++
	return nil
}

// commit notes in the group how far was printed, also when the command was interrupted.
func (c *consumer) commit() error {
	if c.group == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	return c.reader.CommitMarkedOffsets(ctx)
}
