package meta

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/internal/diag"
)

// Values reads configurations by Kafka's name. Asking for a name that the table does not have, or as another type, is a
// mistake in the program and panics.
type Values struct {
	what  string
	table map[string]*Def
	get   func(*Def) string
}

func (v Values) def(name string) *Def {
	d := v.table[name]
	if d == nil {
		panic(fmt.Sprintf("meta: no %s configuration %q", v.what, name))
	}
	return d
}

// String is the value as it was written; "" where there is none.
func (v Values) String(name string) string { return v.get(v.def(name)) }

// Int is a number of any size.
func (v Values) Int(name string) int64 {
	d := v.def(name)
	n, err := strconv.ParseInt(strings.TrimSpace(v.get(d)), 10, 64)
	if err != nil {
		panic(fmt.Sprintf("meta: %s configuration %q is not a number: %v", v.what, name, err))
	}
	return n
}

// Float is a number with a fraction.
func (v Values) Float(name string) float64 {
	d := v.def(name)
	f, err := strconv.ParseFloat(strings.TrimSpace(v.get(d)), 64)
	if err != nil {
		panic(fmt.Sprintf("meta: %s configuration %q is not a number: %v", v.what, name, err))
	}
	return f
}

// Bool is a switch.
func (v Values) Bool(name string) bool {
	b, ok := parseBool(v.get(v.def(name)))
	if !ok {
		panic(fmt.Sprintf("meta: %s configuration %q is not a switch", v.what, name))
	}
	return b
}

// Millis is a number of milliseconds. What a Duration cannot hold becomes its largest; negative stays negative.
func (v Values) Millis(name string) time.Duration {
	n := v.Int(name)
	if n > int64(1<<63-1)/int64(time.Millisecond) {
		return 1<<63 - 1
	}
	return time.Duration(n) * time.Millisecond
}

// List is the elements of a list.
func (v Values) List(name string) []string { return splitList(v.get(v.def(name))) }

// BrokerConfig is the configuration of one broker: what it was started with, and what was altered since.
type BrokerConfig struct {
	Values
	node   string // its id in decimal
	static map[string]string
	image  atomic.Pointer[Image]
}

// NewBrokerConfig checks the properties that a broker is started with. ignored are names that only Kafka needs or that
// nobody knows; a name that is nearly right, and a wrong value, are errors.
func NewBrokerConfig(node int32, properties map[string]string) (c *BrokerConfig, ignored []string, err error) {
	c = &BrokerConfig{node: strconv.Itoa(int(node)), static: map[string]string{}}
	c.Values = Values{"broker", brokerTable, func(d *Def) string { return c.effective(d).Value }}
	c.image.Store(NewImage())
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		switch known, err := CheckBrokerProperty(name, properties[name]); {
		case err != nil:
			wrong = append(wrong, err.Error())
		case known:
			c.static[name] = properties[name]
		default:
			ignored = append(ignored, name)
		}
	}
	if wrong != nil {
		return nil, nil, refuse(ErrInvalidConfig, "%s", strings.Join(wrong, "; "))
	}
	return c, ignored, nil
}

// CheckBrokerProperty tells whether a property that a broker is started with has an effect. A wrong value is an error, and
// so is a name that is a typing mistake of one that there is; another unknown one is not: Kafka has many.
func CheckBrokerProperty(name, value string) (known bool, err error) {
	d, ofListener := listenerDef(name)
	switch {
	case ofListener && d == nil:
		return false, refuse(ErrInvalidConfig, "Unknown listener config name: %s", name)
	case ofListener && !d.forListeners():
		return false, nil
	case !ofListener:
		d = brokerTable[name]
	}
	if d != nil {
		return true, d.Check(value)
	}
	if withoutEffect[name] == nil {
		if near := diag.Misspelt(name, slices.Sorted(maps.Keys(brokerTable))); near != "" {
			return false, refuse(ErrInvalidConfig, "Unknown broker config name: %s (did you mean %s?)", name, near)
		}
	}
	return false, nil
}

// Started notes what the broker was started with otherwise than by properties. It comes before anybody reads c.
func (c *BrokerConfig) Started(name, value string) { c.static[name] = value }

// Follow makes c see what was altered in image.
func (c *BrokerConfig) Follow(image *Image) { c.image.Store(image) }

// Topic is the configuration of a topic on this broker: its own, or what the broker has in its place.
func (c *BrokerConfig) Topic(t *Topic) Values {
	return c.topicValues(t.Config)
}

func (c *BrokerConfig) topicValues(own map[string]string) Values {
	return c.ownValues("topic", topicTable, own)
}

// ownValues are those of something that has some of its own, and others from the broker.
func (c *BrokerConfig) ownValues(what string, table map[string]*Def, own map[string]string) Values {
	return Values{what, table, func(d *Def) string {
		if v, ok := own[d.Name]; ok {
			return v
		}
		return c.standIn(d).Value
	}}
}

// ConnectionsPerIP are the addresses whose number of connections is another than max.connections.per.ip.
func (c *BrokerConfig) ConnectionsPerIP() map[string]int {
	out := map[string]int{}
	for _, o := range splitList(c.String("max.connections.per.ip.overrides")) {
		if ip, n, ok := cutOverride(o); ok {
			out[ip] = n
		}
	}
	return out
}

func connectionsPerIP(value string) (why string) {
	for _, o := range splitList(value) {
		if _, _, ok := cutOverride(o); !ok {
			return "Each is an IP address, a colon and a number: 10.0.0.1:100"
		}
	}
	return ""
}

func cutOverride(o string) (ip string, n int, ok bool) {
	i := strings.LastIndexByte(o, ':')
	if i < 0 {
		return "", 0, false
	}
	addr := net.ParseIP(strings.Trim(o[:i], "[]"))
	n, err := strconv.Atoi(o[i+1:])
	if addr == nil || err != nil || n < 0 {
		return "", 0, false
	}
	return addr.String(), n, true
}
