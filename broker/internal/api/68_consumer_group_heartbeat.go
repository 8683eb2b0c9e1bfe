package api

import (
	"time"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 1, (*API).consumerGroupHeartbeat)

func (a *API) consumerGroupHeartbeat(c *Call, req *kmsg.ConsumerGroupHeartbeatRequest, resp *kmsg.ConsumerGroupHeartbeatResponse) error {
	if err := a.allow(c, auth.Read, auth.Group, req.Group); err != nil {
		return err
	}
	for _, name := range req.SubscribedTopicNames {
		if err := a.allow(c, auth.Describe, auth.Topic, name); err != nil {
			return err
		}
	}
	if req.Group == "" {
		return worded(kerr.InvalidRequest, "GroupId can't be empty.")
	}
	b := group.Beat{
		Member: req.MemberID, Epoch: req.MemberEpoch, Instance: req.InstanceID, Rack: req.RackID,
		RebalanceTimeout: time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond,
		Topics:           req.SubscribedTopicNames, Regex: req.SubscribedTopicRegex, Assignor: req.ServerAssignor,
		ClientID: c.ClientID, ClientHost: "/" + c.ClientHost, OwnID: c.Version >= 1,
		Visible: func(topic string) bool { return a.may(c, auth.Describe, auth.Topic, topic) },
	}
	if req.Topics != nil {
		b.Owned = []group.TopicPartition{}
	}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			b.Owned = append(b.Owned, group.TopicPartition{Topic: t.TopicID, Index: p})
		}
	}
	done := c.Park()
	a.Groups.Beat(c.Context, req.Group, b, func(answer *group.Beaten, err error) {
		if err == nil {
			fillBeaten(resp, answer)
		}
		done(err)
	})
	return nil
}

func fillBeaten(resp *kmsg.ConsumerGroupHeartbeatResponse, answer *group.Beaten) {
	resp.MemberID, resp.MemberEpoch, resp.HeartbeatIntervalMillis = &answer.Member, answer.Epoch, int32(answer.Interval.Milliseconds())
	if answer.Assignment == nil {
		return
	}
	resp.Assignment = &kmsg.ConsumerGroupHeartbeatResponseAssignment{}
	for _, p := range answer.Assignment { // sorted by topic
		all := &resp.Assignment.Topics
		if n := len(*all); n == 0 || (*all)[n-1].TopicID != p.Topic {
			t := kmsg.NewConsumerGroupHeartbeatResponseAssignmentTopic()
			t.TopicID = p.Topic
			*all = append(*all, t)
		}
		t := &(*all)[len(*all)-1]
		t.Partitions = append(t.Partitions, p.Index)
	}
}
