package apache

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var consumerTool = &tool{
	about: "This tool helps to read data from Kafka topics and outputs it to standard output.",
	options: append(slices.Clone(bootstrapOptions),
		option{name: "topic", arg: "topic", help: "The topic to read."},
		option{name: "include", arg: "regex", help: "Regular expression of topics to read."},
		option{name: "whitelist", arg: "regex", instead: "include"},
		option{name: "from-beginning", help: "Begin with the oldest record, where nothing is committed."},
		option{name: "partition", arg: "number", help: "The one partition to read."},
		option{name: "offset", arg: "offset", help: "Where to begin in it: a number, earliest or latest."},
		option{name: "max-messages", arg: "number", help: "Stop after so many."},
		option{name: "timeout-ms", arg: "ms", help: "Stop when nothing came for so long."},
		option{name: "group", arg: "group", help: "The consumer group to be a member of."},
		option{name: "isolation-level", arg: "level", help: "read_committed or read_uncommitted (the default)."},
		option{name: "formatter-property", arg: "prop", help: "What is printed: print.timestamp, print.key, print.offset, print.partition, print.epoch, print.headers, print.value, key.separator, line.separator, headers.separator, null.literal, key.deserializer, value.deserializer."},
		option{name: "property", arg: "prop", instead: "formatter-property"},
		option{name: "formatter-config", arg: "file", help: "Formatter properties in a file."},
		option{name: "formatter", arg: "class", help: "The default, or one that prints nothing (NoOpMessageFormatter)."},
		option{name: "command-property", arg: "prop", help: "A property of the consumer, key=value."},
		option{name: "consumer-property", arg: "prop", instead: "command-property"},
		option{name: "consumer.config", arg: "file", instead: "command-config"},
		option{name: "key-deserializer", arg: "class", help: "What keys are: Kafka's classes for strings and numbers."},
		option{name: "value-deserializer", arg: "class", help: "What values are."},
		option{name: "skip-message-on-error", help: "Leave out what cannot be printed."},
		option{name: "enable-systest-events", help: "Accepted, and of no effect."},
		option{name: "new-consumer", help: "Gone; accepted, and of no effect."},
	),
	run: runConsumer,
}

// console prints the records of topics.
type console struct {
	*Env
	*flags
	properties map[string]string
	format     *formatter
	limit      int64
	idle       time.Duration
	partition  int64
	out        *bufio.Writer
	printed    int64
}

func runConsumer(ctx context.Context, e *Env, f *flags) error {
	c := &console{Env: e, flags: f, out: bufio.NewWriterSize(e.Out, 64<<10)}
	if err := c.prepare(); err != nil {
		return err
	}
	opts, err := c.options()
	if err != nil {
		return err
	}
	if c.has("partition") {
		ready, err := c.assign(ctx)
		if err != nil {
			return err
		}
		opts = append(opts, ready)
	}
	if c.properties["group.protocol"] == "consumer" {
		opts = append(opts, kgo.WithContext(context.WithValue(context.Background(), "opt_in_kafka_next_gen_balancer_beta", true))) //nolint:staticcheck // the client wants this key as a string
	}
	cl, err := connect(ctx, e, c.properties, opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	err = c.print(ctx, cl)
	if c.group() != "" {
		commit, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
		defer cancel()
		err = errors.Join(err, cl.CommitMarkedOffsets(commit))
	}
	fmt.Fprintf(e.Err, "Processed a total of %d messages\n", c.printed)
	if err == nil && ctx.Err() != nil {
		return exit(interrupted)
	}
	return err
}

// prepare checks what can be checked without a cluster.
func (c *console) prepare() error {
	if c.has("topic") == c.has("include") {
		return usagef("Exactly one of the following arguments is required: [topic], [include]")
	}
	if c.has("partition") && !c.has("topic") {
		return usagef("The topic is required when partition is specified.")
	}
	if c.has("offset") && !c.has("partition") {
		return usagef("The partition is required when offset is specified.")
	}
	if c.has("offset") && c.has("from-beginning") {
		return usagef("from-beginning and offset cannot be specified at the same time.")
	}
	var err error
	if c.limit, err = c.number("max-messages", -1); err != nil {
		return err
	}
	if c.partition, err = c.number("partition", -1); err != nil {
		return err
	}
	idle, err := c.number("timeout-ms", -1)
	if err != nil {
		return err
	}
	c.idle = time.Duration(idle) * time.Millisecond
	if c.properties, err = c.flags.properties(c.Env, []string{"command-config"}, []string{"command-property"}); err != nil {
		return err
	}
	formatting := map[string]string{}
	for _, file := range c.values["formatter-config"] {
		read, err := c.Properties(file)
		if err != nil {
			return err
		}
		maps.Copy(formatting, read)
	}
	given, err := c.pairs("formatter-property")
	if err != nil {
		return err
	}
	maps.Copy(formatting, given)
	for flag, property := range map[string]string{"key-deserializer": "key.deserializer", "value-deserializer": "value.deserializer"} {
		if c.has(flag) {
			formatting[property] = c.value(flag, "")
		}
	}
	c.format, err = newFormatter(c.value("formatter", ""), formatting)
	return err
}

func (c *console) group() string { return c.value("group", c.properties["group.id"]) }

// options are the client's, but for the one partition that it may be about.
func (c *console) options() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.FetchMaxWait(500 * time.Millisecond)}
	switch level := c.value("isolation-level", first(c.properties["isolation.level"], "read_uncommitted")); level {
	case "read_committed":
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	case "read_uncommitted":
	default:
		return nil, usagef("Invalid value %s for isolation.level: want read_committed or read_uncommitted", level)
	}
	start := kgo.NewOffset().AtEnd()
	if c.has("from-beginning") || c.properties["auto.offset.reset"] == "earliest" {
		start = kgo.NewOffset().AtStart()
	}
	opts = append(opts, kgo.ConsumeResetOffset(start))
	if c.has("partition") {
		return opts, nil
	}
	if c.group() != "" {
		opts = append(opts, kgo.ConsumerGroup(c.group()), kgo.AutoCommitMarks())
		if id := c.properties["group.instance.id"]; id != "" {
			opts = append(opts, kgo.InstanceID(id))
		}
	}
	if c.has("include") {
		if _, err := include(c.value("include", "")); err != nil {
			return nil, err
		}
		return append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics(pattern(c.value("include", "")))), nil
	}
	return append(opts, kgo.ConsumeTopics(c.value("topic", "")), kgo.AllowAutoTopicCreation()), nil
}

// assign makes the option that reads one partition from an offset on.
func (c *console) assign(ctx context.Context) (kgo.Opt, error) {
	at := kgo.NewOffset().AtEnd()
	switch text := c.value("offset", ""); {
	case text == "earliest" || text == "" && c.has("from-beginning"):
		at = kgo.NewOffset().AtStart()
	case text == "latest" || text == "":
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return nil, usagef("The provided offset value '%s' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.", text)
		}
		at = kgo.NewOffset().At(n)
	}
	cl, err := connect(ctx, c.Env, c.properties)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	topic := c.value("topic", "")
	details, err := kadm.NewClient(cl).ListTopics(ctx, topic)
	if err != nil {
		return nil, err
	}
	if err := details[topic].Err; err != nil {
		return nil, fmt.Errorf("topic %s: %s", topic, full(err))
	}
	if _, ok := details[topic].Partitions[int32(c.partition)]; !ok {
		return nil, fmt.Errorf("topic %s has no partition %d, it has %d", topic, c.partition, len(details[topic].Partitions))
	}
	return kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {int32(c.partition): at}}), nil
}

// poll waits for records, with --timeout-ms only so long.
func (c *console) poll(ctx context.Context, cl *kgo.Client, wait time.Duration) kgo.Fetches {
	if c.has("timeout-ms") {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, max(wait, time.Millisecond))
		defer cancel()
	}
	return cl.PollFetches(ctx)
}

// print prints until there were enough, nothing comes any more, or ctx ends.
func (c *console) print(ctx context.Context, cl *kgo.Client) error {
	last := time.Now()
	for ctx.Err() == nil && (c.limit < 0 || c.printed < c.limit) {
		fetches := c.poll(ctx, cl, c.idle-time.Since(last))
		if fetches.NumRecords() > 0 {
			last = time.Now()
		} else if c.has("timeout-ms") && time.Since(last) >= c.idle {
			fmt.Fprintf(c.Err, "ERROR Error processing message, terminating consumer process: no message for %s\n", c.idle)
			break
		}
		for _, fe := range fetches.Errors() {
			if !kerr.IsRetriable(fe.Err) && !errors.Is(fe.Err, context.DeadlineExceeded) && !errors.Is(fe.Err, context.Canceled) {
				return fmt.Errorf("topic %s partition %d: %s", fe.Topic, fe.Partition, full(fe.Err))
			}
		}
		for it := fetches.RecordIter(); !it.Done() && (c.limit < 0 || c.printed < c.limit); {
			r := it.Next()
			if err := c.format.write(c.out, r); err != nil && !c.has("skip-message-on-error") {
				return errors.Join(err, c.out.Flush())
			}
			c.printed++
			cl.MarkCommitRecords(r)
		}
		if err := c.out.Flush(); err != nil {
			return err
		}
	}
	return nil
}
