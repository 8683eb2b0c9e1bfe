package meta

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// NewTopic is a topic that is wanted.
type NewTopic struct {
	Name        string
	ID          TopicID            // of the topic to be; random, for it must never have existed
	Partitions  int32              // -1: as num.partitions says
	Replication int16              // -1: as default.replication.factor says
	Assignment  map[int32][]int32  // partition → brokers, instead of the two above
	Config      map[string]*string // nil: as if not named
	Internal    bool
}

// MaxPartitions bounds what one request may make.
const MaxPartitions = 10_000

// CheckTopicName refuses names that Kafka refuses (Topic.validate).
func CheckTopicName(name string) error {
	switch {
	case name == "":
		return refuse(ErrInvalidTopic, "Topic name is invalid: the empty string is not allowed")
	case name == "." || name == "..":
		return refuse(ErrInvalidTopic, "Topic name is invalid: '%s' is not allowed", name)
	case len(name) > 249:
		return refuse(ErrInvalidTopic, "Topic name is invalid: the length of '%s' is longer than the max allowed length 249", name)
	}
	for _, c := range name {
		if !strings.ContainsRune(legalInTopics, c) {
			return refuse(ErrInvalidTopic, "Topic name is invalid: '%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'", name)
		}
	}
	return nil
}

const legalInTopics = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// metadataTopic is what tools call the metadata log, which is no topic.
const metadataTopic = "__cluster_metadata"

// CreateTopic decides on a new topic. c gives the defaults.
func CreateTopic(m *Image, c *BrokerConfig, want NewTopic) ([]Record, error) {
	if err := CheckTopicName(want.Name); err != nil {
		return nil, err
	}
	if want.Name == metadataTopic {
		return nil, refuse(ErrInvalidRequest, "Creation of internal topic %s is prohibited.", metadataTopic)
	}
	if m.topics[want.Name] != nil {
		return nil, refuse(ErrTopicExists, "Topic '%s' already exists.", want.Name)
	}
	if other, ok := m.collisions[collisionKey(want.Name)]; ok {
		return nil, refuse(ErrInvalidTopic, "Topic '%s' collides with existing topic: %s", want.Name, other)
	}
	if m.ids[want.ID] != nil || want.ID == (TopicID{}) {
		return nil, refuse(ErrInvalidRequest, "the id of topic '%s' is in use", want.Name)
	}
	var configs []Record
	own := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(want.Config)) {
		value := want.Config[name]
		if value == nil {
			return nil, refuse(ErrInvalidConfig, "Null value not supported for topic configs: %s", name)
		}
		own[name] = *value
		configs = append(configs, TopicConfigured{Topic: want.ID, Name: name, Value: *value})
	}
	if err := c.checkTopic(own); err != nil {
		return nil, err
	}
	assignment, err := assign(m, c, want)
	if err != nil {
		return nil, err
	}
	out := []Record{TopicCreated{ID: want.ID, Name: want.Name, Internal: want.Internal}}
	for i, replicas := range assignment {
		out = append(out, PartitionChanged{want.ID, int32(i), newPartition(replicas)})
	}
	return append(out, configs...), nil
}

func newPartition(replicas []int32) Partition {
	return Partition{Leader: replicas[0], Replicas: replicas, ISR: slices.Clone(replicas)}
}

// assign decides which brokers hold the partitions of a new topic.
func assign(m *Image, c *BrokerConfig, want NewTopic) ([][]int32, error) {
	if len(want.Assignment) > 0 {
		if want.Partitions != -1 || want.Replication != -1 {
			return nil, refuse(ErrInvalidRequest, "A manual partition assignment was specified, but numPartitions or replicationFactor was not set to -1.")
		}
		manual := make([][]int32, len(want.Assignment))
		for i := range manual {
			replicas, ok := want.Assignment[int32(i)]
			if !ok {
				return nil, refuse(ErrInvalidAssignment, "partitions should be a consecutive 0-based integer sequence")
			}
			manual[i] = replicas
		}
		return manual, checkAssignment(m, manual)
	}
	partitions, replication := int64(want.Partitions), int64(want.Replication)
	if partitions == -1 {
		partitions = c.Int("num.partitions")
	}
	if replication == -1 {
		replication = c.Int("default.replication.factor")
	}
	switch {
	case partitions <= 0:
		return nil, refuse(ErrInvalidPartitions, "Number of partitions was set to an invalid non-positive value.")
	case partitions > MaxPartitions:
		return nil, refuse(ErrPolicy, "%d partitions were asked for; the most that one request may create is %d.", partitions, MaxPartitions)
	}
	if err := checkReplication(m, replication); err != nil {
		return nil, err
	}
	return spread(m, 0, int(partitions), int(replication)), nil
}

func checkReplication(m *Image, n int64) error {
	switch {
	case n <= 0:
		return refuse(ErrInvalidReplication, "Replication factor must be larger than 0, or -1 to use the default value.")
	case n > int64(len(m.brokers)):
		return refuse(ErrInvalidReplication, "Unable to replicate the partition %d time(s): The target replication factor of %d cannot be reached because only %d broker(s) are registered.", n, n, len(m.brokers))
	}
	return nil
}

// spread gives partitions from..to to brokers in turn, beginning where the topics so far leave off.
func spread(m *Image, from, to, replication int) [][]int32 {
	out := make([][]int32, 0, to-from)
	start := len(m.topics)
	for i := from; i < to; i++ {
		replicas := make([]int32, replication)
		for r := range replicas {
			replicas[r] = m.brokers[(start+i+r)%len(m.brokers)].ID
		}
		out = append(out, replicas)
	}
	return out
}

func checkAssignment(m *Image, manual [][]int32) error {
	for _, replicas := range manual {
		if len(replicas) == 0 {
			return refuse(ErrInvalidAssignment, "The manual partition assignment includes an empty replica list.")
		}
		if len(replicas) != len(manual[0]) {
			return refuse(ErrInvalidAssignment, "The manual partition assignment includes a partition with %d replica(s), but this is not consistent with previous partitions, which have %d replica(s).", len(replicas), len(manual[0]))
		}
		for j, id := range replicas {
			if slices.Contains(replicas[:j], id) {
				return refuse(ErrInvalidAssignment, "The manual partition assignment includes the broker %d more than once.", id)
			}
			if _, ok := m.Broker(id); !ok {
				return refuse(ErrInvalidAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", id)
			}
		}
	}
	return nil
}

// DeleteTopic decides to remove a topic, named or, if name is empty, by id.
func DeleteTopic(m *Image, c *BrokerConfig, name string, id TopicID) ([]Record, error) {
	t := m.topics[name]
	if name == "" {
		t = m.ids[id]
	}
	switch {
	case !c.Bool("delete.topic.enable"):
		return nil, refuse(ErrTopicDeletionDisabled, "Topic deletion is disabled.")
	case t == nil && name == "":
		return nil, refuse(ErrUnknownTopicID, "This server does not host this topic ID.")
	case t == nil:
		return nil, refuse(ErrUnknownTopic, "This server does not host this topic-partition.")
	}
	return []Record{TopicDeleted{t.ID}}, nil
}

// CreatePartitions decides to grow a topic to count partitions. assignment, if any, names the brokers of the new ones.
func CreatePartitions(m *Image, name string, count int32, assignment [][]int32) ([]Record, error) {
	t := m.topics[name]
	if t == nil {
		return nil, refuse(ErrUnknownTopic, "This server does not host this topic-partition.")
	}
	have := len(t.Partitions)
	switch {
	case int(count) == have:
		return nil, refuse(ErrInvalidPartitions, "Topic already has %d partition(s).", have)
	case int(count) < have:
		return nil, refuse(ErrInvalidPartitions, "The topic %s currently has %d partition(s); %d would not be an increase.", name, have, count)
	case int(count)-have > MaxPartitions:
		return nil, refuse(ErrPolicy, "%d more partitions were asked for; the most that one request may create is %d.", int(count)-have, MaxPartitions)
	}
	replication := len(t.Partitions[0].Replicas)
	if assignment == nil {
		if err := checkReplication(m, int64(replication)); err != nil {
			return nil, err
		}
		assignment = spread(m, have, int(count), replication)
	} else if err := checkMore(m, assignment, int(count)-have, replication); err != nil {
		return nil, err
	}
	var out []Record
	for i, replicas := range assignment {
		out = append(out, PartitionChanged{t.ID, int32(have + i), newPartition(replicas)})
	}
	return out, nil
}

func checkMore(m *Image, assignment [][]int32, more, replication int) error {
	if len(assignment) != more {
		return refuse(ErrInvalidAssignment, "%s partition(s) were added, but %d assignment(s) were specified.", fmt.Sprint(more), len(assignment))
	}
	if len(assignment[0]) != replication {
		return refuse(ErrInvalidAssignment, "The manual partition assignment includes a partition with %d replica(s), but the topic has %d.", len(assignment[0]), replication)
	}
	return checkAssignment(m, assignment)
}

// NewTopicID is an id that no topic has had, as Kafka makes them: its text does not begin with a dash, which command lines
// would take for a flag.
func NewTopicID() (id TopicID) {
	for id == (TopicID{}) || base64.RawURLEncoding.EncodeToString(id[:1])[0] == '-' {
		_, _ = rand.Read(id[:]) // crypto/rand does not fail
	}
	return id
}
