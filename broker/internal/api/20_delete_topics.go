package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(1, 6, (*API).deleteTopics)

func (a *API) deleteTopics(c *Call, req *kmsg.DeleteTopicsRequest, resp *kmsg.DeleteTopicsResponse) error {
	asked := req.Topics
	for _, name := range req.TopicNames {
		asked = append(asked, kmsg.DeleteTopicsRequestTopic{Topic: kmsg.StringPtr(name)})
	}
	asked, twice := once(asked, deletionOf)
	before := a.Meta.Image()
	steps := make([]step, 0, len(asked))
	resp.Topics = make([]kmsg.DeleteTopicsResponseTopic, len(asked))
	for i, t := range asked {
		r := &resp.Topics[i]
		*r = kmsg.NewDeleteTopicsResponseTopic()
		r.Topic, r.TopicID = t.Topic, t.TopicID
		name := ""
		if t.Topic != nil {
			name = *t.Topic
		}
		known := before.TopicByID(t.TopicID)
		refused := a.allowDelete(c, before, name, known)
		if known != nil && name == "" && (refused == nil || a.may(c, auth.Describe, auth.Topic, known.Name)) {
			r.Topic = kmsg.StringPtr(known.Name)
		}
		steps = append(steps, step{
			refused: refused,
			decide: func(m *meta.Image) ([]meta.Record, error) {
				if err := deletionOf(t).check(twice); err != nil {
					return nil, err
				}
				if known := m.Topic(name); known != nil {
					r.TopicID = known.ID
				}
				recs, err := meta.DeleteTopic(m, a.Config, name, t.TopicID)
				if err == nil {
					err = a.mutate(c, goingPartitions(m, recs), c.Version >= 5)
				}
				return recs, err
			},
			answer: func(err error) { r.ErrorCode, r.ErrorMessage = refusal(err) },
		})
	}
	a.proposeEach(c, false, steps)
	gone := map[string]bool{}
	for _, r := range resp.Topics {
		if r.ErrorCode == 0 && r.Topic != nil {
			gone[*r.Topic] = true
		}
	}
	if len(gone) > 0 {
		a.Groups.TopicsGone(gone)
	}
	return nil
}

// allowDelete asks whether the client may delete a topic that it names, or identifies by an id that leads to t. Whether
// there is a topic of a name is for those to know who may describe it.
func (a *API) allowDelete(c *Call, m *meta.Image, name string, t *meta.Topic) error {
	switch {
	case a.mayCluster(c, auth.Delete):
		return nil
	case name == "":
		return a.allowTopic(c, auth.Delete, "", t)
	}
	if err := a.allow(c, auth.Describe, auth.Topic, name); err != nil || m.Topic(name) == nil {
		return err
	}
	return a.allow(c, auth.Delete, auth.Topic, name)
}

// goingPartitions counts the partitions that records remove.
func goingPartitions(m *meta.Image, records []meta.Record) (n int) {
	for _, r := range records {
		if d, ok := r.(meta.TopicDeleted); ok {
			n += len(m.TopicByID(d.ID).Partitions)
		}
	}
	return n
}

// deletion is what is asked to be deleted.
type deletion struct {
	byName bool
	name   string
	id     meta.TopicID
}

func deletionOf(t kmsg.DeleteTopicsRequestTopic) deletion {
	d := deletion{byName: t.Topic != nil, id: t.TopicID}
	if d.byName {
		d.name = *t.Topic
	}
	return d
}

func (d deletion) check(twice map[deletion]bool) error {
	byID := d.id != meta.TopicID{}
	switch {
	case d.byName && byID:
		return worded(kerr.InvalidRequest, "You may not specify both topic name and topic id.")
	case !d.byName && !byID:
		return worded(kerr.InvalidRequest, "Neither topic name nor id were specified.")
	case twice[d]:
		return worded(kerr.InvalidRequest, "Duplicate topic name or id.")
	case d.byName && d.name == "":
		return meta.ErrUnknownTopic
	}
	return nil
}
