package broker_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// member is the id that a name of a story stands for; other names are sent as they are.
func (s *story) member(name string) string {
	if id, ok := s.members[name]; ok {
		return id
	}
	return name
}

// called is what the story calls a member.
func (s *story) called(id string) string {
	for name, x := range s.members {
		if x == id {
			return name
		}
	}
	return id
}

func group(d *datadriven.TestData) string { return strings.Trim(argString(d, "group", "g"), `"`) }

func instance(d *datadriven.TestData) *string {
	if v := argString(d, "instance", ""); v != "" {
		return &v
	}
	return nil
}

var _ = command("find-coordinator", (*story).findCoordinator)

// findCoordinator GROUP… [type=N]
func (s *story) findCoordinator(d *datadriven.TestData) string {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorType = int8(argInt(d, "type", 0))
	for _, l := range lines(d.Input) {
		req.CoordinatorKeys = append(req.CoordinatorKeys, strings.Trim(l, `"`))
		req.CoordinatorKey = req.CoordinatorKeys[0]
	}
	resp := s.send(d, req).(*kmsg.FindCoordinatorResponse)
	if req.GetVersion() < 4 {
		return fmt.Sprintf("%s, node %d at %s:%d", verdict(resp.ErrorCode, resp.ErrorMessage), resp.NodeID, resp.Host, resp.Port)
	}
	var b strings.Builder
	for _, k := range resp.Coordinators {
		fmt.Fprintf(&b, "%q: %s, node %d at %s:%d\n", k.Key, verdict(k.ErrorCode, k.ErrorMessage), k.NodeID, k.Host, k.Port)
	}
	return b.String()
}

var _ = command("join", (*story).join)

// join NAME [as=MEMBER] [session=MS] [protocol=P]; the member that is answered is called NAME from then on.
func (s *story) join(d *datadriven.TestData) string {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.InstanceID = group(d), s.member(argString(d, "as", "")), instance(d)
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(argInt(d, "session", 30_000)), 30_000
	req.ProtocolType = argString(d, "type", "consumer")
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = argString(d, "protocol", "range"), []byte("subscription")
	req.Protocols = append(req.Protocols, p)
	resp := s.send(d, req).(*kmsg.JoinGroupResponse)
	name := bare(d)[0]
	if resp.MemberID != "" && s.called(resp.MemberID) == resp.MemberID {
		if s.members == nil {
			s.members = map[string]string{}
		}
		s.members[name] = resp.MemberID
	}
	if resp.ErrorCode != 0 {
		return verdict(resp.ErrorCode, nil)
	}
	out := fmt.Sprintf("%s is in generation %d, protocol %s, leader %s", s.called(resp.MemberID), resp.Generation, str(resp.Protocol), s.called(resp.LeaderID))
	for _, m := range resp.Members {
		out += fmt.Sprintf("\n  %s: %s", s.called(m.MemberID), m.ProtocolMetadata)
	}
	return out
}

var _ = command("sync", (*story).sync)

// sync MEMBER generation=N takes an assignment a line: MEMBER TEXT.
func (s *story) sync(d *datadriven.TestData) string {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.InstanceID, req.Generation = group(d), s.member(bare(d)[0]), instance(d), int32(argInt(d, "generation", 1))
	kind, protocol := "consumer", argString(d, "protocol", "range")
	req.ProtocolType, req.Protocol = &kind, &protocol
	if d.HasArg("no-protocol") {
		req.Protocol = nil
	}
	for _, l := range lines(d.Input) {
		name, text, _ := strings.Cut(l, " ")
		req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: s.member(name), MemberAssignment: []byte(text)})
	}
	resp := s.send(d, req).(*kmsg.SyncGroupResponse)
	if resp.ErrorCode != 0 {
		return verdict(resp.ErrorCode, nil)
	}
	return fmt.Sprintf("assigned: %s", resp.MemberAssignment)
}

var _ = command("heartbeat", (*story).heartbeat)

// heartbeat MEMBER generation=N
func (s *story) heartbeat(d *datadriven.TestData) string {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.InstanceID, req.Generation = group(d), s.member(bare(d)[0]), instance(d), int32(argInt(d, "generation", 1))
	return verdict(s.send(d, req).(*kmsg.HeartbeatResponse).ErrorCode, nil)
}

var _ = command("leave", (*story).leave)

// leave MEMBER
func (s *story) leave(d *datadriven.TestData) string {
	req := kmsg.NewPtrLeaveGroupRequest()
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID = s.member(bare(d)[0]), instance(d)
	req.Group, req.MemberID, req.Members = group(d), m.MemberID, append(req.Members, m)
	resp := s.send(d, req).(*kmsg.LeaveGroupResponse)
	out := verdict(resp.ErrorCode, nil)
	for _, m := range resp.Members {
		out += fmt.Sprintf("\n%s: %s", s.called(m.MemberID), verdict(m.ErrorCode, nil))
	}
	return out
}

var _ = command("commit", (*story).commit)

// commit TOPIC:PARTITION=OFFSET a line [member=MEMBER generation=N]
func (s *story) commit(d *datadriven.TestData) string {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = group(d), s.member(argString(d, "member", "")), int32(argInt(d, "generation", -1))
	for _, l := range lines(d.Input) {
		at, offset, _ := strings.Cut(l, "=")
		topic, p, _ := strings.Cut(at, ":")
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch = int32(number(p)), number(offset), 0
		metadata := argString(d, "metadata", "")
		rp.Metadata = &metadata
		rt := kmsg.NewOffsetCommitRequestTopic()
		rt.Topic, rt.TopicID, rt.Partitions = topic, s.topicID(topic), append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
	}
	var b strings.Builder
	for _, t := range s.send(d, req).(*kmsg.OffsetCommitResponse).Topics {
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, "%d: %s\n", p.Partition, verdict(p.ErrorCode, nil))
		}
	}
	return b.String()
}

var _ = command("offsets", (*story).offsets)

// offsets asks for TOPIC:PARTITION a line, or for all. [stable]
func (s *story) offsets(d *datadriven.TestData) string {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = d.HasArg("stable")
	g := kmsg.NewOffsetFetchRequestGroup()
	req.Group, g.Group = group(d), group(d)
	if m := argString(d, "member", ""); m != "" {
		id := s.member(m)
		g.MemberID, g.MemberEpoch = &id, int32(argInt(d, "generation", -1))
	}
	for _, l := range lines(d.Input) {
		topic, p, _ := strings.Cut(l, ":")
		req.Topics = append(req.Topics, kmsg.OffsetFetchRequestTopic{Topic: topic, Partitions: []int32{int32(number(p))}})
		g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: topic, TopicID: s.topicID(topic), Partitions: []int32{int32(number(p))}})
	}
	req.Groups = append(req.Groups, g)
	resp := s.send(d, req).(*kmsg.OffsetFetchResponse)
	var b strings.Builder
	show := func(p, code int16, offset int64, metadata *string) {
		fmt.Fprintf(&b, "%d: %d %q %s\n", p, offset, str(metadata), verdict(code, nil))
	}
	b.WriteString(verdict(resp.ErrorCode, nil) + "\n")
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			show(int16(p.Partition), p.ErrorCode, p.Offset, p.Metadata)
		}
	}
	for _, rg := range resp.Groups {
		fmt.Fprintf(&b, "%s: %s\n", rg.Group, verdict(rg.ErrorCode, nil))
		for _, t := range rg.Topics {
			for _, p := range t.Partitions {
				show(int16(p.Partition), p.ErrorCode, p.Offset, p.Metadata)
			}
		}
	}
	return b.String()
}

var _ = command("describe-groups", (*story).describeGroups)

// describeGroups takes a group a line.
func (s *story) describeGroups(d *datadriven.TestData) string {
	req := kmsg.NewPtrDescribeGroupsRequest()
	for _, l := range lines(d.Input) {
		req.Groups = append(req.Groups, strings.Trim(l, `"`))
	}
	var b strings.Builder
	for _, g := range s.send(d, req).(*kmsg.DescribeGroupsResponse).Groups {
		fmt.Fprintf(&b, "%s: %s, %s, %q, %q\n", g.Group, verdict(g.ErrorCode, g.ErrorMessage), g.State, g.ProtocolType, g.Protocol)
		for _, m := range g.Members {
			fmt.Fprintf(&b, "  %s of client %s: %s, %s\n", s.called(m.MemberID), m.ClientID, m.ProtocolMetadata, m.MemberAssignment)
		}
	}
	return b.String()
}

var _ = command("list-groups", (*story).listGroups)

// listGroups [state=S] [kind=T]
func (s *story) listGroups(d *datadriven.TestData) string {
	req := kmsg.NewPtrListGroupsRequest()
	if v := argString(d, "state", ""); v != "" {
		req.StatesFilter = []string{v}
	}
	if v := argString(d, "kind", ""); v != "" {
		req.TypesFilter = []string{v}
	}
	resp := s.send(d, req).(*kmsg.ListGroupsResponse)
	out := []string{verdict(resp.ErrorCode, nil)}
	for _, g := range resp.Groups {
		out = append(out, fmt.Sprintf("%s %q %s %s", g.Group, g.ProtocolType, g.GroupState, g.GroupType))
	}
	return strings.Join(slices.Clip(out), "\n")
}

var _ = command("delete-groups", (*story).deleteGroups)

// deleteGroups takes a group a line.
func (s *story) deleteGroups(d *datadriven.TestData) string {
	req := kmsg.NewPtrDeleteGroupsRequest()
	for _, l := range lines(d.Input) {
		req.Groups = append(req.Groups, strings.Trim(l, `"`))
	}
	var b strings.Builder
	for _, g := range s.send(d, req).(*kmsg.DeleteGroupsResponse).Groups {
		fmt.Fprintf(&b, "%s: %s\n", g.Group, verdict(g.ErrorCode, g.ErrorMessage))
	}
	return b.String()
}

var _ = command("delete-offsets", (*story).deleteOffsets)

// deleteOffsets takes TOPIC:PARTITION a line.
func (s *story) deleteOffsets(d *datadriven.TestData) string {
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = group(d)
	for _, l := range lines(d.Input) {
		topic, p, _ := strings.Cut(l, ":")
		rp := kmsg.OffsetDeleteRequestTopicPartition{Partition: int32(number(p))}
		req.Topics = append(req.Topics, kmsg.OffsetDeleteRequestTopic{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{rp}})
	}
	resp := s.send(d, req).(*kmsg.OffsetDeleteResponse)
	out := verdict(resp.ErrorCode, nil)
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			out += fmt.Sprintf("\n%s:%d: %s", t.Topic, p.Partition, verdict(p.ErrorCode, nil))
		}
	}
	return out
}
