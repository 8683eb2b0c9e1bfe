package meta

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Op is what to do with a configuration, with the numbers of IncrementalAlterConfigs (KIP-339).
type Op int8

// Kafka's operations. Append and Subtract are for lists.
const (
	OpSet      Op = 0
	OpDelete   Op = 1
	OpAppend   Op = 2
	OpSubtract Op = 3
)

// Alter is one change of a configuration.
type Alter struct {
	Name  string
	Op    Op
	Value *string // nil only for OpDelete
}

// AlterTopic decides on changes of a topic's configuration.
func AlterTopic(m *Image, c *BrokerConfig, name string, changes []Alter) ([]Record, error) {
	if name == "" {
		return nil, refuse(ErrInvalidRequest, "Default topic resources are not allowed.")
	}
	if err := CheckTopicName(name); err != nil {
		return nil, err
	}
	t := m.topics[name]
	if t == nil {
		return nil, refuse(ErrUnknownTopic, "The topic '%s' does not exist.", name)
	}
	now := c.Topic(t)
	own, err := alter(t.Config, changes, func(name string) (*Def, string, error) {
		d, err := TopicDef(name)
		if err != nil {
			return nil, "", err
		}
		return d, now.String(name), nil
	})
	if err != nil {
		return nil, err
	}
	if err := c.checkTopic(own); err != nil {
		return nil, err
	}
	var out []Record
	difference(t.Config, own, func(name, value string, unset bool) {
		out = append(out, TopicConfigured{t.ID, name, value, unset})
	})
	return out, nil
}

// AlterBroker decides on changes of the configuration of broker (its id in decimal) or of all brokers ("").
func AlterBroker(m *Image, c *BrokerConfig, broker string, changes []Alter) ([]Record, error) {
	if broker != "" {
		id, err := strconv.ParseInt(broker, 10, 32)
		if err != nil {
			return nil, refuse(ErrInvalidRequest, "Node id must be an integer, but it is: %s", broker)
		}
		if _, ok := m.Broker(int32(id)); !ok {
			return nil, refuse(ErrInvalidRequest, "No broker with id %d is registered.", id)
		}
	}
	own, err := alter(m.configs[broker], changes, func(name string) (*Def, string, error) {
		d, err := dynamicDef(name)
		if err != nil {
			return nil, "", err
		}
		return d, c.effective(d).Value, nil
	})
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		d, err := dynamicDef(name)
		if err != nil {
			return nil, err
		}
		if err := d.Check(own[name]); err != nil {
			return nil, err
		}
	}
	var out []Record
	difference(m.configs[broker], own, func(name, value string, unset bool) {
		out = append(out, BrokerConfigured{broker, name, value, unset})
	})
	return out, nil
}

// dynamicDef finds a configuration of brokers that can be altered while they run.
func dynamicDef(name string) (*Def, error) {
	d, ofListener := listenerDef(name)
	if !ofListener {
		d = cmp.Or(brokerTable[name], withoutEffect[name])
	}
	why := "It is read when the broker starts."
	switch {
	case d == nil:
		return BrokerDef(name)
	case d.Dynamic && !ofListener:
		return d, nil
	case withoutEffect[d.Name] != nil || ofListener && !d.forListeners():
		why = "It has no effect on this broker."
	case strings.HasPrefix(d.Name, "ssl.") && strings.HasSuffix(d.Name, ".location"):
		why += " Certificates are read again when their file changes: replace the file."
	}
	return nil, refuse(ErrInvalidRequest, "Cannot update these configs dynamically: %s. %s", name, why)
}

// alter returns what is set after changes. find gives a configuration and the value that holds now.
func alter(have map[string]string, changes []Alter, find func(string) (*Def, string, error)) (map[string]string, error) {
	own := maps.Clone(have)
	if own == nil {
		own = map[string]string{}
	}
	seen := map[string]bool{}
	for _, ch := range changes {
		if seen[ch.Name] {
			return nil, refuse(ErrInvalidRequest, "Error due to duplicate config keys: %s", ch.Name)
		}
		seen[ch.Name] = true
		if ch.Op == OpDelete { // whatever is not set is not set afterwards
			delete(own, ch.Name)
			continue
		}
		d, current, err := find(ch.Name)
		switch {
		case err != nil:
			return nil, err
		case ch.Value == nil:
			return nil, refuse(ErrInvalidRequest, "Null value not supported for : %s", ch.Name)
		case ch.Op == OpSet:
			own[ch.Name] = *ch.Value
			continue
		case ch.Op != OpAppend && ch.Op != OpSubtract:
			return nil, refuse(ErrInvalidRequest, "Unknown operation type %d for config key %s", ch.Op, ch.Name)
		case d.Type != List:
			return nil, refuse(ErrInvalidConfig, "Can't %s to key %s because its type is not LIST.", map[Op]string{OpAppend: "APPEND", OpSubtract: "SUBTRACT"}[ch.Op], ch.Name)
		}
		own[ch.Name] = alterList(splitList(current), ch.Op, splitList(*ch.Value))
	}
	return own, nil
}

func alterList(list []string, op Op, values []string) string {
	for _, v := range values {
		has := slices.Contains(list, v)
		switch {
		case op == OpAppend && !has:
			list = append(list, v)
		case op == OpSubtract && has:
			list = slices.DeleteFunc(list, func(s string) bool { return s == v })
		}
	}
	return strings.Join(list, ",")
}

// difference calls fn for every name whose value is not the same in both.
func difference(have, want map[string]string, fn func(name, value string, unset bool)) {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if v, ok := have[name]; !ok || v != want[name] {
			fn(name, want[name], false)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if _, ok := want[name]; !ok {
			fn(name, "", true)
		}
	}
}

// checkTopic refuses values of a topic's own configuration that are wrong by themselves or together.
func (c *BrokerConfig) checkTopic(own map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(own)) {
		d, err := TopicDef(name)
		if err != nil {
			return err
		}
		if err := d.Check(own[name]); err != nil {
			return err
		}
	}
	v := c.topicValues(own)
	if v.Int("min.compaction.lag.ms") > v.Int("max.compaction.lag.ms") {
		return refuse(ErrInvalidConfig, "conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)",
			v.Int("min.compaction.lag.ms"), v.Int("max.compaction.lag.ms"))
	}
	if v.Bool("errors.deadletterqueue.group.enable") {
		return refuse(ErrInvalidConfig, "errors.deadletterqueue.group.enable is for share groups, which this broker does not have.")
	}
	if v.Bool("remote.storage.enable") {
		return refuse(ErrInvalidConfig, "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.")
	}
	return nil
}
