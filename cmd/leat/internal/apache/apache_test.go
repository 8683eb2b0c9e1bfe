package apache

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

func TestFlagsAreReadAsApachesParserReadsThem(t *testing.T) {
	options := []option{{name: "topic", arg: "topic"}, {name: "topics-with-overrides"}, {name: "state", arg: "states", bare: true}, {name: "list"}, {name: "broker-list", arg: "host:port", instead: "bootstrap-server"}, {name: "bootstrap-server", arg: "host:port"}}
	f, err := parse([]string{"--topic", "a", "--topic=b", "word", "--state", "--list", "--broker", "h:1", "--topics-w"}, options)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"topic": {"a", "b"}, "state": {""}, "list": {""}, "bootstrap-server": {"h:1"}, "topics-with-overrides": {""}}
	if !reflect.DeepEqual(f.values, want) {
		t.Errorf("%v, want %v", f.values, want)
	}
	for _, args := range [][]string{{"--wat"}, {"--to"}, {"--topic"}, {"--topic", "--list"}} {
		var usage *usageError
		if _, err := parse(args, options); !errors.As(err, &usage) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestToolsAreKnownByTheirNames(t *testing.T) {
	for argv0, want := range map[string]string{
		"kafka-topics": "kafka-topics", "/opt/kafka/bin/kafka-topics.sh": "kafka-topics", "./kafka-configs.exe": "kafka-configs",
		"leat": "", "kafka-topics.py": "", "kafka": "",
	} {
		if got := Called(argv0); got != want {
			t.Errorf("%s: %q, want %q", argv0, got, want)
		}
	}
}

func TestNumbersAreWrittenAsJavaWritesThem(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.0", 1024: "1024.0", 0.5: "0.5", 9999999: "9999999.0", 1e7: "1.0E7", 1048576 * 20: "2.097152E7", 0.001: "0.001", 0.0001: "1.0E-4", -1.25e10: "-1.25E10",
	} {
		if got := javaDouble(v); got != want {
			t.Errorf("%g: %s, want %s", v, got, want)
		}
	}
}

func TestExceptionsHaveJavasNames(t *testing.T) {
	for err, want := range map[error]string{
		kerr.TopicAlreadyExists: "TopicExistsException", kerr.InvalidTopicException: "InvalidTopicException", kerr.GroupIDNotFound: "GroupIdNotFoundException",
		kerr.UnknownTopicOrPartition: "UnknownTopicOrPartitionException", kerr.NonEmptyGroup: "GroupNotEmptyException", kerr.InvalidPartitions: "InvalidPartitionsException",
	} {
		if got := exception(err); got != "org.apache.kafka.common.errors."+want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

func TestTimesAndDurationsOfResets(t *testing.T) {
	for s, want := range map[string]time.Duration{"P1DT2H3M4S": 26*time.Hour + 3*time.Minute + 4*time.Second, "PT0.5S": 500 * time.Millisecond, "P7D": 168 * time.Hour} {
		if got, err := isoDuration(s); err != nil || got != want {
			t.Errorf("%s: %v %v", s, got, err)
		}
	}
	for _, s := range []string{"", "P", "PT", "1h", "P1H"} {
		if _, err := isoDuration(s); err == nil {
			t.Errorf("%q is a duration", s)
		}
	}
	at := time.Date(2026, 5, 1, 10, 0, 0, 123e6, time.UTC)
	for _, s := range []string{"2026-05-01T10:00:00.123", "2026-05-01T12:00:00.123+0200", "2026-05-01T12:00:00.123+02:00", "2026-05-01T10:00:00.123Z"} {
		if got, err := dateTime(s); err != nil || !got.Equal(at) {
			t.Errorf("%s: %v %v", s, got, err)
		}
	}
}

func TestListsAreSplitOutsideBrackets(t *testing.T) {
	if got := splitList("a=1,b=[x,y],c="); !slices.Equal(got, []string{"a=1", "b=[x,y]", "c="}) {
		t.Errorf("%q", got)
	}
}

// TestEveryOptionIsExplained keeps --help whole.
func TestEveryOptionIsExplained(t *testing.T) {
	for name, tool := range tools {
		seen := map[string]bool{}
		for _, o := range tool.options {
			if seen[o.name] || o.help == "" && o.instead == "" {
				t.Errorf("%s --%s stands twice, or has no help", name, o.name)
			}
			seen[o.name] = true
		}
	}
}
