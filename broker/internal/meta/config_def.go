package meta

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/internal/diag"
)

// Type is the type of a configuration, with the numbers that DescribeConfigs uses (KIP-569).
type Type int8

// Kafka's types of configurations.
const (
	Bool     Type = 1
	String   Type = 2
	Int      Type = 3
	Short    Type = 4
	Long     Type = 5
	Double   Type = 6
	List     Type = 7
	Password Type = 9
)

// Def is one configuration of topics or of brokers.
type Def struct {
	Name     string
	Type     Type
	Default  string
	NoValue  bool                            // without a default: null until it is set
	Min, Max int64                           // for numbers; Max 0: what the type holds
	Choices  []string                        // for strings and the elements of lists; nil: any
	Refuse   func(value string) (why string) // what else is wrong with a value; nil: nothing
	Broker   string                          // of a topic's configuration: the broker's that stands in for it
	Dynamic  bool                            // of a broker's configuration: can be altered while running
	Doc      string
}

// Sensitive tells whether the value is never shown.
func (d *Def) Sensitive() bool { return d.Type == Password }

// TopicDef finds a topic's configuration by Kafka's name.
func TopicDef(name string) (*Def, error) { return find("topic", topicTable, name) }

// BrokerDef finds a broker's configuration by Kafka's name.
func BrokerDef(name string) (*Def, error) { return find("broker", brokerTable, name) }

// TopicDefs lists the configurations of topics by name.
func TopicDefs() []*Def { return sorted(topicTable) }

// BrokerDefs lists the configurations of brokers by name, with those that only Kafka needs.
func BrokerDefs() []*Def { return sorted(brokerTable, withoutEffect) }

var topicTable, brokerTable, groupTable = index(topicConfigs), index(slices.Concat(brokerConfigs, securityConfigs)), index(groupConfigs)

func index(defs []Def) map[string]*Def {
	m := make(map[string]*Def, len(defs))
	for i := range defs {
		m[defs[i].Name] = &defs[i]
	}
	return m
}

func sorted(tables ...map[string]*Def) []*Def {
	var defs []*Def
	for _, table := range tables {
		defs = slices.AppendSeq(defs, maps.Values(table))
	}
	slices.SortFunc(defs, func(a, b *Def) int { return strings.Compare(a.Name, b.Name) })
	return defs
}

func find(what string, table map[string]*Def, name string) (*Def, error) {
	if d := table[name]; d != nil {
		return d, nil
	}
	if near := nearest(table, name); near != "" {
		return nil, refuse(ErrInvalidConfig, "Unknown %s config name: %s (did you mean %s?)", what, name, near)
	}
	return nil, refuse(ErrInvalidConfig, "Unknown %s config name: %s", what, name)
}

func nearest(table map[string]*Def, name string) string {
	names := make([]string, 0, len(table))
	for n := range table {
		names = append(names, n)
	}
	slices.Sort(names)
	return diag.Nearest(name, names)
}

// Check refuses a value that the configuration cannot have, in Kafka's words.
func (d *Def) Check(value string) error {
	if err := d.checkType(value); err != nil || d.Refuse == nil {
		return err
	}
	if why := d.Refuse(value); why != "" {
		return d.invalid(value, why)
	}
	return nil
}

func (d *Def) checkType(value string) error {
	switch d.Type {
	case Bool:
		if _, ok := parseBool(value); !ok {
			return d.invalid(value, "Expected value to be either true or false")
		}
	case Int, Short, Long:
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, d.bits())
		if err != nil {
			return d.invalid(value, "Not a number of type "+d.typeName())
		}
		return d.checkRange(value, float64(n))
	case Double:
		f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || math.IsNaN(f) {
			return d.invalid(value, "Not a number of type DOUBLE")
		}
		return d.checkRange(value, f)
	case List:
		for _, v := range splitList(value) {
			if d.Choices != nil && !slices.Contains(d.Choices, v) {
				return d.invalid(value, "String must be one of: "+strings.Join(d.Choices, ", "))
			}
		}
	case String:
		if d.Choices != nil && !slices.Contains(d.Choices, value) {
			return d.invalid(value, "String must be one of: "+strings.Join(d.Choices, ", "))
		}
	}
	return nil
}

func (d *Def) checkRange(value string, n float64) error {
	switch {
	case n < float64(d.Min):
		return d.invalid(value, "Value must be at least "+strconv.FormatInt(d.Min, 10))
	case d.Max != 0 && n > float64(d.Max):
		return d.invalid(value, "Value must be no more than "+strconv.FormatInt(d.Max, 10))
	}
	return nil
}

func (d *Def) invalid(value, why string) error {
	return refuse(ErrInvalidConfig, "Invalid value %s for configuration %s: %s", value, d.Name, why)
}

func (d *Def) bits() int {
	switch d.Type {
	case Short:
		return 16
	case Int:
		return 32
	default:
		return 64
	}
}

func (d *Def) typeName() string {
	switch d.Type {
	case Short:
		return "SHORT"
	case Int:
		return "INT"
	default:
		return "LONG"
	}
}

func parseBool(v string) (value, ok bool) {
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "true":
		return true, true
	case "false":
		return false, true
	default:
		return false, false
	}
}

func splitList(v string) []string {
	var out []string
	for s := range strings.SplitSeq(v, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}
