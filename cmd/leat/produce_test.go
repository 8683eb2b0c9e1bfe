package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func lines(t *testing.T, in string) []string {
	t.Helper()
	var got []string
	if err := eachLine(t.Context(), strings.NewReader(in), maxLine, func(line []byte) error {
		got = append(got, string(line))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestLinesEndAtNewlinesAlone(t *testing.T) {
	for in, want := range map[string][]string{
		"a\nb\n": {"a", "b"}, "a\nb": {"a", "b"}, "a\r\n\nb": {"a\r", "", "b"}, "": nil, strings.Repeat("x", 200_000): {strings.Repeat("x", 200_000)},
	} {
		if got := lines(t, in); !slices.Equal(got, want) {
			t.Errorf("%.20q: %.60q, want %.60q", in, got, want)
		}
	}
	err := eachLine(t.Context(), strings.NewReader(strings.Repeat("x", 100_002)), 100_000, func([]byte) error { return nil })
	if exitCode(err) != exitUsage || !strings.Contains(err.Error(), "line 1 is longer than") {
		t.Errorf("%v", err)
	}
}

// TestReadingEndsWhileNothingComes is Ctrl-C at a terminal.
func TestReadingEndsWhileNothingComes(t *testing.T) {
	in, out := io.Pipe()
	defer out.Close()
	ctx, stop := context.WithCancel(t.Context())
	got := make(chan string, 1)
	done := make(chan error, 1)
	go func() {
		done <- eachLine(ctx, in, maxLine, func(line []byte) error {
			got <- string(line)
			return nil
		})
	}()
	if _, err := io.WriteString(out, "typed\n"); err != nil {
		t.Fatal(err)
	}
	if line := <-got; line != "typed" {
		t.Errorf("%q", line)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRecordsGoToThePartitionThatTheyName(t *testing.T) {
	p := pinned{kgo.UniformBytesPartitioner(64<<10, true, true, nil)}.ForTopic("t")
	named := &kgo.Record{Partition: 2, Key: []byte("k")}
	backup, ok := p.(kgo.TopicBackupPartitioner)
	if !ok || !p.RequiresConsistency(named) || backup.PartitionByBackup(named, 3, nil) != 2 {
		t.Error("a record does not go to the partition that it names")
	}
	if p.RequiresConsistency(&kgo.Record{Partition: -1}) {
		t.Error("a record without key and partition may not go anywhere")
	}
}
