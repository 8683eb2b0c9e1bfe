package api

import (
	"slices"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 1, (*API).describeClientQuotas)

// The types of a quota's entity.
const (
	quotaUser     = "user"
	quotaClientID = "client-id"
	quotaIP       = "ip"
)

// The orders in which Kafka answers with the parts of an entity and with its limits: clients' tests count on them.
var (
	quotaParts  = []string{quotaIP, quotaClientID, quotaUser}
	quotaLimits = []string{meta.ConsumerByteRate, meta.RequestPercentage, meta.ProducerByteRate, meta.ControllerMutationRate, meta.ConnectionCreationRate}
)

// How a filter matches the name of a part of an entity.
const (
	matchExact   = 0
	matchDefault = 1
	matchAny     = 2
)

func (a *API) describeClientQuotas(c *Call, req *kmsg.DescribeClientQuotasRequest, resp *kmsg.DescribeClientQuotasResponse) error {
	err := a.allowCluster(c, auth.DescribeConfigs)
	if err == nil {
		err = checkQuotaFilter(req.Components)
	}
	if err != nil {
		resp.Entries = nil // and not empty: Kafka's client takes that for an answer
		return err
	}
	resp.Entries = []kmsg.DescribeClientQuotasResponseEntry{}
	for _, q := range a.Meta.Image().Quotas() {
		if parts := entityParts(q.Entity); matchesQuota(parts, req) {
			resp.Entries = append(resp.Entries, quotaEntry(parts, q.Limits))
		}
	}
	return nil
}

func checkQuotaFilter(components []kmsg.DescribeClientQuotasRequestComponent) error {
	seen := map[string]bool{}
	for _, f := range components {
		switch {
		case f.EntityType == "":
			return worded(kerr.InvalidRequest, "Unexpected empty filter component entity type")
		case f.EntityType != quotaUser && f.EntityType != quotaClientID && f.EntityType != quotaIP:
			return worded(kerr.UnsupportedVersion, "Custom entity type '%s' not supported", f.EntityType)
		case seen[f.EntityType]:
			return worded(kerr.InvalidRequest, "Duplicate filter component for entity type %s", f.EntityType)
		case f.MatchType < matchExact || f.MatchType > matchAny:
			return worded(kerr.InvalidRequest, "Unknown match type %d", f.MatchType)
		case f.MatchType == matchExact && f.Match == nil:
			return worded(kerr.InvalidRequest, "An exact match needs a name for entity type %s", f.EntityType)
		case f.MatchType != matchExact && f.Match != nil:
			return worded(kerr.InvalidRequest, "Only an exact match has a name for entity type %s", f.EntityType)
		}
		seen[f.EntityType] = true
	}
	if seen[quotaIP] && len(seen) > 1 {
		return worded(kerr.InvalidRequest, "Invalid entity filter component combination, IP filter component should not be used with user or clientId filter component.")
	}
	return nil
}

// quotaPart is one part of an entity, with the type that the protocol gives it.
type quotaPart struct {
	kind string
	name meta.QuotaName
}

func entityParts(e meta.QuotaEntity) (parts []quotaPart) {
	names := map[string]meta.QuotaName{quotaIP: e.IP, quotaClientID: e.ClientID, quotaUser: e.User}
	for _, kind := range quotaParts {
		if name := names[kind]; name.Set {
			parts = append(parts, quotaPart{kind, name})
		}
	}
	return parts
}

// matchesQuota tells whether the filter takes an entity: it has every part that is asked for and, if strict, no other.
func matchesQuota(parts []quotaPart, req *kmsg.DescribeClientQuotasRequest) bool {
	if req.Strict && len(parts) != len(req.Components) {
		return false
	}
	return !slices.ContainsFunc(req.Components, func(f kmsg.DescribeClientQuotasRequestComponent) bool {
		return !slices.ContainsFunc(parts, func(p quotaPart) bool {
			switch {
			case p.kind != f.EntityType:
				return false
			case f.MatchType == matchExact:
				return !p.name.Default && p.name.Name == *f.Match
			case f.MatchType == matchDefault:
				return p.name.Default
			default:
				return true
			}
		})
	})
}

func quotaEntry(parts []quotaPart, limits meta.Quotas) kmsg.DescribeClientQuotasResponseEntry {
	entry := kmsg.NewDescribeClientQuotasResponseEntry()
	for _, p := range parts {
		e := kmsg.NewDescribeClientQuotasResponseEntryEntity()
		if e.Type = p.kind; !p.name.Default {
			e.Name = kmsg.StringPtr(p.name.Name)
		}
		entry.Entity = append(entry.Entity, e)
	}
	for _, name := range quotaLimits {
		if limit, ok := limits[name]; ok {
			v := kmsg.NewDescribeClientQuotasResponseEntryValue()
			v.Key, v.Value = name, limit
			entry.Values = append(entry.Values, v)
		}
	}
	return entry
}
