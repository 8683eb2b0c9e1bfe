package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 7, (*API).createTopics)

func (a *API) createTopics(c *Call, req *kmsg.CreateTopicsRequest, resp *kmsg.CreateTopicsResponse) error {
	topics, twice := once(req.Topics, func(t kmsg.CreateTopicsRequestTopic) string { return t.Topic })
	steps := make([]step, 0, len(topics))
	made := make([]meta.TopicID, len(topics))
	resp.Topics = make([]kmsg.CreateTopicsResponseTopic, len(topics))
	for i, t := range topics {
		r := &resp.Topics[i]
		*r = kmsg.NewCreateTopicsResponseTopic()
		r.Topic, r.NumPartitions, r.ReplicationFactor = t.Topic, -1, -1
		made[i] = meta.NewTopicID()
		steps = append(steps, step{
			refused: a.allowCreate(c, t.Topic),
			decide: func(m *meta.Image) ([]meta.Record, error) {
				if twice[t.Topic] {
					return nil, worded(kerr.InvalidRequest, "Duplicate topic name.")
				}
				want, err := newTopic(t, made[i])
				if err != nil {
					return nil, err
				}
				recs, err := meta.CreateTopic(m, a.Config, want)
				if err == nil && !req.ValidateOnly {
					err = a.mutate(c, newPartitions(recs), c.Version >= 6)
				}
				return recs, err
			},
			answer: func(err error) { r.ErrorCode, r.ErrorMessage = refusal(err) },
		})
	}
	m := a.proposeEach(c, req.ValidateOnly, steps)
	for i := range resp.Topics {
		if t := m.TopicByID(made[i]); t != nil && resp.Topics[i].ErrorCode == 0 {
			a.describeCreated(c, &resp.Topics[i], t, req.ValidateOnly)
		}
	}
	return nil
}

// once leaves one of the items of each key. twice tells of which there were more: what they ask for is refused, once.
func once[T any, K comparable](items []T, key func(T) K) (kept []T, twice map[K]bool) {
	seen, twice := make(map[K]bool, len(items)), map[K]bool{}
	for _, item := range items {
		k := key(item)
		if seen[k] {
			twice[k] = true
			continue
		}
		seen[k] = true
		kept = append(kept, item)
	}
	return kept, twice
}

func newTopic(t kmsg.CreateTopicsRequestTopic, id meta.TopicID) (meta.NewTopic, error) {
	want := meta.NewTopic{
		Name: t.Topic, ID: id, Partitions: t.NumPartitions, Replication: t.ReplicationFactor,
		Internal: internalTopic(t.Topic), Config: map[string]*string{},
	}
	for _, p := range t.ReplicaAssignment {
		if want.Assignment == nil {
			want.Assignment = map[int32][]int32{}
		}
		if _, twice := want.Assignment[p.Partition]; twice {
			return want, &meta.Error{Kind: meta.ErrInvalidAssignment, Message: "The manual partition assignment names a partition more than once."}
		}
		want.Assignment[p.Partition] = p.Replicas
	}
	for _, c := range t.Configs {
		want.Config[c.Name] = c.Value
	}
	return want, nil
}

// allowCreate asks whether the client may create a topic of that name: it, or whatever it likes.
func (a *API) allowCreate(c *Call, name string) error {
	if a.mayCluster(c, auth.Create) {
		return nil
	}
	return a.allow(c, auth.Create, auth.Topic, name)
}

// describeCreated says what the topic is like (KIP-525), to a client that may know.
func (a *API) describeCreated(c *Call, r *kmsg.CreateTopicsResponseTopic, t *meta.Topic, validateOnly bool) {
	if !validateOnly {
		r.TopicID = t.ID
	}
	if !a.may(c, auth.DescribeConfigs, auth.Topic, t.Name) {
		r.ConfigErrorCode = kerr.TopicAuthorizationFailed.Code
		return
	}
	r.NumPartitions = int32(len(t.Partitions))
	r.ReplicationFactor = int16(len(t.Partitions[0].Replicas))
	for _, d := range a.Config.DescribeTopic(t) {
		rc := kmsg.NewCreateTopicsResponseTopicConfig()
		rc.Name, rc.Value, rc.ReadOnly, rc.Source, rc.IsSensitive = d.Def.Name, value(d.Setting), d.ReadOnly, int8(d.Source), d.Def.Sensitive()
		r.Configs = append(r.Configs, rc)
	}
}

// step is one of several changes that a request asks for; each succeeds or fails by itself.
type step struct {
	refused error // the client may not
	decide  func(*meta.Image) ([]meta.Record, error)
	answer  func(error)
}

// proposeEach makes all changes that are not refused durable at once and answers every step. It returns the image after
// them; for validateOnly that image is only imagined.
func (a *API) proposeEach(c *Call, validateOnly bool, steps []step) *meta.Image {
	verdicts := make([]error, len(steps))
	imagined := a.Meta.Image()
	decide := func(m *meta.Image) ([]meta.Record, error) {
		changes, room := m.Change(), meta.MaxPartitions
		for i, s := range steps {
			if verdicts[i] = s.refused; s.refused != nil {
				continue
			}
			recs, err := s.decide(changes.Image())
			if room -= newPartitions(recs); err == nil && room < 0 {
				err = worded(meta.ErrPolicy, "Excessively large number of partitions per request.")
			}
			if verdicts[i] = err; err == nil {
				changes.Add(recs...)
			}
		}
		imagined = changes.Image()
		return changes.Records(), nil
	}
	var err error
	if validateOnly {
		_, err = decide(imagined)
	} else {
		_, err = a.Meta.Propose(c.Context, decide)
	}
	for i, s := range steps {
		if verdicts[i] == nil {
			verdicts[i] = err
		}
		s.answer(verdicts[i])
	}
	return imagined
}
