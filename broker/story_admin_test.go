package broker_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = command("metadata", (*story).metadata)

// metadata [no-create] [by-id | by-id-with-empty-name] TOPIC…; all topics without one, none with the argument none.
func (s *story) metadata(d *datadriven.TestData) string {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = true
	byID, name := false, (*string)(nil)
	for _, a := range bare(d) {
		switch a {
		case "no-create":
			req.AllowAutoTopicCreation = false
		case "by-id":
			byID = true
		case "by-id-with-empty-name":
			byID, name = true, kmsg.StringPtr("")
		case "none":
			req.Topics = []kmsg.MetadataRequestTopic{}
		default:
			rt := kmsg.NewMetadataRequestTopic()
			rt.Topic = kmsg.StringPtr(a)
			if byID {
				rt.Topic, rt.TopicID = name, s.topicID(a)
			}
			req.Topics = append(req.Topics, rt)
		}
	}
	resp := s.send(d, req).(*kmsg.MetadataResponse)
	var b strings.Builder
	for _, br := range resp.Brokers {
		fmt.Fprintf(&b, "broker %d at %s:%d\n", br.NodeID, br.Host, br.Port)
	}
	if req.GetVersion() >= 1 {
		fmt.Fprintf(&b, "controller %d\n", resp.ControllerID)
	}
	for _, t := range resp.Topics {
		if t.ErrorCode != 0 {
			fmt.Fprintf(&b, "%s: %s\n", str(t.Topic), verdict(t.ErrorCode, nil))
			continue
		}
		internal := ""
		if t.IsInternal {
			internal = ", internal"
		}
		fmt.Fprintf(&b, "%s%s\n", *t.Topic, internal)
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, "  %d: leader %d, replicas %s, in sync %s%s\n", p.Partition, p.Leader, list(p.Replicas), list(p.ISR), ifFailed(p.ErrorCode))
		}
	}
	return b.String()
}

func ifFailed(code int16) string {
	if code == 0 {
		return ""
	}
	return " " + verdict(code, nil)
}

var _ = command("remember", (*story).remember)

// remember TOPIC as=NAME: from now on NAME is that topic by its id, even after it is gone.
func (s *story) remember(d *datadriven.TestData) string {
	if s.ids == nil {
		s.ids = map[string][16]byte{}
	}
	s.ids[argString(d, "as", "")] = s.topicID(bare(d)[0])
	return "ok"
}

// topicID asks for the id of a topic; an unknown topic has one that nobody has.
func (s *story) topicID(name string) [16]byte {
	if id, ok := s.ids[name]; ok {
		return id
	}
	req := kmsg.NewPtrMetadataRequest()
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = kmsg.StringPtr(name)
	req.Topics = append(req.Topics, rt)
	resp := s.send(&datadriven.TestData{}, req).(*kmsg.MetadataResponse)
	if resp.Topics[0].ErrorCode != 0 {
		return [16]byte{1}
	}
	return resp.Topics[0].TopicID
}

var _ = command("create-topics", (*story).createTopics)

// createTopics takes a topic a line: NAME [partitions=N] [replication=N] [assign=BROKER:BROKER/BROKER:BROKER] [CONFIG=VALUE…].
func (s *story) createTopics(d *datadriven.TestData) string {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.ValidateOnly = slices.Contains(bare(d), "validate-only")
	for _, l := range lines(d.Input) {
		fields := strings.Fields(l)
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = strings.Trim(fields[0], `"`), -1, -1
		for _, f := range fields[1:] {
			name, value, _ := strings.Cut(f, "=")
			switch name {
			case "partitions":
				rt.NumPartitions = int32(number(value))
			case "replication":
				rt.ReplicationFactor = int16(number(value))
			case "assign":
				for i, p := range assignment(value) {
					ra := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
					ra.Partition, ra.Replicas = int32(i), p
					rt.ReplicaAssignment = append(rt.ReplicaAssignment, ra)
				}
			default:
				rc := kmsg.NewCreateTopicsRequestTopicConfig()
				rc.Name, rc.Value = name, kmsg.StringPtr(value)
				rt.Configs = append(rt.Configs, rc)
			}
		}
		req.Topics = append(req.Topics, rt)
	}
	resp := s.send(d, req).(*kmsg.CreateTopicsResponse)
	var b strings.Builder
	for _, t := range resp.Topics {
		fmt.Fprintf(&b, "%s: %s", t.Topic, verdict(t.ErrorCode, t.ErrorMessage))
		if t.ErrorCode == 0 && req.GetVersion() >= 5 {
			fmt.Fprintf(&b, ", %d partition(s) on %d broker(s)", t.NumPartitions, t.ReplicationFactor)
			for _, c := range t.Configs {
				if c.Source == 1 {
					fmt.Fprintf(&b, ", %s=%s", c.Name, str(c.Value))
				}
			}
		}
		if t.ErrorCode == 0 && req.GetVersion() >= 7 && t.TopicID == [16]byte{} {
			b.WriteString(", no id")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func number(v string) int64 {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func assignment(v string) (out [][]int32) {
	for _, p := range strings.Split(v, "/") {
		var ids []int32
		for _, id := range strings.Split(p, ":") {
			ids = append(ids, int32(number(id)))
		}
		out = append(out, ids)
	}
	return out
}

var _ = command("delete-topics", (*story).deleteTopics)

// deleteTopics [by-id] takes a topic a line.
func (s *story) deleteTopics(d *datadriven.TestData) string {
	req := kmsg.NewPtrDeleteTopicsRequest()
	for _, name := range lines(d.Input) {
		name = strings.Trim(name, `"`)
		rt := kmsg.NewDeleteTopicsRequestTopic()
		rt.Topic = kmsg.StringPtr(name)
		if slices.Contains(bare(d), "by-id") {
			rt.Topic, rt.TopicID = nil, s.topicID(name)
		}
		req.Topics, req.TopicNames = append(req.Topics, rt), append(req.TopicNames, name)
	}
	resp := s.send(d, req).(*kmsg.DeleteTopicsResponse)
	var b strings.Builder
	for _, t := range resp.Topics {
		fmt.Fprintf(&b, "%s: %s\n", str(t.Topic), verdict(t.ErrorCode, t.ErrorMessage))
	}
	return b.String()
}

var _ = command("create-partitions", (*story).createPartitions)

// createPartitions takes a topic a line: NAME COUNT [assign=…]; assign= alone is an empty list.
func (s *story) createPartitions(d *datadriven.TestData) string {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.ValidateOnly = slices.Contains(bare(d), "validate-only")
	for _, l := range lines(d.Input) {
		fields := strings.Fields(l)
		rt := kmsg.NewCreatePartitionsRequestTopic()
		rt.Topic, rt.Count = fields[0], int32(number(fields[1]))
		for _, f := range fields[2:] {
			rt.Assignment = []kmsg.CreatePartitionsRequestTopicAssignment{}
			if f == "assign=" {
				continue
			}
			for _, p := range assignment(strings.TrimPrefix(f, "assign=")) {
				rt.Assignment = append(rt.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: p})
			}
		}
		req.Topics = append(req.Topics, rt)
	}
	resp := s.send(d, req).(*kmsg.CreatePartitionsResponse)
	var b strings.Builder
	for _, t := range resp.Topics {
		fmt.Fprintf(&b, "%s: %s\n", t.Topic, verdict(t.ErrorCode, t.ErrorMessage))
	}
	return b.String()
}

var _ = command("describe-partitions", (*story).describePartitions)

// describePartitions [limit=N] [cursor=TOPIC:PARTITION] TOPIC…
func (s *story) describePartitions(d *datadriven.TestData) string {
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = int32(argInt(d, "limit", 2000))
	if c := argString(d, "cursor", ""); c != "" {
		topic, p, _ := strings.Cut(c, ":")
		cursor := kmsg.NewDescribeTopicPartitionsRequestCursor()
		cursor.Topic, cursor.Partition = topic, int32(number(p))
		req.Cursor = &cursor
	}
	for _, name := range bare(d) {
		rt := kmsg.NewDescribeTopicPartitionsRequestTopic()
		rt.Topic = name
		req.Topics = append(req.Topics, rt)
	}
	resp := s.send(d, req).(*kmsg.DescribeTopicPartitionsResponse)
	var b strings.Builder
	for _, t := range resp.Topics {
		if t.ErrorCode != 0 {
			fmt.Fprintf(&b, "%s: %s\n", str(t.Topic), verdict(t.ErrorCode, nil))
			continue
		}
		fmt.Fprintf(&b, "%s\n", str(t.Topic))
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, "  %d: leader %d, replicas %s, in sync %s%s\n", p.Partition, p.LeaderID, list(p.Replicas), list(p.ISR), ifFailed(p.ErrorCode))
			if p.EligibleLeaderReplicas == nil || p.LastKnownELR == nil {
				b.WriteString("     its eligible leaders are null\n")
			}
		}
	}
	if resp.NextCursor != nil {
		fmt.Fprintf(&b, "more from %s:%d\n", resp.NextCursor.Topic, resp.NextCursor.Partition)
	}
	return b.String()
}

var _ = command("describe-cluster", (*story).describeCluster)

func (s *story) describeCluster(d *datadriven.TestData) string {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.EndpointType = int8(argInt(d, "endpoint", 1))
	resp := s.send(d, req).(*kmsg.DescribeClusterResponse)
	if resp.ErrorCode != 0 {
		return verdict(resp.ErrorCode, resp.ErrorMessage)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "cluster id of %d characters, controller %d\n", len(resp.ClusterID), resp.ControllerID)
	for _, br := range resp.Brokers {
		fmt.Fprintf(&b, "broker %d at %s:%d, rack %s\n", br.NodeID, br.Host, br.Port, str(br.Rack))
	}
	return b.String()
}

var _ = command("reassignments", (*story).reassignments)

func (s *story) reassignments(d *datadriven.TestData) string {
	resp := s.send(d, kmsg.NewPtrListPartitionReassignmentsRequest()).(*kmsg.ListPartitionReassignmentsResponse)
	return fmt.Sprintf("%s, %d topics on the move", verdict(resp.ErrorCode, resp.ErrorMessage), len(resp.Topics))
}
