package meta

import (
	"cmp"
	"maps"
	"math"
	"net"
	"slices"
)

// QuotaName is one part of whom a quota is for. The zero value does not take part.
type QuotaName struct {
	Set     bool
	Default bool // everybody without a quota of his own
	Name    string
}

// QuotaEntity is whom a quota is for: a user, a client id, both together, or an address.
type QuotaEntity struct{ User, ClientID, IP QuotaName }

// The quotas, by Kafka's names.
const (
	ProducerByteRate       = "producer_byte_rate"       // bytes a second
	ConsumerByteRate       = "consumer_byte_rate"       // bytes a second
	RequestPercentage      = "request_percentage"       // time of handlers, per cent of one core
	ControllerMutationRate = "controller_mutation_rate" // partitions made and removed a second
	ConnectionCreationRate = "connection_creation_rate" // a second, of addresses only
)

// whole are the quotas that are integers in Kafka, with the largest.
var whole = map[string]float64{ProducerByteRate: math.MaxInt64, ConsumerByteRate: math.MaxInt64, ConnectionCreationRate: math.MaxInt32}

// Quotas are the limits of one entity by name. They are never changed once they are in an image.
type Quotas map[string]float64

// Quota is an entity and its limits.
type Quota struct {
	Entity QuotaEntity
	Limits Quotas
}

// Quotas lists all, in the order of entities.
func (m *Image) Quotas() []Quota {
	out := make([]Quota, 0, len(m.quotas))
	for e, limits := range m.quotas {
		out = append(out, Quota{e, limits})
	}
	slices.SortFunc(out, func(a, b Quota) int {
		return cmp.Or(compareNames(a.Entity.IP, b.Entity.IP), compareNames(a.Entity.User, b.Entity.User), compareNames(a.Entity.ClientID, b.Entity.ClientID))
	})
	return out
}

func compareNames(a, b QuotaName) int {
	rank := func(n QuotaName) int {
		switch {
		case !n.Set:
			return 0
		case n.Default:
			return 1
		default:
			return 2
		}
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Name, b.Name))
}

// SameQuotas tells whether the quotas of both images are the same ones.
func (m *Image) SameQuotas(other *Image) bool {
	return maps.EqualFunc(m.quotas, other.quotas, maps.Equal[Quotas, Quotas])
}

// QuotaChange sets a limit, or takes it back.
type QuotaChange struct {
	Name   string
	Value  float64
	Remove bool
}

// AlterQuotas decides on changes of the quotas of an entity.
func AlterQuotas(m *Image, e QuotaEntity, changes []QuotaChange) ([]Record, error) {
	if err := checkQuotaEntity(e); err != nil {
		return nil, err
	}
	if e.IP.Name != "" { // as connections are called, however it was written
		e.IP.Name = net.ParseIP(e.IP.Name).String()
	}
	var out []Record
	have, seen := m.quotas[e], map[string]bool{}
	for _, ch := range changes {
		if seen[ch.Name] {
			return nil, refuse(ErrInvalidRequest, "Duplicate quota key %s", ch.Name)
		}
		seen[ch.Name] = true
		if err := checkQuota(e, ch); err != nil {
			return nil, err
		}
		now, is := have[ch.Name]
		if ch.Remove && is || !ch.Remove && (!is || now != ch.Value) {
			out = append(out, QuotaSet{Entity: e, Name: ch.Name, Value: ch.Value, Unset: ch.Remove})
		}
	}
	return out, nil
}

func checkQuotaEntity(e QuotaEntity) error {
	switch {
	case e == QuotaEntity{}:
		return refuse(ErrInvalidRequest, "Invalid empty client quota entity")
	case e.IP.Set && (e.User.Set || e.ClientID.Set):
		return refuse(ErrInvalidRequest, "Invalid quota entity combination, IP entity should not be combined with User or ClientId")
	case e.IP.Set && !e.IP.Default && net.ParseIP(e.IP.Name) == nil:
		return refuse(ErrInvalidRequest, "%s is not an IP address", e.IP.Name)
	}
	return nil
}

func checkQuota(e QuotaEntity, ch QuotaChange) error {
	known := ch.Name == ConnectionCreationRate
	if !e.IP.Set {
		known = slices.Contains([]string{ProducerByteRate, ConsumerByteRate, RequestPercentage, ControllerMutationRate}, ch.Name)
	}
	largest, integral := whole[ch.Name]
	switch {
	case ch.Remove: // whatever is not set is not set afterwards
		return nil
	case !known:
		return refuse(ErrInvalidRequest, "Invalid configuration key %s", ch.Name)
	case !(ch.Value > 0) || math.IsInf(ch.Value, 0):
		return refuse(ErrInvalidRequest, "Quota %s must be greater than 0", ch.Name)
	case integral && ch.Value != math.Trunc(ch.Value):
		return refuse(ErrInvalidRequest, "%s cannot be a fractional value.", ch.Name)
	case integral && ch.Value > largest:
		return refuse(ErrInvalidRequest, "Proposed value for %s is too large.", ch.Name)
	}
	return nil
}
