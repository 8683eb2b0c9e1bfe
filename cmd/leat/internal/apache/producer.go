package apache

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
	"github.com/twmb/franz-go/pkg/kgo"
)

var producerTool = &tool{
	about: "This tool helps to read data from standard input and publish it to Kafka.",
	options: append(slices.Clone(bootstrapOptions),
		option{name: "topic", arg: "topic", help: "REQUIRED: where the records go."},
		option{name: "reader-property", arg: "prop", help: "How lines are read: parse.key, key.separator, parse.headers, headers.delimiter, headers.separator, headers.key.separator, null.marker, ignore.error."},
		option{name: "property", arg: "prop", instead: "reader-property"},
		option{name: "reader-config", arg: "file", help: "Reader properties in a file."},
		option{name: "command-property", arg: "prop", help: "A property of the producer, key=value."},
		option{name: "producer-property", arg: "prop", instead: "command-property"},
		option{name: "producer.config", arg: "file", instead: "command-config"},
		option{name: "sync", help: "Wait for each record's answer before the next is sent."},
		option{name: "compression-codec", arg: "codec", bare: true, help: "none, gzip (also without an argument), snappy, lz4 or zstd."},
		option{name: "request-required-acks", arg: "acks", help: "all (-1), 1 or 0."},
		option{name: "batch-size", arg: "bytes", help: "Accepted, and of no effect: a record may be larger than a batch, up to max.request.size."},
		option{name: "max-partition-memory-bytes", arg: "bytes", instead: "batch-size"},
		option{name: "timeout", arg: "ms", help: "How long a batch waits to become full."},
		option{name: "message-send-max-retries", arg: "number", help: "How often a record is sent again."},
		option{name: "request-timeout-ms", arg: "ms", help: "How long a broker may take for an answer."},
		option{name: "max-block-ms", arg: "ms", help: "Accepted, and of no effect."},
		option{name: "max-memory-bytes", arg: "bytes", help: "Accepted, and of no effect."},
		option{name: "metadata-expiry-ms", arg: "ms", help: "Accepted, and of no effect."},
		option{name: "retry-backoff-ms", arg: "ms", help: "Accepted, and of no effect."},
		option{name: "socket-buffer-size", arg: "bytes", help: "Accepted, and of no effect."},
		option{name: "line-reader", arg: "class", help: "Only the default one."},
		option{name: "queue-size", arg: "number", help: "Gone; accepted, and of no effect."},
		option{name: "queue-enqueuetimeout-ms", arg: "ms", help: "Gone; accepted, and of no effect."},
	),
	run: runProducer,
}

func runProducer(ctx context.Context, e *Env, f *flags) error {
	if !f.has("topic") {
		return usagef("Missing required argument \"[topic]\"")
	}
	if class := f.value("line-reader", ""); class != "" && !strings.HasSuffix(class, "LineMessageReader") {
		return usagef("The reader %s is a Java class, which only Apache's tool can load", class)
	}
	reader, err := newLineReader(e, f)
	if err != nil {
		return err
	}
	properties, err := f.properties(e, []string{"command-config"}, []string{"command-property"})
	if err != nil {
		return err
	}
	opts, err := producerOptions(f, properties)
	if err != nil {
		return err
	}
	largest, err := strconv.ParseInt(first(properties["max.request.size"], "1048576"), 10, 32)
	if err != nil || largest < 1 {
		return usagef("Invalid value %s for max.request.size: want a number", properties["max.request.size"])
	}
	var batch atomic.Int32
	batch.Store(1 << 20) // the client asks again when it has found the topic
	opts = append(opts, kgo.ProducerBatchMaxBytesFn(func(string) int32 { return batch.Load() }))
	cl, err := connect(ctx, e, properties, opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	batch.Store(min(max(int32(largest), 1024), admin.MaxBatch(ctx, cl, f.value("topic", ""))))
	return produce(ctx, e, f, cl, reader)
}

// producerOptions takes from flags, then from properties, what the client has an option for.
func producerOptions(f *flags, properties map[string]string) ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic(f.value("topic", ""))}
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	codec := first(properties["compression.type"], "none")
	if f.has("compression-codec") {
		codec = first(f.value("compression-codec", ""), "gzip")
	}
	chosen, ok := codecs[codec]
	if !ok {
		return nil, usagef("Unknown compression type: %s (want none, gzip, snappy, lz4 or zstd)", codec)
	}
	opts = append(opts, kgo.ProducerBatchCompression(chosen))
	switch acks := f.value("request-required-acks", first(properties["acks"], "-1")); acks {
	case "-1", "all":
		if properties["enable.idempotence"] == "false" {
			opts = append(opts, kgo.DisableIdempotentWrite())
		}
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, usagef("Invalid value %s for acks: want all, 1 or 0", acks)
	}
	numbers := []struct {
		flag, property string
		set            func(n int64) kgo.Opt
	}{
		{"timeout", "linger.ms", func(n int64) kgo.Opt { return kgo.ProducerLinger(time.Duration(n) * time.Millisecond) }},
		{"message-send-max-retries", "retries", func(n int64) kgo.Opt { return kgo.RecordRetries(int(min(n, 1<<30))) }},
		{"request-timeout-ms", "request.timeout.ms", func(n int64) kgo.Opt { return kgo.ProduceRequestTimeout(time.Duration(n) * time.Millisecond) }},
	}
	limited := false
	for _, o := range numbers {
		text := f.value(o.flag, properties[o.property])
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return nil, usagef("Invalid value %s for %s: want a number", text, o.property)
		}
		limited = limited || o.property == "retries"
		opts = append(opts, o.set(n))
	}
	if !limited {
		opts = append(opts, kgo.RecordRetries(defaultRetries))
	}
	return opts, nil
}

// defaultRetries let a broker be away for about ten seconds.
const defaultRetries = 8

// first is the first of values that is not empty.
func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// produce sends lines until there are no more, and waits for the answers.
func produce(ctx context.Context, e *Env, f *flags, cl *kgo.Client, reader *lineReader) error {
	var failed atomic.Int64
	answer := func(r *kgo.Record, err error) {
		if err != nil {
			failed.Add(1)
			fmt.Fprintf(e.Err, "ERROR Error when sending message to topic %s: %s\n", r.Topic, full(err))
		}
	}
	sending := context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		if e.Terminal {
			fmt.Fprint(e.Out, ">")
		}
		r, more, err := reader.next(ctx)
		if err != nil {
			return errors.Join(err, cl.Flush(sending))
		}
		if !more {
			break
		}
		if !f.has("sync") {
			cl.Produce(sending, r, answer)
			continue
		}
		if err := cl.ProduceSync(sending, r).FirstErr(); err != nil {
			return errors.New(full(err))
		}
	}
	if err := cl.Flush(sending); err != nil {
		return err
	}
	switch {
	case failed.Load() > 0:
		return exit(1)
	case ctx.Err() != nil:
		return exit(interrupted)
	}
	return nil
}

// interrupted is the exit code of a program that Ctrl-C ended.
const interrupted = 130

// lineReader makes records of lines, as Kafka's LineMessageReader does.
type lineReader struct {
	lines                               *bufio.Reader
	parseKey, parseHeaders, ignoreError bool
	keySeparator                        string
	headersDelimiter, headersSeparator  string
	headerKeySeparator                  string
	nullMarker                          *string
	number                              int
}

func newLineReader(e *Env, f *flags) (*lineReader, error) {
	properties := map[string]string{}
	for _, file := range f.values["reader-config"] {
		read, err := e.Properties(file)
		if err != nil {
			return nil, err
		}
		for k, v := range read {
			properties[k] = v
		}
	}
	given, err := f.pairs("reader-property")
	if err != nil {
		return nil, err
	}
	for k, v := range given {
		properties[k] = v
	}
	text := func(name, otherwise string) string {
		if v, ok := properties[name]; ok {
			return v
		}
		return otherwise
	}
	r := &lineReader{
		lines: bufio.NewReaderSize(e.In, 64<<10), parseKey: isTrue(properties["parse.key"]), parseHeaders: isTrue(properties["parse.headers"]),
		ignoreError: isTrue(properties["ignore.error"]), keySeparator: text("key.separator", "\t"), headersDelimiter: text("headers.delimiter", "\t"),
		headersSeparator: text("headers.separator", ","), headerKeySeparator: text("headers.key.separator", ":"),
	}
	if marker, ok := properties["null.marker"]; ok {
		r.nullMarker = &marker
	}
	for name, separator := range map[string]string{
		"key.separator": r.keySeparator, "headers.delimiter": r.headersDelimiter, "headers.separator": r.headersSeparator, "headers.key.separator": r.headerKeySeparator,
	} {
		if separator == "" {
			return nil, usagef("%s must not be empty", name)
		}
	}
	return r, nil
}

func isTrue(s string) bool { return strings.EqualFold(strings.TrimSpace(s), "true") }

// next makes a record of the next line. Reading a terminal cannot be interrupted, so that it is done beside.
func (l *lineReader) next(ctx context.Context) (*kgo.Record, bool, error) {
	type result struct {
		line []byte
		err  error
	}
	read := make(chan result, 1)
	go func() {
		line, err := l.lines.ReadBytes('\n')
		read <- result{line, err}
	}()
	select {
	case <-ctx.Done():
		return nil, false, nil
	case got := <-read:
		if got.err != nil && len(got.line) == 0 { // the end, or nothing that could be read
			return nil, false, nil
		}
		l.number++
		r, err := l.parse(bytes.TrimSuffix(bytes.TrimSuffix(got.line, []byte("\n")), []byte("\r")))
		return r, true, err
	}
}

func (l *lineReader) parse(line []byte) (*kgo.Record, error) {
	r := &kgo.Record{}
	rest := line
	if l.parseHeaders {
		var headers []byte
		var err error
		if headers, rest, err = l.cut(rest, l.headersDelimiter, "header delimiter"); err != nil {
			return nil, err
		}
		if r.Headers, err = l.headers(headers); err != nil {
			return nil, err
		}
	}
	if l.parseKey {
		key, value, err := l.cut(rest, l.keySeparator, "key separator")
		if err != nil {
			return nil, err
		}
		if !(l.ignoreError && !bytes.Contains(rest, []byte(l.keySeparator))) {
			r.Key = l.orNull(key)
		}
		rest = value
	}
	r.Value = l.orNull(rest)
	return r, nil
}

// cut splits at a separator. A line without one is an error, or all value if errors are to be ignored.
func (l *lineReader) cut(line []byte, separator, what string) (before, after []byte, err error) {
	before, after, ok := bytes.Cut(line, []byte(separator))
	switch {
	case ok:
		return before, after, nil
	case l.ignoreError:
		return nil, line, nil
	}
	return nil, nil, fmt.Errorf("org.apache.kafka.common.KafkaException: No %s found on line number %d: '%s'", what, l.number, line)
}

func (l *lineReader) headers(text []byte) ([]kgo.RecordHeader, error) {
	if len(text) == 0 || l.nullMarker != nil && string(text) == *l.nullMarker {
		return nil, nil
	}
	var out []kgo.RecordHeader
	for _, pair := range strings.Split(string(text), l.headersSeparator) {
		k, v, ok := strings.Cut(pair, l.headerKeySeparator)
		if !ok && !l.ignoreError {
			return nil, fmt.Errorf("org.apache.kafka.common.KafkaException: No header key separator found in pair '%s' on line number %d", pair, l.number)
		}
		if !ok {
			out = append(out, kgo.RecordHeader{Key: pair})
			continue
		}
		out = append(out, kgo.RecordHeader{Key: k, Value: l.orNull([]byte(v))})
	}
	return out, nil
}

func (l *lineReader) orNull(b []byte) []byte {
	if l.nullMarker != nil && string(b) == *l.nullMarker {
		return nil
	}
	return append([]byte{}, b...)
}
