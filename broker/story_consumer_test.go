package broker_test

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = command("consumer-heartbeat", (*story).consumerHeartbeat)

// consumerHeartbeat MEMBER [epoch=N] [topics=A,B] [regex=R] [instance=I] [assignor=A] [owned] takes what the member has a
// line: TOPIC:PARTITION.
func (s *story) consumerHeartbeat(d *datadriven.TestData) string {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.InstanceID, req.MemberEpoch = group(d), strings.Trim(bare(d)[0], `"`), instance(d), int32(argInt(d, "epoch", 0))
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "topics":
			req.SubscribedTopicNames = a.Vals
		case "regex":
			req.SubscribedTopicRegex = &a.Vals[0]
		case "assignor":
			req.ServerAssignor = &a.Vals[0]
		case "owned":
			req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		}
	}
	for _, l := range lines(d.Input) {
		topic, p, _ := strings.Cut(l, ":")
		req.Topics = append(req.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: s.topicID(topic), Partitions: []int32{int32(number(p))}})
	}
	if req.MemberEpoch == 0 {
		req.RebalanceTimeoutMillis, req.Topics = 30_000, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	resp := s.send(d, req).(*kmsg.ConsumerGroupHeartbeatResponse)
	if resp.ErrorCode != 0 {
		return verdict(resp.ErrorCode, resp.ErrorMessage)
	}
	name := str(resp.MemberID)
	if req.MemberID == "" {
		name = "somebody"
	}
	out := fmt.Sprintf("%s is in epoch %d", name, resp.MemberEpoch)
	if resp.Assignment != nil {
		out += ", has"
		for _, t := range resp.Assignment.Topics {
			out += fmt.Sprintf(" %s:%s", s.topicName(t.TopicID), list(t.Partitions))
		}
	}
	return out
}

var _ = command("describe-consumers", (*story).describeConsumerGroups)

// describeConsumerGroups takes a group a line.
func (s *story) describeConsumerGroups(d *datadriven.TestData) string {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = lines(d.Input)
	var b strings.Builder
	for _, g := range s.send(d, req).(*kmsg.ConsumerGroupDescribeResponse).Groups {
		if g.ErrorCode != 0 {
			fmt.Fprintf(&b, "%s: %s\n", g.Group, verdict(g.ErrorCode, g.ErrorMessage))
			continue
		}
		fmt.Fprintf(&b, "%s: %s, epoch %d, target of epoch %d, %s\n", g.Group, g.State, g.Epoch, g.AssignmentEpoch, g.AssignorName)
		for _, m := range g.Members {
			fmt.Fprintf(&b, "  %s (%s, type %d) epoch %d of client %s subscribes to %v %s: has%s, shall have%s\n", s.called(m.MemberID), str(m.InstanceID),
				m.MemberType, m.MemberEpoch, m.ClientID, m.SubscribedTopics, str(m.SubscribedTopicRegex), assigned(m.Assignment), assigned(m.TargetAssignment))
		}
	}
	return b.String()
}

func assigned(a kmsg.Assignment) (out string) {
	for _, t := range a.TopicPartitions {
		out += fmt.Sprintf(" %s:%s", t.Topic, list(t.Partitions))
	}
	return out
}

// topicName is what the topic with that id is called.
func (s *story) topicName(id [16]byte) string {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{TopicID: id})
	return str(s.send(&datadriven.TestData{}, req).(*kmsg.MetadataResponse).Topics[0].Topic)
}
