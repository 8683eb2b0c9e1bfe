package api

import (
	"slices"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/coord"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(1, 10, (*API).offsetFetch)

// asked is a topic whose offsets are wanted; a nil list of asked means all.
type asked struct {
	name       string
	id         meta.TopicID
	partitions []int32
}

func (a *API) offsetFetch(c *Call, req *kmsg.OffsetFetchRequest, resp *kmsg.OffsetFetchResponse) error {
	if c.Version >= 8 {
		for _, g := range req.Groups {
			var topics []asked
			if g.Topics != nil {
				topics = []asked{}
			}
			for _, t := range g.Topics {
				topics = append(topics, asked{t.Topic, t.TopicID, t.Partitions})
			}
			rg := kmsg.NewOffsetFetchResponseGroup()
			rg.Group = g.Group
			err := a.allow(c, auth.Describe, auth.Group, g.Group)
			if err == nil {
				err = a.Groups.CheckMember(c.Context, g.Group, orEmpty(g.MemberID), g.MemberEpoch)
			}
			if err == nil {
				rg.Topics, err = a.offsets(c, g.Group, topics, req.RequireStable)
			}
			rg.ErrorCode = code(err)
			resp.Groups = append(resp.Groups, rg)
		}
		return nil
	}
	var topics []asked
	if req.Topics != nil {
		topics = []asked{}
	}
	for _, t := range req.Topics {
		topics = append(topics, asked{name: t.Topic, partitions: t.Partitions})
	}
	err := a.allow(c, auth.Describe, auth.Group, req.Group)
	var found []kmsg.OffsetFetchResponseGroupTopic
	if err == nil {
		found, err = a.offsets(c, req.Group, topics, req.RequireStable)
	}
	if err != nil && c.Version < 2 { // there is no place for an error but with each partition
		for _, t := range topics {
			rt := kmsg.NewOffsetFetchResponseGroupTopic()
			rt.Topic = t.name
			for _, p := range t.partitions {
				rt.Partitions = append(rt.Partitions, committedPartition(nil, p, err))
			}
			found = append(found, rt)
		}
	} else if err != nil {
		return err
	}
	for _, t := range found { // the same in the shape of old versions
		rt := kmsg.NewOffsetFetchResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetFetchResponseTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return nil
}

// offsets answers for one group that the client may see: what was asked, -1 where nothing is committed, or all that there is.
// stable refuses offsets that a transaction may be about to replace (KIP-447).
func (a *API) offsets(c *Call, id string, topics []asked, stable bool) ([]kmsg.OffsetFetchResponseGroupTopic, error) {
	committed, err := a.Groups.Offsets(c.Context, id)
	if err != nil {
		return nil, err
	}
	byPartition := map[string]map[int32]coord.Committed{}
	for _, o := range committed {
		if byPartition[o.Topic] == nil {
			byPartition[o.Topic] = map[int32]coord.Committed{}
		}
		o.Unstable = o.Unstable && stable
		byPartition[o.Topic][o.Partition] = o
	}
	im := a.Meta.Image()
	if topics == nil {
		topics = slices.DeleteFunc(everything(im, committed), func(t asked) bool { return !a.may(c, auth.Describe, auth.Topic, t.name) })
	}
	var out []kmsg.OffsetFetchResponseGroupTopic
	for _, t := range topics {
		rt := kmsg.NewOffsetFetchResponseGroupTopic()
		rt.Topic, rt.TopicID = t.name, t.id
		name := t.name
		var failed error
		if c.Version >= 10 {
			if topic := im.TopicByID(t.id); topic != nil {
				name = topic.Name
			} else {
				failed = kerr.UnknownTopicID
			}
		}
		if failed == nil {
			failed = a.allow(c, auth.Describe, auth.Topic, name)
		}
		for _, p := range t.partitions {
			rt.Partitions = append(rt.Partitions, committedPartition(byPartition[name], p, failed))
		}
		out = append(out, rt)
	}
	return out, nil
}

func committedPartition(offsets map[int32]coord.Committed, index int32, failed error) kmsg.OffsetFetchResponseGroupTopicPartition {
	rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = index, -1, -1, kmsg.StringPtr("")
	o, ok := offsets[index]
	if failed == nil && o.Unstable {
		failed = kerr.UnstableOffsetCommit
	}
	if failed != nil {
		rp.ErrorCode = code(failed)
		return rp
	}
	if ok {
		rp.Offset, rp.LeaderEpoch, rp.Metadata = o.At, o.LeaderEpoch, kmsg.StringPtr(o.Metadata)
	}
	return rp
}

// everything asks for each partition that has an offset. Those of topics that are gone, and those
// that are not decided, are left out.
func everything(im *meta.Image, committed []coord.Committed) []asked {
	all := []asked{}
	for _, o := range committed {
		t := im.Topic(o.Topic)
		if t == nil || o.At < 0 {
			continue
		}
		at := slices.IndexFunc(all, func(x asked) bool { return x.name == o.Topic })
		if at < 0 {
			all = append(all, asked{name: o.Topic, id: t.ID})
			at = len(all) - 1
		}
		all[at].partitions = append(all[at].partitions, o.Partition)
	}
	return all
}
