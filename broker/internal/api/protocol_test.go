package api

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewriteDoc = flag.Bool("rewrite", false, "write docs/protocol.md anew")

// kafka44 are the APIs of Apache Kafka 4.4.0 (its message definitions, without unstable versions), by key; max -1: removed.
// why is the reason for not serving one.
var kafka44 = []struct {
	name     string
	min, max int16
	flexible int16 // -1: never
	why      string
}{
	0:  {"Produce", 0, 13, 9, ""},
	1:  {"Fetch", 4, 18, 12, ""},
	2:  {"ListOffsets", 1, 11, 6, ""},
	3:  {"Metadata", 0, 13, 9, ""},
	4:  {"LeaderAndIsr", 0, -1, 0, removed},
	5:  {"StopReplica", 0, -1, 0, removed},
	6:  {"UpdateMetadata", 0, -1, 0, removed},
	7:  {"ControlledShutdown", 0, -1, 0, removed},
	8:  {"OffsetCommit", 2, 10, 8, ""},
	9:  {"OffsetFetch", 1, 10, 6, ""},
	10: {"FindCoordinator", 0, 6, 3, ""},
	11: {"JoinGroup", 0, 9, 6, ""},
	12: {"Heartbeat", 0, 4, 4, ""},
	13: {"LeaveGroup", 0, 5, 4, ""},
	14: {"SyncGroup", 0, 5, 4, ""},
	15: {"DescribeGroups", 0, 6, 5, ""},
	16: {"ListGroups", 0, 5, 3, ""},
	17: {"SaslHandshake", 0, 1, -1, ""},
	18: {"ApiVersions", 0, 5, 3, ""},
	19: {"CreateTopics", 2, 7, 5, ""},
	20: {"DeleteTopics", 1, 6, 4, ""},
	21: {"DeleteRecords", 0, 2, 2, ""},
	22: {"InitProducerId", 0, 5, 2, ""},
	23: {"OffsetForLeaderEpoch", 2, 4, 4, ""},
	24: {"AddPartitionsToTxn", 0, 5, 3, ""},
	25: {"AddOffsetsToTxn", 0, 4, 3, ""},
	26: {"EndTxn", 0, 5, 3, ""},
	27: {"WriteTxnMarkers", 1, 2, 1, ""},
	28: {"TxnOffsetCommit", 0, 6, 3, ""},
	29: {"DescribeAcls", 1, 3, 2, ""},
	30: {"CreateAcls", 1, 3, 2, ""},
	31: {"DeleteAcls", 1, 3, 2, ""},
	32: {"DescribeConfigs", 1, 4, 4, ""},
	33: {"AlterConfigs", 0, 2, 2, ""},
	34: {"AlterReplicaLogDirs", 1, 2, 2, ""},
	35: {"DescribeLogDirs", 1, 5, 2, ""},
	36: {"SaslAuthenticate", 0, 2, 2, ""},
	37: {"CreatePartitions", 0, 3, 2, ""},
	38: {"CreateDelegationToken", 1, 3, 2, tokens},
	39: {"RenewDelegationToken", 1, 2, 2, tokens},
	40: {"ExpireDelegationToken", 1, 2, 2, tokens},
	41: {"DescribeDelegationToken", 1, 3, 2, tokens},
	42: {"DeleteGroups", 0, 3, 2, ""},
	43: {"ElectLeaders", 0, 2, 2, ""},
	44: {"IncrementalAlterConfigs", 0, 1, 1, ""},
	45: {"AlterPartitionReassignments", 0, 1, 0, ""},
	46: {"ListPartitionReassignments", 0, 0, 0, ""},
	47: {"OffsetDelete", 0, 0, -1, ""},
	48: {"DescribeClientQuotas", 0, 1, 1, ""},
	49: {"AlterClientQuotas", 0, 1, 1, ""},
	50: {"DescribeUserScramCredentials", 0, 0, 0, ""},
	51: {"AlterUserScramCredentials", 0, 0, 0, ""},
	52: {"Vote", 0, 2, 0, quorum},
	53: {"BeginQuorumEpoch", 0, 1, 1, quorum},
	54: {"EndQuorumEpoch", 0, 1, 1, quorum},
	55: {"DescribeQuorum", 0, 2, 0, ""},
	56: {"AlterPartition", 2, 3, 0, brokers},
	57: {"UpdateFeatures", 0, 2, 0, ""},
	58: {"Envelope", 0, 0, 0, brokers},
	59: {"FetchSnapshot", 0, 1, 0, quorum},
	60: {"DescribeCluster", 0, 2, 0, ""},
	61: {"DescribeProducers", 0, 0, 0, ""},
	62: {"BrokerRegistration", 0, 4, 0, brokers},
	63: {"BrokerHeartbeat", 0, 2, 0, brokers},
	64: {"UnregisterBroker", 0, 0, 0, ""},
	65: {"DescribeTransactions", 0, 0, 0, ""},
	66: {"ListTransactions", 0, 2, 0, ""},
	67: {"AllocateProducerIds", 0, 0, 0, brokers},
	68: {"ConsumerGroupHeartbeat", 0, 1, 0, ""},
	69: {"ConsumerGroupDescribe", 0, 1, 0, ""},
	70: {"ControllerRegistration", 0, 0, 0, brokers},
	71: {"GetTelemetrySubscriptions", 0, 0, 0, telemetry},
	72: {"PushTelemetry", 0, 0, 0, telemetry},
	73: {"AssignReplicasToDirs", 0, 0, 0, brokers},
	74: {"ListConfigResources", 0, 1, 0, ""},
	75: {"DescribeTopicPartitions", 0, 0, 0, ""},
	76: {"ShareGroupHeartbeat", 1, 1, 0, share},
	77: {"ShareGroupDescribe", 1, 1, 0, share},
	78: {"ShareFetch", 1, 2, 0, share},
	79: {"ShareAcknowledge", 1, 2, 0, share},
	80: {"AddRaftVoter", 0, 1, 0, voters},
	81: {"RemoveRaftVoter", 0, 0, 0, voters},
	82: {"UpdateRaftVoter", 0, 0, 0, voters},
	83: {"InitializeShareGroupState", 0, 0, 0, share},
	84: {"ReadShareGroupState", 0, 0, 0, share},
	85: {"WriteShareGroupState", 0, 1, 0, share},
	86: {"DeleteShareGroupState", 0, 0, 0, share},
	87: {"ReadShareGroupStateSummary", 0, 1, 0, share},
	88: {"StreamsGroupHeartbeat", 0, 1, 0, streams},
	89: {"StreamsGroupDescribe", 0, 1, 0, streams},
	90: {"DescribeShareGroupOffsets", 0, 1, 0, share},
	91: {"AlterShareGroupOffsets", 0, 0, 0, share},
	92: {"DeleteShareGroupOffsets", 0, 0, 0, share},
	93: {"StreamsGroupTopologyDescriptionUpdate", 0, 0, 0, streams},
	94: {"UnregisterController", 0, 0, 0, voters},
}

const (
	removed   = "removed from Kafka"
	tokens    = "delegation tokens: no client needs them that does not run beside Kafka's own workers"
	quorum    = "between Kafka's controllers; leat's nodes agree in their own way"
	brokers   = "between Kafka's brokers and controllers; no Kafka broker joins leat"
	telemetry = "clients push what they like, as often as they are told; a broker that nobody asked for it would hold it for nobody"
	share     = "share groups: not yet"
	streams   = "streams groups: not yet; Kafka Streams falls back to classic groups"
	voters    = "there is one voter"
)

// TestProtocolDoc keeps docs/protocol.md what the table of APIs says.
func TestProtocolDoc(t *testing.T) {
	path := filepath.Join("..", "..", "..", "docs", "protocol.md")
	want := protocolDoc(t)
	if *rewriteDoc {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("docs/protocol.md is not what is served (%v): go test ./broker/internal/api -run TestProtocolDoc -rewrite", err)
	}
}

func protocolDoc(t *testing.T) string {
	var served, not strings.Builder
	for key, k := range kafka44 {
		s := table[int16(key)]
		kafkas := versionRange(k.min, k.max)
		if s == nil {
			if k.why == "" {
				t.Errorf("API %d %s is not served: say why in kafka44", key, k.name)
			}
			fmt.Fprintf(&not, "| %d | %s | %s | %s |\n", key, k.name, kafkas, k.why)
			continue
		}
		if k.why != "" {
			t.Errorf("API %d %s is served: the reason why not, in kafka44, is wrong", key, k.name)
		}
		flexible := int16(-1)
		for v := s.min; v <= s.max && flexible < 0; v++ {
			if s.flexible(v) {
				flexible = v
			}
		}
		if flexible != max(k.flexible, s.min) && k.flexible >= 0 || k.flexible < 0 && flexible >= 0 {
			t.Errorf("API %d %s is flexible from version %d on, in Kafka from %d", key, k.name, flexible, k.flexible)
		}
		if s.max != k.max || s.min > k.min {
			t.Errorf("API %d %s is served from %d to %d, in Kafka 4.4 from %d to %d", key, k.name, s.min, s.max, k.min, k.max)
		}
		fmt.Fprintf(&served, "| %d | %s | %s | %s | %s | %s |\n", key, k.name, versionRange(s.min, s.max), kafkas, since(flexible), storyOf(t, key))
	}
	for key := range table {
		if int(key) >= len(kafka44) {
			t.Errorf("API %d is not one of Kafka 4.4", key)
		}
	}
	return `# The protocol

Written by a test of broker/internal/api from the table of what is served (` + "`go test ./broker/internal/api -run TestProtocolDoc -rewrite`" + `).
A story is a script of requests and answers that a running broker is held to.

| key | API | versions | Kafka 4.4 | flexible from | story |
|---|---|---|---|---|---|
` + served.String() + `
Produce is advertised from version 0 on, as Kafka does for old librdkafka, and refused below 3. CreateTopics takes versions 0
and 1, which Kafka no longer does, for segmentio/kafka-go.

## Features

| feature | level |
|---|---|
` + featureRows() + `
## Quotas

Kafka's quotas of users, client ids, both, and addresses, with its precedence and its window of eleven seconds. The answer of
a request beyond a quota goes out at once with its throttle time, and the connection is not read for so long. What differs:

- request_percentage is the time that handlers run, until they answer or park, in per cent of one core. It shows in the answer
  after the one that went beyond it.
- A fetch beyond its quota carries its records, at most ten seconds' worth of the quota; Kafka sends them with a later one.
- Beyond 65,536 clients at once that quotas tell apart, all further ones share one meter of each kind.

## What Kafka 4.4 has and leat does not serve

| key | API | versions | why |
|---|---|---|---|
` + not.String()
}

func versionRange(low, high int16) string {
	switch {
	case high < 0:
		return "none"
	case low == high:
		return fmt.Sprint(low)
	default:
		return fmt.Sprintf("%d–%d", low, high)
	}
}

func since(flexible int16) string {
	if flexible < 0 {
		return "never"
	}
	return fmt.Sprint(flexible)
}

func featureRows() (rows string) {
	for _, f := range features {
		rows += fmt.Sprintf("| %s | %d |\n", f.name, f.level)
	}
	return rows
}

func storyOf(t *testing.T, key int) string {
	found, err := filepath.Glob(filepath.Join("..", "..", "testdata", fmt.Sprintf("%02d_*.txt", key)))
	if err != nil || len(found) == 0 {
		t.Errorf("API %d has no story (%v)", key, err)
		return ""
	}
	name := filepath.Base(found[0])
	return fmt.Sprintf("[%s](../broker/testdata/%s)", strings.TrimSuffix(name, ".txt"), name)
}
