package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leatstream/leat/cmd/leat/internal/bench"
	"github.com/leatstream/leat/internal/batch"
	"github.com/spf13/cobra"
)

type benchFlags struct {
	cluster
	output
	load       bench.Load
	compare    string
	repeat     int
	bytes      string
	batch      string
	acks       string
	comparePID []int
	config     []string

	compareConfig string
}

func benchCommand(std stdio) *cobra.Command {
	cmd := group("bench", "measure any Kafka-protocol cluster, or two in turn")
	cmd.Long = `Puts load on a cluster and prints what it measures. A run makes a topic of its own, ends by itself, compares what it reads
with what it wrote, and removes the topic. With --compare ADDR the same load runs on both in turn, and the ratio is printed.

  leat bench raw --compare localhost:19092 --repeat 3
  leat bench e2e --rate 10000 --broker-pid $(pgrep -x leat)`
	cmd.AddCommand(
		benchKind(std, "produce", "how fast a client writes, and what an acknowledgement takes"),
		benchKind(std, "consume", "how fast a client reads what was written before"),
		benchKind(std, "e2e", "how long a record takes from when it is due to its consumer, at a fixed rate"),
		benchKind(std, "raw", "what the broker can do: batches that were encoded once, fetches that nobody decodes"),
	)
	return cmd
}

func benchKind(std stdio, kind, short string) *cobra.Command {
	f := &benchFlags{load: bench.Load{Kind: kind, Replicas: -1}}
	cmd := &cobra.Command{
		Use:   kind,
		Short: short,
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), std) },
	}
	f.cluster.addTo(cmd)
	f.output.addTo(cmd)
	fl, l := cmd.Flags(), &f.load
	fl.StringVar(&f.compare, "compare", "", "another cluster, HOST:PORT: the same load runs there too, in turn")
	fl.StringVar(&f.compareConfig, "compare-config", "", "the --client-config of --compare, if it is another")
	fl.IntVar(&f.repeat, "repeat", 1, "how often; medians are printed")
	fl.IntVar(&l.Partitions, "partitions", 6, "of the topic")
	fl.StringArrayVar(&f.config, "topic-config", nil, "configuration of the topic, KEY=VALUE")
	fl.IntVar(&l.Size, "size", 1024, "bytes of a record's value")
	fl.StringVar(&l.Payload, "payload", "random", "what values are: "+strings.Join(bench.Payloads, ", "))
	fl.StringVarP(&l.Codec, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	fl.StringVar(&f.acks, "acks", "all", "all, 1 or 0")
	fl.StringVar(&f.batch, "batch", "128KiB", "bytes of a batch, at most; of every one in raw")
	fl.BoolVar(&l.Check, "check", true, "compare what is read back with what was written: number, order, checksums")
	fl.IntSliceVar(&l.PIDs, "broker-pid", nil, "processes of the broker, on this machine: shows their CPU and memory (Linux)")
	fl.IntSliceVar(&f.comparePID, "compare-pid", nil, "--broker-pid of --compare")
	f.kindFlags(cmd, kind)
	return cmd
}

// kindFlags are those that only some kinds of load have.
func (f *benchFlags) kindFlags(cmd *cobra.Command, kind string) {
	fl, l := cmd.Flags(), &f.load
	if kind == "e2e" {
		fl.Float64Var(&l.Rate, "rate", 1000, "records a second")
		fl.DurationVar(&l.Limit, "duration", 20*time.Second, "how long it is measured")
		fl.DurationVar(&l.Warm, "warm-up", 3*time.Second, "how long it runs before")
	} else {
		fl.StringVar(&f.bytes, "bytes", "1GB", "how much is written, if --records does not say it")
		fl.Int64Var(&l.Records, "records", 0, "how many records are written")
		fl.DurationVar(&l.Limit, "limit", time.Minute, "how long writing may take; what is written by then counts")
	}
	if kind == "raw" {
		fl.IntVar(&l.Producers, "connections", 1, "connections")
		fl.IntVar(&l.InFlight, "in-flight", 5, "requests on their way at the same time, on each connection")
		fl.IntVar(&l.Passes, "passes", 4, "how often everything is fetched (0: only produce)")
		return
	}
	linger := 5 * time.Millisecond
	if kind == "e2e" {
		linger = 0
	}
	fl.DurationVar(&l.Linger, "linger", linger, "how long the client waits for a batch to become full")
	fl.BoolVar(&l.Idempotent, "idempotent", true, "an idempotent producer, with --acks all")
	fl.IntVar(&l.InFlight, "in-flight", 5, "requests on their way to a broker at the same time, without idempotence")
	fl.IntVar(&l.Producers, "producers", 1, "clients that write")
	fl.IntVar(&l.Consumers, "consumers", 1, "clients that read")
}

// prepare checks the flags and makes the load of them.
func (f *benchFlags) prepare() error {
	if err := f.output.check(); err != nil {
		return err
	}
	l := &f.load
	if l.Kind == "raw" {
		l.Consumers = l.Producers
	}
	var err error
	if l.Config, err = parseSettings("--topic-config", f.config); err != nil {
		return err
	}
	acks, ok := map[string]int16{"all": -1, "-1": -1, "1": 1, "0": 0}[f.acks]
	if !ok {
		return usageError("--acks %s is not one of all, 1 and 0", f.acks)
	}
	l.Acks = acks
	if _, err := batch.ParseCodec(l.Codec); err != nil {
		return usageError("--compression: %w", err)
	}
	if !slices.Contains(bench.Payloads, l.Payload) {
		return usageError("--payload %s is not one of %s", l.Payload, strings.Join(bench.Payloads, ", "))
	}
	size, err := parseSize("--batch", f.batch)
	if err != nil {
		return err
	}
	l.Batch = int(size)
	for name, n := range map[string]int{"--producers": l.Producers, "--consumers": l.Consumers, "--partitions": l.Partitions, "--repeat": f.repeat, "--in-flight": l.InFlight} {
		if n < 1 {
			return usageError("%s must be at least 1", name)
		}
	}
	if l.Size < bench.MinSize {
		return usageError("--size must be at least %d: records carry their number and the time", bench.MinSize)
	}
	if l.Rate <= 0 && l.Kind == "e2e" {
		return usageError("--rate must be above 0")
	}
	return f.count()
}

// count makes a number of records of --bytes.
func (f *benchFlags) count() error {
	l := &f.load
	if l.Kind == "e2e" || l.Records > 0 {
		return nil
	}
	size, err := parseSize("--bytes", f.bytes)
	l.Records = max(size/int64(l.Size), 1)
	return err
}

// parseSize reads a number of bytes.
func parseSize(flag, s string) (int64, error) {
	number, unit := strings.TrimRight(s, "KMGTiB"), ""
	unit = s[len(number):]
	scale, ok := map[string]float64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || n <= 0 {
		return 0, usageError("%s %s is not a size\n  hint: 16384, 16KiB, 1GB", flag, s)
	}
	return int64(n * scale), nil
}

func (f *benchFlags) run(ctx context.Context, std stdio) error {
	if err := f.prepare(); err != nil {
		return err
	}
	debug.SetGCPercent(400) // what is measured is the broker
	sides, err := f.sides()
	if err != nil {
		return err
	}
	for _, side := range sides {
		cl, err := side.client(ctx) // both must be there before anything starts
		if err != nil {
			return err
		}
		cl.Close()
	}
	runs := make([][]*bench.Result, len(sides))
	for n := range f.repeat {
		for i, side := range sides {
			result, err := f.one(ctx, std, side, i, n)
			if err != nil {
				return fmt.Errorf("%s: %w", strings.Join(side.brokers, ","), kafkaError(err))
			}
			runs[i] = append(runs[i], result)
		}
	}
	if err := f.show(std, runs); err != nil {
		return err
	}
	return f.verdict(std, runs)
}

// sides are the cluster that is measured, and the one that it is compared with.
func (f *benchFlags) sides() ([]cluster, error) {
	if f.compare == "" {
		return []cluster{f.cluster}, nil
	}
	other := f.cluster
	other.brokers = strings.Split(f.compare, ",")
	if f.compareConfig != "" {
		other.config, other.secure = f.compareConfig, nil
		if err := other.readConfig(true); err != nil {
			return nil, err
		}
	}
	return []cluster{f.cluster, other}, nil
}

// one runs the load once on one side.
func (f *benchFlags) one(ctx context.Context, std stdio, side cluster, i, n int) (*bench.Result, error) {
	l := f.load
	l.Address, l.Client = strings.Join(side.brokers, ","), side.options()
	if i > 0 {
		l.PIDs = f.comparePID
	}
	if isTerminal(std.err) {
		l.Progress = func(stage string, done float64, records int64) {
			fmt.Fprintf(std.err, "\r\x1b[K%s  run %d of %d  %s  %3.0f %%  %d records", l.Address, n+1, f.repeat, stage, done*100, records)
		}
		defer fmt.Fprint(std.err, "\r\x1b[K")
	}
	return bench.Run(ctx, &l)
}

type benchReport struct {
	Load bench.Load        `json:"load"`
	Rows []bench.Row       `json:"rows"` // medians of the runs
	Runs [][]*bench.Result `json:"runs"`
}

func (f *benchFlags) show(std stdio, runs [][]*bench.Result) error {
	var others []*bench.Result
	t := table{head: []string{"MEASURE", "", strings.Join(f.brokers, ",")}}
	if len(runs) > 1 {
		others = runs[1]
		t.head = append(t.head, f.compare, "RATIO")
	}
	rows := bench.Medians(runs[0], others)
	for _, r := range rows {
		cells := []string{r.Name, r.Unit, figure(r.Value)}
		if others != nil {
			cells = append(cells, figure(r.Compared), cmp.Or(ratio(r), "-"))
		}
		t.rows = append(t.rows, cells)
	}
	return f.print(std.out, benchReport{f.load, rows, runs}, t)
}

func ratio(r bench.Row) string {
	if r.Ratio == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f × (%s is better)", r.Ratio, r.Better)
}

// figure is a number with as many digits as mean something.
func figure(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// verdict tells what went wrong in runs, so that nobody believes figures of a broken one.
func (f *benchFlags) verdict(std stdio, runs [][]*bench.Result) error {
	var errs []error
	for _, side := range runs {
		for i, r := range side {
			if r.Throttles > 0 {
				fmt.Fprintf(std.err, "%s run %d: a quota made clients wait %s, %s in all: this measures the quota, not the broker\n  hint: `kafka-configs --describe --entity-type clients`, or users, shows quotas\n",
					r.Address, i+1, counted(r.Throttles, "time"), r.Throttled.Round(time.Millisecond))
			}
			if r.Errors > 0 {
				errs = append(errs, fmt.Errorf("%s run %d: %d errors, the first: %s", r.Address, i+1, r.Errors, r.FirstError))
			}
			for _, wrong := range r.Wrong {
				errs = append(errs, fmt.Errorf("%s run %d: %s", r.Address, i+1, wrong))
			}
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("do not trust these figures:\n%w", errors.Join(errs...))
	}
	if f.load.Check && f.load.Kind != "raw" {
		fmt.Fprintln(std.err, "checked: every acknowledged record came back once, in order, with its checksum")
	} else if f.load.Check && f.load.Passes > 0 {
		fmt.Fprintln(std.err, "checked: every acknowledged record came back, and the checksums of all batches are right")
	}
	return nil
}
