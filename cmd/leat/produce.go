package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
	"github.com/leatstream/leat/internal/batch"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// maxLine bounds one line of input, in bytes: what a request may have by default, with room for what base64 adds to it.
const maxLine = 160 << 20

// produceRetries bounds by number, about ten seconds of them, what the client could also bound by time; but that time it
// counts from a record's timestamp, and those of JSON lines may be old.
const produceRetries = 8

// batchBeforeAsking only has to be a size that the client accepts.
const batchBeforeAsking = 1 << 20

type produceFlags struct {
	cluster
	key           string
	separator     string
	headers       []string
	partition     int32
	compression   string
	acks          string
	json          bool
	tombstones    bool
	idempotent    bool
	transactional string
}

func produceCommand(std stdio) *cobra.Command {
	var f produceFlags
	cmd := &cobra.Command{
		Use:   "produce TOPIC",
		Short: "write each line of standard input as a record",
		Example: `  echo hello | leat produce greetings
  leat produce orders -K : < lines.txt                   each line is KEY:VALUE
  leat consume orders -e --json | leat produce copy --json
  leat produce orders -x import-1 < lines.txt            all lines or none`,
		Args: oneArg("a topic", "echo hello | leat produce greetings"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), std, args[0])
		},
	}
	f.addTo(cmd)
	cmd.Flags().StringVarP(&f.key, "key", "k", "", "key of every record")
	cmd.Flags().StringVarP(&f.separator, "key-separator", "K", "", `what stands between key and value in a line; \t is a tab`)
	cmd.Flags().StringArrayVarP(&f.headers, "header", "H", nil, "header of every record, KEY=VALUE")
	cmd.Flags().Int32VarP(&f.partition, "partition", "p", -1, "partition (-1: by key, or in turn)")
	cmd.Flags().StringVarP(&f.compression, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	cmd.Flags().StringVar(&f.acks, "acks", "all", "all, 1 or 0")
	cmd.Flags().BoolVarP(&f.json, "json", "J", false, `each line is a record: {"key": …, "value": …, "headers": [{"key": …, "value": …}], "partition": …, "timestamp": …}, as consume --json prints it`)
	cmd.Flags().BoolVarP(&f.tombstones, "tombstones", "Z", false, "an empty value is null: it deletes the key from a compacted topic")
	cmd.Flags().BoolVar(&f.idempotent, "idempotent", true, "let the broker drop what a retry sends twice (with --acks all)")
	cmd.Flags().StringVarP(&f.transactional, "transactional-id", "x", "", "write all lines in one transaction of this id: consumers of committed records see all of them or none")
	oneOf(cmd, "compression", "none", "gzip", "snappy", "lz4", "zstd")
	oneOf(cmd, "acks", "all", "1", "0")
	return f.completes(cmd, 1, topicNames)
}

// sending makes options for the client of the flags. maxBatch is asked when the client has found the topic.
func (f *produceFlags) sending(maxBatch func(topic string) int32) ([]kgo.Opt, error) {
	if f.partition < -1 {
		return nil, usageError("--partition %d is none\n  hint: partitions are numbered from 0; -1 lets the key decide", f.partition)
	}
	codec, err := batch.ParseCodec(f.compression)
	if err != nil {
		return nil, usageError("produce: %w", err)
	}
	codecs := map[batch.Codec]kgo.CompressionCodec{
		batch.None: kgo.NoCompression(), batch.Gzip: kgo.GzipCompression(), batch.Snappy: kgo.SnappyCompression(),
		batch.LZ4: kgo.Lz4Compression(), batch.Zstd: kgo.ZstdCompression(),
	}
	opts := []kgo.Opt{kgo.ProducerBatchCompression(codecs[codec]), kgo.AllowAutoTopicCreation(), kgo.RecordRetries(produceRetries), kgo.ProducerBatchMaxBytesFn(maxBatch)}
	switch f.acks {
	case "all", "-1":
		if !f.idempotent {
			opts = append(opts, kgo.DisableIdempotentWrite())
		}
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, usageError("produce: --acks %s is not one of all, 1 and 0", f.acks)
	}
	if f.transactional != "" {
		if f.acks != "all" && f.acks != "-1" || !f.idempotent {
			return nil, usageError("produce: a transaction needs --acks all and idempotence")
		}
		opts = append(opts, kgo.TransactionalID(f.transactional))
	}
	return append(opts, kgo.RecordPartitioner(pinned{kgo.UniformBytesPartitioner(64<<10, true, true, nil)})), nil
}

func (f *produceFlags) run(ctx context.Context, std stdio, topic string) error {
	var maxBatch atomic.Int32
	maxBatch.Store(batchBeforeAsking)
	opts, err := f.sending(func(string) int32 { return maxBatch.Load() })
	if err != nil {
		return err
	}
	parse, err := f.parser()
	if err != nil {
		return err
	}
	cl, err := f.client(ctx, opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	maxBatch.Store(admin.MaxBatch(ctx, cl, topic))
	if isTerminal(std.in) {
		fmt.Fprintf(std.err, "every line becomes a record of %s; Ctrl-D ends\n", topic)
	}
	if f.transactional != "" {
		if err := cl.BeginTransaction(); err != nil {
			return err
		}
	}
	count, err := f.send(ctx, std, cl, topic, parse)
	if f.transactional != "" {
		err = endTransaction(cl, err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(std.err, "produced %s to %s\n", counted(count, "record"), topic)
	return nil
}

// send produces what parse makes of each line. Interrupted, it waits for what it has sent.
func (f *produceFlags) send(ctx context.Context, std stdio, cl *kgo.Client, topic string, parse func([]byte) (*kgo.Record, error)) (count int64, err error) {
	sending, fail := context.WithCancelCause(context.WithoutCancel(ctx))
	defer fail(nil)
	var acked atomic.Int64
	n := 0
	err = eachLine(ctx, std.in, maxLine, func(line []byte) error {
		n++
		if f.json && len(bytes.TrimSpace(line)) == 0 {
			return nil
		}
		r, err := parse(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		r.Topic = topic
		chosen := r.Partition
		cl.Produce(sending, r, func(_ *kgo.Record, err error) {
			if err != nil {
				fail(wrongPartition(topic, chosen, err))
				return
			}
			acked.Add(1)
		})
		return context.Cause(sending)
	})
	if flushErr := cl.Flush(sending); err == nil {
		err = flushErr
	}
	if cause := context.Cause(sending); cause != nil {
		return 0, fmt.Errorf("produce to %s: %w", named(topic), tooLarge(topic, kafkaError(cause)))
	}
	if err != nil && acked.Load() > 0 && f.transactional == "" {
		err = fmt.Errorf("%w\n  what came before it was written: %s", err, counted(acked.Load(), "record"))
	}
	if err == nil && ctx.Err() != nil && f.transactional != "" {
		err = errors.New("interrupted, so the transaction was aborted")
	}
	return acked.Load(), err
}

// tooLarge adds to an error about a record's size what decides about it.
func tooLarge(topic string, err error) error {
	if !errors.Is(err, kerr.MessageTooLarge) {
		return err
	}
	return fmt.Errorf("%w\n  hint: `leat config get topic %s max.message.bytes` shows how much a record may have, `leat config set` changes it", err, topic)
}

// wrongPartition words the client's complaint about a partition that was asked for and is not there.
func wrongPartition(topic string, partition int32, err error) error {
	if partition < 0 || !strings.Contains(err.Error(), "invalid record partitioning choice") {
		return err
	}
	return usageError("there is no partition %d\n  hint: `leat topic describe %s` shows the partitions; without -p, and without \"partition\" in a JSON line, the key decides", partition, topic)
}

// pinned lets records go to the partition that they name, and others where the partitioner sends them.
type pinned struct{ kgo.Partitioner }

// ForTopic implements kgo.Partitioner.
func (p pinned) ForTopic(topic string) kgo.TopicPartitioner {
	rest, _ := p.Partitioner.ForTopic(topic).(kgo.TopicBackupPartitioner) // the uniform partitioner is one
	return pinnedTopic{rest}
}

type pinnedTopic struct{ kgo.TopicBackupPartitioner }

// RequiresConsistency implements kgo.TopicPartitioner.
func (p pinnedTopic) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || p.TopicBackupPartitioner.RequiresConsistency(r)
}

// PartitionByBackup implements kgo.TopicBackupPartitioner.
func (p pinnedTopic) PartitionByBackup(r *kgo.Record, n int, backup kgo.TopicBackupIter) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return p.TopicBackupPartitioner.PartitionByBackup(r, n, backup)
}

// endTransaction commits, or after an error aborts.
func endTransaction(cl *kgo.Client, err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	if err != nil {
		return errors.Join(err, cl.AbortBufferedRecords(ctx), cl.EndTransaction(ctx, kgo.TryAbort))
	}
	return kafkaError(cl.EndTransaction(ctx, kgo.TryCommit))
}

// parser is what makes a record of a line, whose bytes it may not keep.
func (f *produceFlags) parser() (func(line []byte) (*kgo.Record, error), error) {
	headers, err := parseHeaders(f.headers)
	if err != nil {
		return nil, err
	}
	if f.json && f.separator != "" {
		return nil, usageError("--json and --key-separator exclude each other: the key stands in the JSON")
	}
	return func(line []byte) (*kgo.Record, error) {
		r, err := f.parse(line)
		if err != nil {
			return nil, err
		}
		if f.key != "" {
			r.Key = []byte(f.key)
		}
		if f.tombstones && len(r.Value) == 0 {
			r.Value = nil
		}
		if f.partition >= 0 {
			r.Partition = f.partition
		}
		r.Headers = append(r.Headers, headers...)
		return r, nil
	}, nil
}

func (f *produceFlags) parse(line []byte) (*kgo.Record, error) {
	if f.json {
		return parseJSONLine(line)
	}
	r := &kgo.Record{Partition: -1, Value: bytes.Clone(line)}
	if r.Value == nil {
		r.Value = []byte{}
	}
	if f.separator == "" {
		return r, nil
	}
	k, v, ok := bytes.Cut(line, []byte(strings.ReplaceAll(f.separator, `\t`, "\t")))
	if !ok {
		return nil, usageError("there is no %q between key and value\n  hint: -K names what stands between them", f.separator)
	}
	r.Key, r.Value = append([]byte{}, k...), append([]byte{}, v...)
	return r, nil
}

func parseJSONLine(line []byte) (*kgo.Record, error) {
	var j jsonRecord
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	err := dec.Decode(&j)
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		what := "this"
		if kind.Field != "" {
			what = strconv.Quote(kind.Field)
		}
		err = fmt.Errorf("%s is not what it should be, but JSON of type %s", what, kind.Value)
	}
	if err != nil {
		return nil, usageError("%s\n  hint: with --json a line is {\"key\": …, \"value\": …}; without it the line itself is the value", strings.TrimPrefix(err.Error(), "json: "))
	}
	if dec.More() {
		return nil, usageError("there is more than one JSON object\n  hint: put each on a line of its own")
	}
	return j.parse(), nil
}

// eachLine calls do for the lines of in until it is at its end or ctx ends. A line is split at \n alone: a carriage return
// belongs to the value.
func eachLine(ctx context.Context, in io.Reader, longest int, do func(line []byte) error) error {
	lines := bufio.NewScanner(&interruptible{ctx: ctx, in: in, buf: make([]byte, 64<<10)})
	lines.Buffer(make([]byte, 64<<10), longest)
	lines.Split(scanLines)
	n := 1
	for ; lines.Scan(); n++ {
		if err := do(lines.Bytes()); err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return usageError("line %d is longer than %d bytes, and no broker takes a record of that size", n, longest)
	}
	return lines.Err()
}

// interruptible is a reader that is at its end when ctx ends, also while nothing comes.
type interruptible struct {
	ctx context.Context
	in  io.Reader
	buf []byte // where reading goes on after the end of ctx, when nobody looks any more
}

func (r *interruptible) Read(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := r.in.Read(r.buf[:min(len(p), len(r.buf))])
		done <- result{n, err}
	}()
	select {
	case <-r.ctx.Done():
		return 0, io.EOF
	case got := <-done:
		return copy(p, r.buf[:got.n]), got.err
	}
}

// scanLines splits at \n alone.
func scanLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func parseHeaders(words []string) ([]kgo.RecordHeader, error) {
	var headers []kgo.RecordHeader
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok {
			return nil, usageError("--header %s: want KEY=VALUE", w)
		}
		headers = append(headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
	}
	return headers, nil
}
