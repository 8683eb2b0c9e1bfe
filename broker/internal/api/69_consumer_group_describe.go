package api

import (
	"math"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/group"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 1, (*API).consumerGroupDescribe)

// The types of a member that ConsumerGroupDescribe tells from version 1 on.
const (
	classicMember  = 0
	consumerMember = 1
)

func (a *API) consumerGroupDescribe(c *Call, req *kmsg.ConsumerGroupDescribeRequest, resp *kmsg.ConsumerGroupDescribeResponse) error {
	for _, id := range req.Groups {
		g := kmsg.NewConsumerGroupDescribeResponseGroup()
		g.Group, g.AuthorizedOperations = id, math.MinInt32
		err := a.allow(c, auth.Describe, auth.Group, id)
		var d coord.DescribedConsumer
		if err == nil {
			d, err = a.Groups.DescribeConsumer(c.Context, id)
		}
		if err == nil {
			err = a.fillConsumerGroup(c, &g, d)
		}
		g.ErrorCode, g.ErrorMessage = refusal(err)
		if err == nil && req.IncludeAuthorizedOperations {
			g.AuthorizedOperations = a.authorizedOperations(c, auth.Group, id)
		}
		resp.Groups = append(resp.Groups, g)
	}
	return nil
}

// fillConsumerGroup shows a group to who may see all of its topics.
func (a *API) fillConsumerGroup(c *Call, g *kmsg.ConsumerGroupDescribeResponseGroup, d coord.DescribedConsumer) error {
	im := a.Meta.Image()
	var members []kmsg.ConsumerGroupDescribeResponseGroupMember
	for _, m := range d.Members {
		gm := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		gm.MemberID, gm.InstanceID, gm.RackID, gm.MemberEpoch = m.ID, m.Instance, m.Rack, m.Epoch
		gm.ClientID, gm.ClientHost, gm.SubscribedTopics = m.ClientID, m.ClientHost, m.Topics
		gm.SubscribedTopicRegex = &m.Regex // empty where there is none, and not null
		gm.MemberType = consumerMember
		if m.Classic != nil {
			gm.MemberType = classicMember
		}
		gm.Assignment.TopicPartitions = topicPartitions(im, m.Assigned.Sorted())
		gm.TargetAssignment.TopicPartitions = topicPartitions(im, m.Target)
		members = append(members, gm)
		for _, some := range [][]kmsg.AssignmentTopicPartition{gm.Assignment.TopicPartitions, gm.TargetAssignment.TopicPartitions} {
			for _, t := range some {
				if !a.may(c, auth.Describe, auth.Topic, t.Topic) {
					return worded(kerr.TopicAuthorizationFailed, "The group has described topic(s) that the client is not authorized to describe.")
				}
			}
		}
	}
	g.State, g.Epoch, g.AssignmentEpoch, g.AssignorName, g.Members = string(d.State), d.Epoch, d.TargetEpoch, d.Assignor, members
	return nil
}

// topicPartitions groups partitions, which are sorted, by topic. Topics that are gone are left out.
func topicPartitions(im *meta.Image, all []group.TopicPartition) []kmsg.AssignmentTopicPartition {
	var out []kmsg.AssignmentTopicPartition
	for _, p := range all {
		topic := im.TopicByID(p.Topic)
		if topic == nil {
			continue
		}
		if n := len(out); n == 0 || out[n-1].TopicID != p.Topic {
			t := kmsg.NewAssignmentTopicPartition()
			t.TopicID, t.Topic = p.Topic, topic.Name
			out = append(out, t)
		}
		t := &out[len(out)-1]
		t.Partitions = append(t.Partitions, p.Index)
	}
	return out
}
