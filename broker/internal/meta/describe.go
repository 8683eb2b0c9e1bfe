package meta

import (
	"strconv"
)

// Source is where a value comes from, with the numbers that DescribeConfigs uses (KIP-226).
type Source int8

// Kafka's sources of configurations, the more specific first.
const (
	FromTopic          Source = 1 // set on the topic
	FromDynamicBroker  Source = 2 // altered on this broker
	FromDynamicDefault Source = 3 // altered on all brokers
	FromStaticBroker   Source = 4 // what the broker was started with
	FromDefault        Source = 5
	FromGroup          Source = 8 // set on the group
)

// Setting is a value and where it comes from.
type Setting struct {
	Name   string
	Value  string
	IsNull bool
	Source Source
}

// Described is a configuration as DescribeConfigs shows it: what holds, and all that would, the more specific first.
type Described struct {
	Def *Def
	Setting
	Synonyms []Setting
	ReadOnly bool
}

// inHours are the configurations whose unit is in the name, with the factor to milliseconds.
var inHours = map[string][]struct {
	name   string
	factor int64
}{
	"log.retention.ms":   {{"log.retention.minutes", 60_000}, {"log.retention.hours", 3_600_000}},
	"log.roll.ms":        {{"log.roll.hours", 3_600_000}},
	"log.roll.jitter.ms": {{"log.roll.jitter.hours", 3_600_000}},
}

// synonyms lists every setting of a broker's configuration by precedence, its default last.
func (c *BrokerConfig) synonyms(d *Def) []Setting {
	var out []Setting
	image := c.image.Load()
	add := func(from map[string]string, source Source) {
		if v, ok := from[d.Name]; ok {
			out = append(out, Setting{Name: d.Name, Value: v, Source: source})
		}
	}
	add(image.configs[c.node], FromDynamicBroker)
	add(image.configs[""], FromDynamicDefault)
	add(c.static, FromStaticBroker)
	if !d.NoValue {
		out = append(out, Setting{Name: d.Name, Value: d.Default, Source: FromDefault})
	}
	for _, other := range inHours[d.Name] {
		out = append(out, c.synonyms(brokerTable[other.name])...)
	}
	return out
}

// effective is the setting of a broker's configuration that holds. Requests ask for it: it makes no list.
func (c *BrokerConfig) effective(d *Def) Setting {
	image := c.image.Load()
	if v, ok := image.configs[c.node][d.Name]; ok {
		return Setting{Name: d.Name, Value: v, Source: FromDynamicBroker}
	}
	if v, ok := image.configs[""][d.Name]; ok {
		return Setting{Name: d.Name, Value: v, Source: FromDynamicDefault}
	}
	if v, ok := c.static[d.Name]; ok {
		return Setting{Name: d.Name, Value: v, Source: FromStaticBroker}
	}
	return Setting{Name: d.Name, Value: d.Default, IsNull: d.NoValue, Source: FromDefault}
}

// standIn is what holds for a topic's configuration that was not set on the topic.
func (c *BrokerConfig) standIn(d *Def) Setting {
	if d.Broker != "" {
		if all := c.synonyms(brokerTable[d.Broker]); len(all) > 0 {
			s := all[0]
			s.Value = inMillis(s)
			return s
		}
	}
	return Setting{Name: d.Name, Value: d.Default, Source: FromDefault}
}

func inMillis(s Setting) string {
	for _, others := range inHours {
		for _, o := range others {
			n, err := strconv.ParseInt(s.Value, 10, 64)
			if o.name == s.Name && err == nil && n > 0 {
				return strconv.FormatInt(n*o.factor, 10)
			}
		}
	}
	return s.Value
}

// DescribeTopic describes every configuration of a topic by name.
func (c *BrokerConfig) DescribeTopic(t *Topic) []Described {
	return c.describeOwn(TopicDefs(), t.Config, FromTopic)
}

// describeOwn describes the configurations of something that has some of its own, and others from the broker.
func (c *BrokerConfig) describeOwn(defs []*Def, own map[string]string, source Source) []Described {
	var out []Described
	for _, d := range defs {
		e := Described{Def: d}
		if v, ok := own[d.Name]; ok {
			e.Synonyms = append(e.Synonyms, Setting{Name: d.Name, Value: v, Source: source})
		}
		if d.Broker != "" {
			e.Synonyms = append(e.Synonyms, c.synonyms(brokerTable[d.Broker])...)
		} else {
			e.Synonyms = append(e.Synonyms, Setting{Name: d.Name, Value: d.Default, Source: FromDefault})
		}
		if len(e.Synonyms) > 0 && e.Synonyms[0].Source == source {
			e.Setting = e.Synonyms[0]
		} else {
			e.Setting = c.standIn(d)
		}
		e.Name = d.Name
		out = append(out, e)
	}
	return out
}

// DescribeBroker describes every configuration of the broker by name, and what was altered though it has no effect. Values of
// passwords are null.
func (c *BrokerConfig) DescribeBroker() []Described {
	var out []Described
	for _, d := range BrokerDefs() {
		if withoutEffect[d.Name] != nil && len(c.synonyms(d)) == 0 {
			continue
		}
		e := Described{Def: d, Setting: c.effective(d), Synonyms: c.synonyms(d), ReadOnly: !d.Dynamic}
		if d.Sensitive() {
			e.Value, e.IsNull = "", true
			for i := range e.Synonyms {
				e.Synonyms[i].Value, e.Synonyms[i].IsNull = "", true
			}
		}
		out = append(out, e)
	}
	return out
}

// DescribeAltered describes what was altered on all brokers.
func (c *BrokerConfig) DescribeAltered() []Described {
	var out []Described
	for _, d := range BrokerDefs() {
		if v, ok := c.image.Load().configs[""][d.Name]; ok {
			s := Setting{Name: d.Name, Value: v, Source: FromDynamicDefault}
			out = append(out, Described{Def: d, Setting: s, Synonyms: []Setting{s}})
		}
	}
	return out
}
