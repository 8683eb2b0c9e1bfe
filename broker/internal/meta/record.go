package meta

import (
	"maps"
	"slices"

	"github.com/leatstream/leat/broker/internal/auth"
)

// Record is one change of the image. The kinds are in this file; records of one decision apply together.
type Record interface{ apply(*draft) }

// ClusterCreated names the cluster. It is the first record of a metadata log.
type ClusterCreated struct{ ID string }

// BrokerRegistered adds a broker or says where it is now.
type BrokerRegistered struct{ Broker Broker }

// ControllerElected says who decides.
type ControllerElected struct{ ID int32 }

// TopicCreated adds a topic that has no partitions yet.
type TopicCreated struct {
	ID       TopicID
	Name     string
	Internal bool
}

// PartitionChanged adds the partition that is next in the topic, or replaces one.
type PartitionChanged struct {
	Topic     TopicID
	Index     int32
	Partition Partition
}

// TopicConfigured sets one configuration of a topic, or takes it back.
type TopicConfigured struct {
	Topic TopicID
	Name  string
	Value string
	Unset bool
}

// TopicDeleted removes a topic with its partitions.
type TopicDeleted struct{ ID TopicID }

// BrokerConfigured sets one configuration of a broker (its id in decimal) or of all (""), or takes it back.
type BrokerConfigured struct {
	Broker string
	Name   string
	Value  string
	Unset  bool
}

// QuotaSet sets one quota of an entity, or takes it back.
type QuotaSet struct {
	Entity QuotaEntity
	Name   string
	Value  float64
	Unset  bool
}

// GroupConfigured sets one configuration of a consumer group, or takes it back.
type GroupConfigured struct {
	Group string
	Name  string
	Value string
	Unset bool
}

// ProducerIDsAllocated says that ids below Next may be in use.
type ProducerIDsAllocated struct{ Next int64 }

// ACLCreated adds an access control list.
type ACLCreated struct{ ACL auth.ACL }

// ACLDeleted removes one.
type ACLDeleted struct{ ACL auth.ACL }

// ScramSet gives a user a credential.
type ScramSet struct {
	User       ScramUser
	Credential auth.ScramCredential
}

// ScramUnset takes it away.
type ScramUnset struct{ User ScramUser }

// Apply returns the image after the records of one decision. m stays as it is.
func (m *Image) Apply(records ...Record) *Image {
	d := newDraft(m)
	d.add(records...)
	return d.done()
}

// Changes are decisions that are made one upon the other, and proposed together.
type Changes struct {
	draft   *draft
	records []Record
}

// Change begins changes of m, which stays as it is.
func (m *Image) Change() *Changes { return &Changes{draft: newDraft(m)} }

// Image is the image after the changes so far. It is valid until the next Add.
func (c *Changes) Image() *Image { return &c.draft.Image }

// Add applies the records of one more decision.
func (c *Changes) Add(records ...Record) {
	c.draft.add(records...)
	c.records = append(c.records, records...)
}

// Records are those of all decisions.
func (c *Changes) Records() []Record { return c.records }

// draft is an image that is being made; what it shares with its base is copied at the first write.
type draft struct {
	Image
	mine                   map[TopicID]bool // topics already copied
	copied                 [parts]bool      // parts already copied
	aclShards, scramShards shards           // of their shards, those already copied

	deleted []TopicID // topics that there were
}

// part is a part of an image that is copied as a whole.
type part int

const (
	topicsPart part = iota
	configsPart
	groupsPart
	quotasPart
	aclsPart
	scramPart
	parts
)

func newDraft(base *Image) *draft {
	return &draft{Image: *base, mine: map[TopicID]bool{}}
}

func (d *draft) add(records ...Record) {
	for _, r := range records {
		r.apply(d)
	}
}

// done is the image, without what it took to make it.
func (d *draft) done() *Image {
	m := d.Image
	return &m
}

// first tells whether p is to be copied now.
func (d *draft) first(p part) bool {
	was := d.copied[p]
	d.copied[p] = true
	return !was
}

// topic returns a copy of a topic that may be changed, or nil.
func (d *draft) topic(id TopicID) *Topic {
	t := d.ids[id]
	if t == nil || d.mine[id] {
		return t
	}
	c := *t
	c.Config, c.Partitions = maps.Clone(t.Config), slices.Clone(t.Partitions)
	d.put(&c)
	return &c
}

// ownTopics makes the maps of topics such that they may be changed.
func (d *draft) ownTopics() {
	if d.first(topicsPart) {
		d.topics, d.ids, d.collisions = maps.Clone(d.topics), maps.Clone(d.ids), maps.Clone(d.collisions)
	}
}

func (d *draft) put(t *Topic) {
	d.ownTopics()
	d.mine[t.ID] = true
	d.topics[t.Name], d.ids[t.ID], d.collisions[collisionKey(t.Name)] = t, t, t.Name
}

func (r ClusterCreated) apply(d *draft)    { d.clusterID = r.ID }
func (r ControllerElected) apply(d *draft) { d.controller = r.ID }

func (r BrokerRegistered) apply(d *draft) {
	i, found := slices.BinarySearchFunc(d.brokers, r.Broker.ID, func(b Broker, id int32) int { return int(b.ID) - int(id) })
	d.brokers = slices.Clone(d.brokers)
	if found {
		d.brokers[i] = r.Broker
		return
	}
	d.brokers = slices.Insert(d.brokers, i, r.Broker)
}

func (r TopicCreated) apply(d *draft) {
	d.put(&Topic{Name: r.Name, ID: r.ID, Internal: r.Internal, Config: map[string]string{}})
}

func (r PartitionChanged) apply(d *draft) {
	t := d.topic(r.Topic)
	switch {
	case t == nil:
	case int(r.Index) == len(t.Partitions):
		t.Partitions = append(t.Partitions, r.Partition)
	case r.Index >= 0 && int(r.Index) < len(t.Partitions):
		t.Partitions[r.Index] = r.Partition
	}
}

func (r TopicConfigured) apply(d *draft) {
	t := d.topic(r.Topic)
	switch {
	case t == nil:
	case r.Unset:
		delete(t.Config, r.Name)
	default:
		t.Config[r.Name] = r.Value
	}
}

func (r TopicDeleted) apply(d *draft) {
	t := d.ids[r.ID]
	if t == nil {
		return
	}
	d.ownTopics()
	d.deleted = append(d.deleted, r.ID)
	delete(d.ids, r.ID)
	delete(d.topics, t.Name)
	delete(d.collisions, collisionKey(t.Name))
}

func (r BrokerConfigured) apply(d *draft) {
	if d.first(configsPart) {
		d.configs = maps.Clone(d.configs)
	}
	setIn(d.configs, r.Broker, r.Name, r.Value, r.Unset)
}

func (r GroupConfigured) apply(d *draft) {
	if d.first(groupsPart) {
		d.groups = maps.Clone(d.groups)
	}
	setIn(d.groups, r.Group, r.Name, r.Value, r.Unset)
}

func (r QuotaSet) apply(d *draft) {
	if d.first(quotasPart) {
		d.quotas = maps.Clone(d.quotas)
	}
	setIn(d.quotas, r.Entity, r.Name, r.Value, r.Unset)
}

// setIn sets one thing of one owner, or takes it back. What an owner had may be in an image that was seen, so it is copied.
func setIn[K comparable, M ~map[string]V, V any](all map[K]M, owner K, name string, value V, unset bool) {
	own := maps.Clone(all[owner])
	if own == nil {
		own = M{}
	}
	if unset {
		delete(own, name)
	} else {
		own[name] = value
	}
	if all[owner] = own; len(own) == 0 {
		delete(all, owner)
	}
}

func (r ProducerIDsAllocated) apply(d *draft) { d.producerID = max(d.producerID, r.Next) }

func (r ACLCreated) apply(d *draft) { d.ownACLs().set(&d.aclShards, r.ACL, struct{}{}) }
func (r ACLDeleted) apply(d *draft) { d.ownACLs().unset(&d.aclShards, r.ACL) }
func (r ScramSet) apply(d *draft)   { d.ownScram().set(&d.scramShards, r.User, r.Credential) }
func (r ScramUnset) apply(d *draft) { d.ownScram().unset(&d.scramShards, r.User) }

func (d *draft) ownACLs() *sharded[auth.ACL, struct{}] {
	if d.first(aclsPart) {
		d.acls = d.acls.version()
	}
	return d.acls
}

func (d *draft) ownScram() *sharded[ScramUser, auth.ScramCredential] {
	if d.first(scramPart) {
		d.scram = d.scram.version()
	}
	return d.scram
}

// Records are what makes this image from nothing: its snapshot.
func (m *Image) Records() []Record {
	out := []Record{ClusterCreated{m.clusterID}, ControllerElected{m.controller}}
	for _, b := range m.brokers {
		out = append(out, BrokerRegistered{b})
	}
	for _, t := range m.Topics() {
		out = append(out, TopicCreated{t.ID, t.Name, t.Internal})
		for i, p := range t.Partitions {
			out = append(out, PartitionChanged{t.ID, int32(i), p})
		}
		for _, name := range slices.Sorted(maps.Keys(t.Config)) {
			out = append(out, TopicConfigured{Topic: t.ID, Name: name, Value: t.Config[name]})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.configs)) {
		for _, name := range slices.Sorted(maps.Keys(m.configs[id])) {
			out = append(out, BrokerConfigured{Broker: id, Name: name, Value: m.configs[id][name]})
		}
	}
	for _, a := range slices.SortedFunc(m.ACLs(), auth.ACL.Compare) {
		out = append(out, ACLCreated{a})
	}
	for _, u := range m.ScramUsers() {
		c, _ := m.scram.get(u) // it was just listed
		out = append(out, ScramSet{u, c})
	}
	for _, group := range slices.Sorted(maps.Keys(m.groups)) {
		for _, name := range slices.Sorted(maps.Keys(m.groups[group])) {
			out = append(out, GroupConfigured{Group: group, Name: name, Value: m.groups[group][name]})
		}
	}
	for _, q := range m.Quotas() {
		for _, name := range slices.Sorted(maps.Keys(q.Limits)) {
			out = append(out, QuotaSet{Entity: q.Entity, Name: name, Value: q.Limits[name]})
		}
	}
	return append(out, ProducerIDsAllocated{m.producerID})
}
