package quota

import "github.com/leatstream/leat/broker/internal/meta"

// Kind is what a quota limits.
type Kind int8

// The kinds of quotas.
const (
	Produce    Kind = iota // bytes a second
	Fetch                  // bytes a second
	Request                // per cent of a core
	Mutation               // partitions a second
	Connection             // a second, of addresses
	kinds
)

var names = [kinds]string{meta.ProducerByteRate, meta.ConsumerByteRate, meta.RequestPercentage, meta.ControllerMutationRate, meta.ConnectionCreationRate}

// limits are all quotas, by kind.
type limits [kinds]map[meta.QuotaEntity]float64

func newLimits(m *meta.Image) *limits {
	var out *limits
	for _, q := range m.Quotas() {
		for kind, name := range names {
			limit, ok := q.Limits[name]
			if !ok {
				continue
			}
			if out == nil {
				out = &limits{}
			}
			if out[kind] == nil {
				out[kind] = map[meta.QuotaEntity]float64{}
			}
			out[kind][q.Entity] = limit
		}
	}
	return out
}

var anybody = meta.QuotaName{Set: true, Default: true}

func named(name string) meta.QuotaName { return meta.QuotaName{Set: true, Name: name} }

// find is the quota that holds for a client, the most specific first, and who shares it: with a quota of users it is all
// clients of one, with a quota of client ids all users of one.
func (l *limits) find(kind Kind, user, client string) (limit float64, who scope, ok bool) {
	table := l[kind]
	if table == nil {
		return 0, scope{}, false
	}
	u, c, none := named(user), named(client), meta.QuotaName{}
	for _, rule := range [...]struct {
		user, client meta.QuotaName
		who          scope
	}{
		{u, c, scope{kind, user, client}},
		{u, anybody, scope{kind, user, client}},
		{u, none, scope{kind, user, ""}},
		{anybody, c, scope{kind, user, client}},
		{anybody, anybody, scope{kind, user, client}},
		{anybody, none, scope{kind, user, ""}},
		{none, c, scope{kind, "", client}},
		{none, anybody, scope{kind, "", client}},
	} {
		if limit, ok = table[meta.QuotaEntity{User: rule.user, ClientID: rule.client}]; ok {
			return limit, rule.who, true
		}
	}
	return 0, scope{}, false
}

// findIP is find for an address.
func (l *limits) findIP(ip string) (limit float64, who scope, ok bool) {
	for _, name := range [...]meta.QuotaName{named(ip), anybody} {
		if limit, ok = l[Connection][meta.QuotaEntity{IP: name}]; ok {
			return limit, scope{Connection, ip, ""}, true
		}
	}
	return 0, scope{}, false
}

// scope is who shares a meter.
type scope struct {
	kind         Kind
	user, client string
}
