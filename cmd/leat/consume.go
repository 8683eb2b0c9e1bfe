package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type consumeFlags struct {
	cluster
	offset    string
	beginning bool
	format    string
	group     string
	partition int32
	count     int
	untilEnd  bool
}

func consumeCommand(std stdio) *cobra.Command {
	var f consumeFlags
	cmd := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "print the records of a topic",
		Args:  oneArg("a topic", "leat consume orders -n 10 -f '%k %v\\n'"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), std, args[0])
		},
	}
	f.addTo(cmd)
	cmd.Flags().StringVarP(&f.offset, "offset", "o", "start", "start, end, +N after the start, -N before the end, or @TIME (ms since 1970, or 2026-05-01T10:00:00Z)")
	cmd.Flags().BoolVar(&f.beginning, "from-beginning", false, "the same as -o start")
	cmd.Flags().StringVarP(&f.format, "format", "f", `%v\n`, `%t topic, %p partition, %o offset, %T ms since 1970, %k key, %v value, %h headers, \n \t \\`)
	cmd.Flags().StringVarP(&f.group, "group", "g", "", "share the partitions with the members of this group and go on where it stopped")
	cmd.Flags().Int32VarP(&f.partition, "partition", "p", -1, "one partition only")
	cmd.Flags().IntVarP(&f.count, "number", "n", 0, "stop after this many records")
	cmd.Flags().BoolVarP(&f.untilEnd, "exit", "e", false, "stop at what is the end now")
	return cmd
}

func (f *consumeFlags) run(ctx context.Context, std stdio, topic string) error {
	format, err := parseFormat(f.format)
	if err != nil {
		return err
	}
	if f.group != "" && (f.partition >= 0 || f.untilEnd) {
		return usageError("--group cannot be used with --partition or --exit: the group decides what is read here")
	}
	if f.beginning {
		f.offset = "start"
	}
	start, err := parseOffset(f.offset)
	if err != nil {
		return err
	}
	cl, err := f.client(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	ends, err := f.ends(ctx, cl, topic)
	if err != nil {
		return kafkaError(err)
	}
	if len(ends) == 0 && f.untilEnd {
		return nil
	}
	reader, err := f.reader(topic, start, ends)
	if err != nil {
		return err
	}
	defer reader.Close()
	out := bufio.NewWriter(std.out)
	err = f.print(ctx, reader, ends, out, format)
	return errors.Join(err, out.Flush())
}

// ends looks the partitions up, with their end offsets as of now; those without records are left out for --exit.
func (f *consumeFlags) ends(ctx context.Context, cl *kgo.Client, topic string) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	adm := kadm.NewClient(cl)
	topics, err := adm.ListTopics(ctx, topic)
	if err != nil {
		return nil, err
	}
	if err := topics[topic].Err; err != nil {
		return nil, unknownTopic(ctx, adm, topic, fmt.Errorf("topic %s: %w", topic, err))
	}
	if _, ok := topics[topic].Partitions[f.partition]; f.partition >= 0 && !ok {
		return nil, usageError("topic %s has no partition %d", topic, f.partition)
	}
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	listed, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) {
		first, _ := starts.Lookup(topic, o.Partition)
		if f.partition >= 0 && o.Partition != f.partition || f.untilEnd && first.Offset >= o.Offset {
			return
		}
		ends[o.Partition] = o.Offset
	})
	return ends, nil
}

func (f *consumeFlags) reader(topic string, start kgo.Offset, ends map[int32]int64) (*kgo.Client, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(f.brokers...), kgo.ClientID("leat"), kgo.ConsumeResetOffset(start)}
	if f.group != "" {
		opts = append(opts, kgo.ConsumerGroup(f.group), kgo.ConsumeTopics(topic), kgo.AutoCommitMarks())
	} else {
		from := map[int32]kgo.Offset{}
		for p := range ends {
			from[p] = start
		}
		opts = append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	}
	return kgo.NewClient(opts...)
}

func (f *consumeFlags) print(ctx context.Context, cl *kgo.Client, ends map[int32]int64, out *bufio.Writer, format recordFormat) error {
	printed := 0
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return f.commit(cl)
		}
		for _, e := range fetches.Errors() {
			if !kerr.IsRetriable(e.Err) {
				return fmt.Errorf("topic %s partition %d: %w", e.Topic, e.Partition, kafkaError(e.Err))
			}
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			end, wanted := ends[r.Partition]
			if f.untilEnd && (!wanted || r.Offset >= end) {
				delete(ends, r.Partition)
				continue
			}
			format.write(out, r)
			cl.MarkCommitRecords(r)
			if printed++; printed == f.count {
				return f.commit(cl)
			}
			if f.untilEnd && r.Offset+1 >= end {
				delete(ends, r.Partition)
			}
		}
		if f.untilEnd && len(ends) == 0 {
			return nil
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
}

// commit notes in the group how far was printed, also when the command was interrupted.
func (f *consumeFlags) commit(cl *kgo.Client) error {
	if f.group == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	return cl.CommitMarkedOffsets(ctx)
}

func parseOffset(s string) (kgo.Offset, error) {
	switch {
	case s == "start":
		return kgo.NewOffset().AtStart(), nil
	case s == "end":
		return kgo.NewOffset().AtEnd(), nil
	case strings.HasPrefix(s, "@"):
		if ms, err := strconv.ParseInt(s[1:], 10, 64); err == nil {
			return kgo.NewOffset().AfterMilli(ms), nil
		}
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02"} {
			if t, err := time.Parse(layout, s[1:]); err == nil {
				return kgo.NewOffset().AfterMilli(t.UnixMilli()), nil
			}
		}
	case strings.HasPrefix(s, "+"), strings.HasPrefix(s, "-"):
		if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
			return kgo.NewOffset().AtStart().Relative(n), nil
		} else if err == nil {
			return kgo.NewOffset().AtEnd().Relative(n), nil
		}
	default:
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return kgo.NewOffset().At(n), nil
		}
	}
	return kgo.Offset{}, usageError("-o %s is not an offset\n  hint: start, end, a number, +N, -N, @1767225600000 or @2026-01-01", s)
}
