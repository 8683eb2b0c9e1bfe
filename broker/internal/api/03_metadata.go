package api

import (
	"errors"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 13, (*API).metadata)

// metadataByID is the first version whose clients may ask by id, though those of version 10 and 11 have a place for it.
const metadataByID = 12

// metadata answers who leads what, and creates what a client asks for by name if both sides allow it. Kafka answers such
// a first request with an error and creates meanwhile; here the topic is there at once.
func (a *API) metadata(c *Call, req *kmsg.MetadataRequest, resp *kmsg.MetadataResponse) error {
	notCreated := a.createAsked(c, req)
	m := a.Meta.Image()
	resp.ClusterID = kmsg.StringPtr(m.ClusterID())
	resp.ControllerID = m.Controller()
	for _, b := range a.brokers(c, m) {
		mb := kmsg.NewMetadataResponseBroker()
		mb.NodeID, mb.Host, mb.Port, mb.Rack = b.ID, b.Host, b.Port, rack(b)
		resp.Brokers = append(resp.Brokers, mb)
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = a.clusterOperations(c)
	}
	if req.Topics == nil || c.Version == 0 && len(req.Topics) == 0 {
		for _, t := range m.Topics() {
			if a.may(c, auth.Describe, auth.Topic, t.Name) {
				resp.Topics = append(resp.Topics, a.metadataTopic(c, t, req.IncludeTopicAuthorizedOperations))
			}
		}
		return nil
	}
	type topic struct {
		name string
		id   meta.TopicID
	}
	topics, _ := once(req.Topics, func(t kmsg.MetadataRequestTopic) topic { return topic{orEmpty(t.Topic), t.TopicID} })
	for _, want := range topics { // each one once: the answer is no larger than what there is
		t, err := a.askedTopic(c, m, want, notCreated)
		if err != nil {
			mt := kmsg.NewMetadataResponseTopic()
			mt.Topic, mt.TopicID = want.Topic, want.TopicID
			if byID(want) && c.Version >= metadataByID {
				mt.Topic = nil
			}
			mt.ErrorCode, _ = refusal(err)
			if mt.Topic == nil && c.Version < metadataByID {
				mt.Topic = kmsg.StringPtr("")
			}
			resp.Topics = append(resp.Topics, mt)
			continue
		}
		resp.Topics = append(resp.Topics, a.metadataTopic(c, t, req.IncludeTopicAuthorizedOperations))
	}
	return nil
}

// askedTopic finds a topic that the client may describe, by name or by id.
func (a *API) askedTopic(c *Call, m *meta.Image, want kmsg.MetadataRequestTopic, notCreated map[string]error) (*meta.Topic, error) {
	if byID(want) && c.Version < metadataByID {
		return nil, kerr.InvalidRequest
	}
	if byID(want) {
		t := m.TopicByID(want.TopicID)
		if t == nil {
			return nil, kerr.UnknownTopicID
		}
		return t, a.allow(c, auth.Describe, auth.Topic, t.Name)
	}
	if err := meta.CheckTopicName(*want.Topic); err != nil {
		return nil, err
	}
	if err := a.allow(c, auth.Describe, auth.Topic, *want.Topic); err != nil {
		return nil, err
	}
	if t := m.Topic(*want.Topic); t != nil {
		return t, nil
	}
	if err := notCreated[*want.Topic]; err != nil {
		return nil, err
	}
	return nil, kerr.UnknownTopicOrPartition
}

// byID tells whether a topic is asked for by its id: Java's admin client then sends an empty name beside it, not a null one.
func byID(want kmsg.MetadataRequestTopic) bool {
	return want.Topic == nil || want.TopicID != [16]byte{}
}

func (a *API) metadataTopic(c *Call, t *meta.Topic, operations bool) kmsg.MetadataResponseTopic {
	mt := kmsg.NewMetadataResponseTopic()
	mt.Topic, mt.TopicID, mt.IsInternal = kmsg.StringPtr(t.Name), t.ID, t.Internal
	if operations {
		mt.AuthorizedOperations = a.authorizedOperations(c, auth.Topic, t.Name)
	}
	mt.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.Partitions))
	for i, p := range t.Partitions {
		mp := kmsg.NewMetadataResponseTopicPartition()
		mp.Partition, mp.Leader, mp.LeaderEpoch = int32(i), p.Leader, p.LeaderEpoch
		mp.Replicas, mp.ISR = p.Replicas, p.ISR
		mt.Partitions[i] = mp
	}
	return mt
}

// createAsked creates the topics that are asked for by name and missing, and returns those that the client may not create.
// What else cannot be created is answered as unknown.
func (a *API) createAsked(c *Call, req *kmsg.MetadataRequest) (refused map[string]error) {
	if c.Version >= 4 && !req.AllowAutoTopicCreation || !a.Config.Bool("auto.create.topics.enable") {
		return nil
	}
	m := a.Meta.Image()
	var missing []string
	for _, want := range req.Topics {
		if byID(want) || m.Topic(*want.Topic) != nil || internalTopic(*want.Topic) || meta.CheckTopicName(*want.Topic) != nil ||
			!a.may(c, auth.Describe, auth.Topic, *want.Topic) {
			continue
		}
		if err := a.allowCreate(c, *want.Topic); err != nil {
			if refused == nil {
				refused = map[string]error{}
			}
			refused[*want.Topic] = err
			continue
		}
		missing = append(missing, *want.Topic)
	}
	if len(missing) == 0 {
		return refused
	}
	_, err := a.Meta.Propose(c.Context, func(m *meta.Image) ([]meta.Record, error) {
		changes := m.Change()
		for _, name := range missing {
			if len(changes.Records()) >= meta.MaxPartitions {
				break
			}
			recs, err := meta.CreateTopic(changes.Image(), a.Config, meta.NewTopic{Name: name, ID: meta.NewTopicID(), Partitions: -1, Replication: -1})
			if err != nil {
				if !errors.Is(err, meta.ErrTopicExists) {
					a.Log.Warn("a topic that a client asked for cannot be created", "topic", name, "error", err)
				}
				continue
			}
			_ = a.mutate(c, newPartitions(recs), false) // only how long the client waits
			changes.Add(recs...)
		}
		return changes.Records(), nil
	})
	if err != nil {
		a.Log.Error("topics that a client asked for cannot be created", "error", err)
	}
	return refused
}

// internalTopic tells names that the broker itself makes topics of.
func internalTopic(name string) bool {
	return name == "__consumer_offsets" || name == "__transaction_state" || name == "__share_group_state"
}

// brokers are the members of the cluster, this one by the address that leads to the listener the client came through.
func (a *API) brokers(c *Call, m *meta.Image) []meta.Broker {
	out := append([]meta.Broker(nil), m.Brokers()...)
	for i, b := range out {
		if b.ID == a.NodeID && a.Advertised != nil {
			out[i].Host, out[i].Port = a.Advertised(c)
		}
	}
	return out
}

func rack(b meta.Broker) *string {
	if b.Rack == "" {
		return nil
	}
	return kmsg.StringPtr(b.Rack)
}
