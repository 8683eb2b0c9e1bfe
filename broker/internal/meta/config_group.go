package meta

// groupConfigs are the configurations of consumer groups (KIP-848): what a group may have other than the broker says.
var groupConfigs = []Def{
	{Name: "consumer.heartbeat.interval.ms", Type: Int, Default: "5000", Min: 1, Broker: "group.consumer.heartbeat.interval.ms",
		Doc: "How often members of the group are asked to call."},
	{Name: "consumer.session.timeout.ms", Type: Int, Default: "45000", Min: 1, Broker: "group.consumer.session.timeout.ms",
		Doc: "How long a member of the group may be silent."},
}

// AlterGroup decides on changes of a consumer group's configuration. There need not be such a group yet.
func AlterGroup(m *Image, c *BrokerConfig, name string, changes []Alter) ([]Record, error) {
	if name == "" {
		return nil, refuse(ErrInvalidRequest, "Default group resources are not allowed.")
	}
	now := c.groupValues(m.groups[name])
	own, err := alter(m.groups[name], changes, func(name string) (*Def, string, error) {
		d, err := find("group", groupTable, name)
		if err != nil {
			return nil, "", err
		}
		return d, now.String(name), nil
	})
	if err != nil {
		return nil, err
	}
	if err := c.checkGroup(own); err != nil {
		return nil, err
	}
	var out []Record
	difference(m.groups[name], own, func(config, value string, unset bool) {
		out = append(out, GroupConfigured{name, config, value, unset})
	})
	return out, nil
}

// checkGroup refuses values beyond what the broker allows groups.
func (c *BrokerConfig) checkGroup(own map[string]string) error {
	for name, value := range own {
		if err := groupTable[name].Check(value); err != nil {
			return err
		}
	}
	v := c.groupValues(own)
	for _, b := range []struct{ name, low, high string }{
		{"consumer.heartbeat.interval.ms", "group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"},
		{"consumer.session.timeout.ms", "group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms"},
	} {
		if _, set := own[b.name]; !set {
			continue
		}
		if v.Int(b.name) < c.Int(b.low) {
			return refuse(ErrInvalidConfig, "%s must be greater than or equal to %s (%d)", b.name, b.low, c.Int(b.low))
		}
		if v.Int(b.name) > c.Int(b.high) {
			return refuse(ErrInvalidConfig, "%s must be less than or equal to %s (%d)", b.name, b.high, c.Int(b.high))
		}
	}
	if len(own) > 0 && v.Int("consumer.session.timeout.ms") <= v.Int("consumer.heartbeat.interval.ms") {
		return refuse(ErrInvalidConfig, "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms")
	}
	return nil
}

// Group is the configuration of a consumer group: its own, or what the broker has in its place.
func (c *BrokerConfig) Group(name string) Values { return c.groupValues(c.image.Load().groups[name]) }

func (c *BrokerConfig) groupValues(own map[string]string) Values {
	return c.ownValues("group", groupTable, own)
}

// DescribeGroup describes every configuration of a group by name.
func (c *BrokerConfig) DescribeGroup(m *Image, name string) []Described {
	return c.describeOwn(sorted(groupTable), m.groups[name], FromGroup)
}
