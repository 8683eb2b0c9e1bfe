package meta

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/broker/internal/auth"
)

// TopicID is a topic's identity, which a topic made anew under an old name does not inherit.
type TopicID = [16]byte

// Image is what the cluster consists of at one moment. It never changes; nothing that it returns may be changed.
type Image struct {
	clusterID  string
	controller int32
	brokers    []Broker // by id
	topics     map[string]*Topic
	ids        map[TopicID]*Topic
	collisions map[string]string            // a name with "." as "_" → the topic that has it
	configs    map[string]map[string]string // broker id in decimal, "" for all → what was altered
	producerID int64                        // the next id to hand out
	acls       *sharded[auth.ACL, struct{}]
	scram      *sharded[ScramUser, auth.ScramCredential]
	quotas     map[QuotaEntity]Quotas
	groups     map[string]map[string]string // consumer group → what was configured
}

// Broker is a member of the cluster and where the other brokers reach it.
type Broker struct {
	ID   int32
	Host string
	Port int32
	Rack string
}

// Topic is one topic.
type Topic struct {
	Name       string
	ID         TopicID
	Internal   bool
	Config     map[string]string // only what was set on the topic
	Partitions []Partition
}

// Partition is who holds and who leads one partition of a topic.
type Partition struct {
	Leader      int32 // -1: none
	LeaderEpoch int32
	Replicas    []int32
	ISR         []int32
}

// NewImage is the image before any record.
func NewImage() *Image {
	return &Image{
		controller: -1,
		topics:     map[string]*Topic{},
		ids:        map[TopicID]*Topic{},
		collisions: map[string]string{},
		configs:    map[string]map[string]string{},
		acls:       &sharded[auth.ACL, struct{}]{},
		scram:      &sharded[ScramUser, auth.ScramCredential]{},
		quotas:     map[QuotaEntity]Quotas{},
		groups:     map[string]map[string]string{},
	}
}

// Topic finds a topic by name, or nil.
func (m *Image) Topic(name string) *Topic { return m.topics[name] }

// TopicByID finds a topic by id, or nil.
func (m *Image) TopicByID(id TopicID) *Topic { return m.ids[id] }

// Topics lists all topics by name.
func (m *Image) Topics() []*Topic {
	return slices.SortedFunc(maps.Values(m.topics), func(a, b *Topic) int { return strings.Compare(a.Name, b.Name) })
}

// Brokers lists the members of the cluster by id.
func (m *Image) Brokers() []Broker { return m.brokers }

// Broker finds a broker by id.
func (m *Image) Broker(id int32) (Broker, bool) {
	i, ok := slices.BinarySearchFunc(m.brokers, id, func(b Broker, id int32) int { return int(b.ID) - int(id) })
	if !ok {
		return Broker{}, false
	}
	return m.brokers[i], true
}

// ClusterID names the cluster for ever.
func (m *Image) ClusterID() string { return m.clusterID }

// Controller is the broker that decides, or -1.
func (m *Image) Controller() int32 { return m.controller }

// BrokerAltered is what was altered while running on the broker with that id in decimal, or on all brokers for "".
func (m *Image) BrokerAltered(id string) map[string]string { return m.configs[id] }

// GroupConfigured is what was set on a consumer group.
func (m *Image) GroupConfigured(name string) map[string]string { return m.groups[name] }

// ConfiguredGroups lists the consumer groups that have configurations of their own, by name.
func (m *Image) ConfiguredGroups() []string { return slices.Sorted(maps.Keys(m.groups)) }

// SameBrokerConfig tells whether what was altered on the broker, or on all brokers, is the same in both images.
func (m *Image) SameBrokerConfig(other *Image, broker int32) bool {
	id := strconv.Itoa(int(broker))
	return maps.Equal(m.configs[""], other.configs[""]) && maps.Equal(m.configs[id], other.configs[id])
}

// ACLs are all access control lists, in no order.
func (m *Image) ACLs() iter.Seq[auth.ACL] { return m.acls.keys() }

// SameACLs tells whether no access control list has changed since the other image was made.
func (m *Image) SameACLs(other *Image) bool { return m.acls == other.acls }

// ScramUser is a user with the mechanism that a credential is for.
type ScramUser struct {
	Name      string
	Mechanism auth.ScramMechanism
}

// Scram finds the credential of a user.
func (m *Image) Scram(u ScramUser) (auth.ScramCredential, bool) {
	return m.scram.get(u)
}

// ScramUsers lists those with a credential by name.
func (m *Image) ScramUsers() []ScramUser {
	return slices.SortedFunc(m.scram.keys(), func(a, b ScramUser) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Mechanism, b.Mechanism))
	})
}

// Partition finds one partition of the topic.
func (t *Topic) Partition(index int32) (Partition, bool) {
	if index < 0 || int(index) >= len(t.Partitions) {
		return Partition{}, false
	}
	return t.Partitions[index], true
}

// collisionKey is what two names share that metrics could not tell apart.
func collisionKey(name string) string { return strings.ReplaceAll(name, ".", "_") }
