package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/leatstream/leat/internal/batch"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

// maxLine bounds one line of input, in bytes: what a broker accepts by default, with room for a key.
const maxLine = 2 << 20

type produceFlags struct {
	cluster
	key         string
	separator   string
	headers     []string
	partition   int32
	compression string
	acks        string
}

func produceCommand(std stdio) *cobra.Command {
	var f produceFlags
	cmd := &cobra.Command{
		Use:   "produce TOPIC",
		Short: "write each line of standard input as a record",
		Args:  oneArg("a topic", "echo hello | leat produce greetings"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), std, args[0])
		},
	}
	f.addTo(cmd)
	cmd.Flags().StringVarP(&f.key, "key", "k", "", "key of every record")
	cmd.Flags().StringVarP(&f.separator, "key-separator", "K", "", "what stands between key and value in a line")
	cmd.Flags().StringArrayVarP(&f.headers, "header", "H", nil, "header of every record, KEY=VALUE")
	cmd.Flags().Int32VarP(&f.partition, "partition", "p", -1, "partition (-1: by key, or in turn)")
	cmd.Flags().StringVarP(&f.compression, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	cmd.Flags().StringVar(&f.acks, "acks", "all", "all, 1 or 0")
	return cmd
}

func (f *produceFlags) options(cmd string) ([]kgo.Opt, error) {
	codec, err := batch.ParseCodec(f.compression)
	if err != nil {
		return nil, usageError("%s: %w", cmd, err)
	}
	codecs := map[batch.Codec]kgo.CompressionCodec{
		batch.None: kgo.NoCompression(), batch.Gzip: kgo.GzipCompression(), batch.Snappy: kgo.SnappyCompression(),
		batch.LZ4: kgo.Lz4Compression(), batch.Zstd: kgo.ZstdCompression(),
	}
	opts := []kgo.Opt{kgo.ProducerBatchCompression(codecs[codec]), kgo.AllowAutoTopicCreation(), kgo.RecordDeliveryTimeout(answerTimeout)}
	switch f.acks {
	case "all", "-1":
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, usageError("%s: --acks %s is not one of all, 1 and 0", cmd, f.acks)
	}
	if f.partition >= 0 {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	return opts, nil
}

func (f *produceFlags) run(ctx context.Context, std stdio, topic string) error {
	opts, err := f.options("produce")
	if err != nil {
		return err
	}
	headers, err := parseHeaders(f.headers)
	if err != nil {
		return err
	}
	cl, err := f.client(ctx, opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	lines := bufio.NewScanner(std.in)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	lines.Split(scanLines)
	count := 0
	for lines.Scan() && ctx.Err() == nil {
		r := &kgo.Record{Topic: topic, Partition: f.partition, Headers: headers}
		if r.Key, r.Value, err = f.split(lines.Bytes()); err != nil {
			return fmt.Errorf("line %d: %w", count+1, err)
		}
		count++
		cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				fail(err)
			}
		})
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return usageError("line %d is longer than %d bytes", count+1, maxLine)
	} else if err != nil {
		return err
	}
	if err := cl.Flush(ctx); err != nil || ctx.Err() != nil {
		return fmt.Errorf("produce to %s: %w", topic, kafkaError(context.Cause(ctx)))
	}
	fmt.Fprintf(std.err, "produced %d records to %s\n", count, topic)
	return nil
}

func (f *produceFlags) split(line []byte) (key, value []byte, err error) {
	if f.key != "" {
		key = []byte(f.key)
	}
	if f.separator == "" {
		return key, bytes.Clone(line), nil
	}
	k, v, ok := bytes.Cut(line, []byte(f.separator))
	if !ok {
		return nil, nil, usageError("no %q between key and value", f.separator)
	}
	return bytes.Clone(k), bytes.Clone(v), nil
}

// scanLines splits at \n alone: a carriage return belongs to the value.
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
